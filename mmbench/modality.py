"""What a dataset looks like: its modalities, and the tasks that follow from them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, takewhile
from typing import Literal, TypeVar, get_args
from unicodedata import normalize

from .described import described
from .errors import ConfigError, near
from .fields import listed, number, whole, word

__all__ = ["FEW", "DatasetSpec", "Modality", "Task", "subsets"]

FEW = 3
"""Modalities up to which each target of each subset is a task of its own."""
LONGEST = 40
"""Letters of a name: several stand in the name of one file."""
JOINT = "joint"
"""The task with nothing given."""
SEQUENCES = (("shape", int, "(1, 28, 28)"), ("vocabulary", str, "('a', 'b')"), ("classes", str, "('one', 'two')"),
             ("unprinted", int, "(0,)"))  # fmt: skip
"""Fields of a modality that are tuples."""
T = TypeVar("T")
Likelihood = Literal["laplace", "gaussian", "categorical"]
KINDS: tuple[str, ...] = get_args(Likelihood)


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class Modality:
    """One modality X^m.

    Models see an image as float32 (B, C, H, W) in [0, 1] and a text as int64 tokens (B, length) in
    [0, len(vocabulary)). An image's decoder gives the location (B, C, H, W); a text's decoder gives logits
    (B, length, len(vocabulary)).
    """

    name: str
    """The word used in results and on the command line, for instance 'mnist'."""
    shape: tuple[int, ...]
    """(C, H, W) of an image; (length,) of a text."""
    network: str
    """Architecture in `mmbench.networks`, shared by every model of the suite."""
    latent: int
    """Size of the uni-modal latent Z^m of the models that keep one per modality (MLD, NEXUS)."""
    likelihood: Likelihood = "laplace"
    """p(x|z): 'laplace' and 'gaussian' for images, 'categorical' for text."""
    scale: float = 0.75
    """Fixed scale b of the Laplace, or standard deviation of the Gaussian."""
    judge: str = ""
    """The network of its own first judge, as `DatasetSpec.judge`, which then has rows of its own; '' for that one."""
    title: str = ""
    """The name in print; `name` where it is empty."""
    weight: float = 1.0
    """Reconstruction weight w_m of the VAEs' joint terms."""
    vocabulary: tuple[str, ...] = ()
    """The tokens of a text, by index."""
    classes: tuple[str, ...] = ()
    """The text of each class, where a text says the class itself (then no classifier is needed to read it)."""
    separator: str = " "
    """What stands between two tokens when a text is printed ('' for letters)."""
    end: int | None = None
    """The token that ends a text: it and all that follow are not printed."""
    unprinted: tuple[int, ...] = ()
    """Tokens that are never printed: where there is one for unknown words it is first, the padding is last."""

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_types(self)
        if not self.shape or min(self.shape) < 1:
            raise ConfigError(f"modality {self.name!r}: every extent of its shape must be >= 1, got {self.shape}")
        _check_likelihood(self)
        if self.is_text != bool(self.vocabulary):
            raise ConfigError(f"modality {self.name!r}: a vocabulary goes with the categorical likelihood only")

    @property
    def is_text(self) -> bool:
        return self.likelihood == "categorical"

    @property
    def size(self) -> int:
        """Number of values in one item."""
        return math.prod(self.shape)

    @property
    def padding(self) -> int | None:
        """The token that fills a text up to its length; None where there is none."""
        return self.unprinted[-1] if self.unprinted else None

    def text(self, tokens: Sequence[int]) -> str:
        """The printed form of one text, tokens (length,)."""
        printed = takewhile(lambda i: i != self.end, tokens)
        return self.separator.join(self.vocabulary[i] for i in printed if i not in self.unprinted)


@described
@dataclass(frozen=True, slots=True, order=True)
class Task:
    """One thing that is generated: `targets` from `given`; joint generation has nothing given."""

    given: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def name(self) -> str:
        """'joint', or 'mnist->svhn', 'pen+name->sign'; 'mnist->mnist' is a reconstruction."""
        return f"{'+'.join(self.given)}->{'+'.join(self.targets)}" if self.given else JOINT


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """What a model may know of a dataset before it sees it."""

    name: str
    """The word typed after --dataset."""
    title: str
    """The name in print, for instance 'MNIST-SVHN'."""
    modalities: tuple[Modality, ...]
    family: str = "digits"
    """The family of recipes that fit this dataset: 'digits' (the paper's row of MNIST-SVHN), 'captions' (of CUB). A
    model that does not know a dataset's family takes its recipe of 'digits'."""
    classes: int = 0
    """Number of classes of the shared label; 0 where there is none."""
    metrics: tuple[str, ...] = ()
    """Names of the `mmbench.metrics` plugins that measure a cell of this dataset."""
    judge: str = ""
    """The network of the classifiers that judge its images: 'lenet' (the paper's), 'strided' (PolyMNIST's), 'residual',
    or module:Class; '' for 'residual' on colour images of 28 to 32 pixels, with the paper's in rows of its own, and
    'lenet' elsewhere."""
    judge_share: float = 1.0
    """Share of the short budgets' steps for judges and reference autoencoders: less where these are many and dear."""
    quality_count: int = 5000
    """Samples for quality (Frechet distances) at the budget 'paper'."""
    primary: tuple[tuple[str, str, str], ...] = ()
    """The columns of its main table, in their order: metric, task, judged modality ('mnist+svhn' where a number belongs
    to several). Empty: joint and conditional coherence, then a distance for each image."""
    laptop_count: int = 5000
    """The same at the budget 'laptop', and the most for coherence there: fewer where a sample is dear to make."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"\w[\w+.-]*", self.name) or len(self.name) > LONGEST:
            raise ConfigError(
                f"a dataset's name must be one word of letters, digits and '_+.-', at most {LONGEST}, got "
                f"{str(self.name)[:LONGEST]!r}"
            )
        _check_spec(self)
        names = self.names
        if len(names) < 2 or len({normalize("NFKC", name).casefold() for name in names}) != len(names):
            raise ConfigError(
                f"dataset {self.name!r}: needs two or more modalities with distinct names (not in case alone, for they "
                f"name files), got {names}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(m.name for m in self.modalities)

    def modality(self, name: str) -> Modality:
        for m in self.modalities:
            if m.name == name:
                return m
        raise ConfigError(f"{self.name} has no modality {name!r}; {near(name, self.names)}")

    def tasks(self, chosen: Sequence[tuple[str, ...]] | None = None) -> tuple[Task, ...]:
        """Joint generation, then every proper non-empty subset (or those `chosen`) to every modality outside it: each a
        task of its own, or of more than three modalities all at once."""
        conditional = [
            Task(given, targets)
            for given in (subsets(self.names)[:-1] if chosen is None else chosen)
            for targets in self._targets(tuple(name for name in self.names if name not in given))
        ]
        return (Task((), self.names), *conditional)

    def _targets(self, rest: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """What is generated at once of the modalities that are not given."""
        return tuple((name,) for name in rest) if len(self.names) <= FEW else (rest,)


def _check_name(name: str) -> None:
    """Raise ConfigError for a modality's name that a path, a task or a model's modules cannot bear."""
    if not isinstance(name, str) or not name.isidentifier():
        raise ConfigError(f"a modality's name must be an identifier, got {name!r}")
    if len(name) > LONGEST:
        raise ConfigError(f"a modality's name has at most {LONGEST} letters, got {len(name)}: {name[:LONGEST]}...")
    if name == JOINT or name in _taken():
        raise ConfigError(f"a modality cannot be called {name!r}, a word of tasks or of torch's modules: rename it")


def _check_types(modality: Modality) -> None:
    """Lists become tuples; ConfigError for what is of another type."""
    who = f"modality {modality.name!r}"
    for name, kind, example in SEQUENCES:
        object.__setattr__(modality, name, listed(who, name, getattr(modality, name), kind, example))
    for name, example in (
        ("network", "mnist_mlp"),
        ("likelihood", "laplace"),
        ("title", "MNIST"),
        ("separator", " "),
        ("judge", "residual"),
    ):
        word(who, name, getattr(modality, name), example)
    number(who, "scale", modality.scale, above=True)
    number(who, "weight", modality.weight)
    whole(who, "latent", modality.latent, 1)


def _check_likelihood(modality: Modality) -> None:
    """Raise ConfigError for an unknown likelihood, and for tokens that are none of the vocabulary."""
    who, count = f"modality {modality.name!r}", len(modality.vocabulary)
    if modality.likelihood not in KINDS:
        raise ConfigError(f"{who} has no likelihood {modality.likelihood!r}; {near(modality.likelihood, KINDS)}")
    tokens = [token for token in (modality.end, *modality.unprinted) if token is not None]
    if any(not 0 <= token < count for token in tokens):
        raise ConfigError(f"{who}: end and unprinted are tokens, 0 to {count - 1} of its vocabulary, got {tokens}")


def _check_spec(spec: DatasetSpec) -> None:
    """Lists become tuples; ConfigError for what is of another type."""
    who = f"dataset {spec.name!r}"
    modalities = listed(who, "modalities", spec.modalities, Modality, "(Modality(...), Modality(...))")
    metrics = listed(who, "metrics", spec.metrics, str, "('coherence', 'fmd')")
    primary = listed(who, "primary", spec.primary, list | tuple, "(('coherence', 'joint', 'a+b'),)")  # type: ignore[arg-type]
    primary = tuple(listed(who, "each of primary", p, str, "('coherence', 'joint', 'a+b')") for p in primary)
    if any(len(point) != 3 for point in primary):
        raise ConfigError(f"{who}: each of primary must be (metric, task, modality), got {primary!r:.80}")
    for name, value in {"modalities": modalities, "metrics": metrics, "primary": primary}.items():
        object.__setattr__(spec, name, value)
    for name, example in (("title", "Birds"), ("family", "digits"), ("judge", "lenet")):
        word(who, name, getattr(spec, name), example)
    whole(who, "classes", spec.classes, 0)
    number(who, "judge_share", spec.judge_share, above=True)
    for name in ("quality_count", "laptop_count"):
        whole(who, name, getattr(spec, name), 2)


@cache
def _taken() -> frozenset[str]:
    """What torch's modules are not called: models keep an encoder for each modality in a ModuleDict."""
    from torch import nn  # here, since modalities are declared without it

    return frozenset(dir(nn.ModuleDict()))


def subsets(names: Sequence[T]) -> list[tuple[T, ...]]:
    """All non-empty subsets, smallest first, in the order of `names`; the full set is last."""
    return [s for n in range(1, len(names) + 1) for s in combinations(names, n)]
