"""The judges: frozen classifiers that read the class of a generated sample.

One small network per image modality (the paper's LeNet, or what the dataset names), trained once per dataset on the
training tuples, cached, and only ever used in eval mode; a text that says its class is read exactly. A judge's own test
accuracy is part of its name, because it is the ceiling of every coherence measured with it.

Reference: Bounoua et al., Appendix C.2; architecture and training of their public code and of Shi et al.,
"Variational mixture-of-experts autoencoders for multi-modal deep generative models", 2019.
"""

from __future__ import annotations

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmbench.config import Schedule, to_json
from mmbench.data.dataset import Split, as_input
from mmbench.errors import PluginError
from mmbench.metric import Bench, Kept
from mmbench.modality import Modality
from mmbench.progress import Progress
from mmbench.store.provenance import code_of_class, code_of_module
from mmbench.tensors import checksum
from mmbench.training import Checkpoints, fit

from .frozen import kept, to_keep
from .identity import hex8
from .judge_networks import FeatureNet, LeNet, WideNet, judge_network
from .precision import full_precision

__all__ = [
    "Classifier",
    "Judge",
    "LeNet",
    "Reader",
    "WideNet",
    "accuracy",
    "judge",
    "judges_keep",
    "second_judge",
    "train_judge",
]

UNREADABLE = -1
"""The label of a sample that belongs to no class; it agrees with nothing, not even with itself."""
BATCH = 1000
"""Images that a judge looks at once."""


class Judge(ABC):
    """Reads the class of a sample of one modality."""

    accuracy: float
    """Share of the real test items that it reads rightly, in [0, 1]."""
    batch: int = BATCH

    @property
    @abstractmethod
    def name(self) -> str:
        """The judge in print, with its measured test accuracy: 'lenet 98.9 %'; 'exact' where none is needed."""

    @property
    def identity(self) -> str:
        """What tells this judge from every other, in the keys of what is computed with it and cached."""
        return self.name

    @property
    def digits(self) -> str:
        """`Row.identity` of what it judges: 8 hex digits of its identity; '' where nothing was learned."""
        return hex8(self.identity)

    @abstractmethod
    def predict(self, x: Tensor) -> Tensor:
        """Samples (B, *shape) -> class indices, int64 (B,) on the CPU; -1 for a sample of no class."""

    def features(self, x: Tensor) -> Tensor:
        """Samples (B, *shape) -> float32 (B, d) on the CPU. Raises PluginError where the judge has no features."""
        raise PluginError(f"the judge {self.name!r} has no features: ask for Frechet distances of images only")


class Classifier(Judge):
    """A trained network as judge: eval mode, no gradients, batches of 1,000 on the network's device."""

    def __init__(self, network: nn.Module, accuracy: float = math.nan, kind: str = "lenet") -> None:
        self.network = network.eval().requires_grad_(False)
        self.accuracy, self.kind = accuracy, kind

    @property
    def name(self) -> str:
        return f"{self.kind} {100 * self.accuracy:.1f} %"

    @property
    def identity(self) -> str:
        return checksum(self.network.state_dict())

    def predict(self, x: Tensor) -> Tensor:
        with full_precision(self._device):
            return torch.cat([self.network(part).argmax(dim=1).cpu() for part in self._batches(x)])

    def features(self, x: Tensor) -> Tensor:
        assert isinstance(self.network, FeatureNet)
        with full_precision(self._device):
            return torch.cat([self.network.features(part).cpu() for part in self._batches(x)])

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _batches(self, x: Tensor) -> Iterator[Tensor]:
        self.network.eval()
        return (part.to(self._device) for part in x.split(BATCH))


class Reader(Judge):
    """Reads a text that says its class: the decoded text equals a class word, or it is of no class."""

    def __init__(self, modality: Modality) -> None:
        self.modality = modality
        self.accuracy = 1.0

    @property
    def name(self) -> str:
        return "exact"

    @property
    def digits(self) -> str:
        return ""

    def predict(self, x: Tensor) -> Tensor:
        words = {word: k for k, word in enumerate(self.modality.classes)}
        texts, inverse = torch.unique(x.cpu(), dim=0, return_inverse=True)
        labels = [words.get(self.modality.text(tokens), UNREADABLE) for tokens in texts.tolist()]
        return torch.tensor(labels, dtype=torch.int64)[inverse]


def judge(bench: Bench, modality: str) -> Judge:
    """The judge of one modality: remembered in `bench.memory`, else loaded, else trained.

    Raises PluginError if the dataset has no labels or its text does not say the class.
    """
    spec = bench.dataset.spec
    return _remembered(bench, modality, "judge", spec.judge, judge_network(spec))


def second_judge(bench: Bench, modality: str) -> Judge | None:
    """The protocol's second judge, None where it names none: 'wide', or the 'module:Class' of a network.

    Such a class is built with (shape, classes), as `WideNet` is, and maps images to logits; it is trained like the
    first judge, from other first weights and in another order. Raises PluginError for a name that cannot be found.
    """
    name = bench.protocol.second_judge
    if name is None:
        return None
    return _remembered(bench, modality, "second judge", name, WideNet if name == "wide" else _network(name))


Network = Callable[[tuple[int, ...], int], nn.Module]
"""(shape of an image, classes) -> a network that maps images to logits."""


def judges_keep(bench: Bench, modality: Modality, *, second: bool) -> dict[str, Kept]:
    """What the judges of a modality will take on disk; see `Metric.keeps`."""
    spec, name = bench.dataset.spec, bench.protocol.second_judge if second else None
    chosen = {"judge": (spec.judge, judge_network(spec))} | (
        {"second judge": (name, WideNet if name == "wide" else _network(name))} if name else {}
    )
    found: dict[str, Kept] = {}
    for purpose, (kind, build) in () if modality.is_text else chosen.items():
        make = partial(build, modality.shape, spec.classes)
        found |= to_keep(bench, "judge", _identity(bench, modality, purpose, kind, build), make)
    return found


def train_judge(
    build: Network,
    split: Split,
    modality: Modality,
    classes: int,
    schedule: Schedule,
    seed: int,
    progress: Progress | None = None,
    purpose: str = "judge",
    checkpoints: Checkpoints | None = None,
) -> nn.Module:
    """A classifier trained with cross-entropy and Adam on the tuples of a labelled split, on the split's device.

    The same seed and purpose give the same weights. Raises TrainingError if the loss is not finite, ConfigError if the
    schedule asks for an average of the weights or for low precision: a judge has neither.
    """
    labels = split.labels
    assert labels is not None

    def loss(network: nn.Module, rows: Tensor) -> Tensor:
        return F.cross_entropy(network(split.gather(rows, (modality.name,))[modality.name]), labels[rows])

    return fit(
        partial(build, modality.shape, classes),
        loss,
        count=len(split),
        schedule=schedule,
        seed=seed,
        purpose=purpose,
        modality=modality.name,
        device=split.index.device,
        progress=progress or Progress(),
        checkpoints=checkpoints,
    )


def accuracy(judge: Judge, split: Split, modality: str) -> float:
    """Share of a split's distinct items of one modality that the judge reads rightly, in [0, 1]."""
    used = split.used(modality)
    truth = split.item_labels(modality)[used].cpu()
    labels = judge.predict(as_input(split.items[modality][used]))
    return (labels == truth).double().mean().item()


def _remembered(bench: Bench, modality: str, purpose: str, kind: str, build: Network) -> Judge:
    whole = bench.whole

    def make() -> Judge:
        return _appoint(whole, whole.dataset.spec.modality(modality), purpose, kind, build)

    return whole.memory.recall(Judge, (purpose, modality), make)


def _network(name: str) -> Network:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginError(
            f"the second judge {name!r} cannot be found ({error}); name 'wide' or the module:Class of a network"
        ) from error


def _appoint(bench: Bench, modality: Modality, purpose: str, kind: str, build: Network) -> Judge:
    spec = bench.dataset.spec
    if spec.classes < 1:
        raise PluginError(f"{spec.name} has no class labels: take coherence and fmd out of its metrics")
    if bench.dataset.train.labels is None or bench.dataset.test.labels is None:
        raise PluginError(f"{spec.name} declares {spec.classes} classes, but its splits carry no labels: add them")
    if not modality.is_text:
        return _classifier(bench, modality, purpose, kind, build)
    if not modality.classes:
        raise PluginError(f"the text {modality.name!r} of {spec.name} cannot be judged: give its modality `classes`")
    return Reader(modality)


def _identity(bench: Bench, modality: Modality, purpose: str, kind: str, build: Network) -> dict[str, Any]:
    """All that decides a judge beside the data and the harness."""
    return {
        "modality": modality.name,
        "purpose": purpose,
        "network": kind,
        "code": code_of_class(build) if isinstance(build, type) else code_of_module(kind.partition(":")[0]),
        "schedule": to_json(bench.protocol.judge),
        "seed": bench.protocol.seed,
    }


def _classifier(bench: Bench, modality: Modality, purpose: str, kind: str, build: Network) -> Classifier:
    """Kept, or trained and kept."""
    schedule, seed, classes = bench.protocol.judge, bench.protocol.seed, bench.dataset.spec.classes
    identity = _identity(bench, modality, purpose, kind, build)

    def train(checkpoints: Checkpoints) -> tuple[nn.Module, dict[str, float]]:
        split = bench.dataset.train.to(bench.device)
        network = train_judge(build, split, modality, classes, schedule, seed, bench.progress, purpose, checkpoints)
        return network, {"accuracy": accuracy(Classifier(network), bench.dataset.test, modality.name)}

    title = f"{purpose} of {modality.name}"
    network, facts = kept(bench, "judge", identity, partial(build, modality.shape, classes), train, title)
    return Classifier(network.to(bench.device), facts["accuracy"], kind.rpartition(":")[2].lower())
