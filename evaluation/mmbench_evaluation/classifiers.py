"""The judges: frozen classifiers that read the class of a generated sample.

One small network per image modality (the paper's LeNet, or what the dataset names), trained once per dataset on the
training tuples, cached, and only ever used in eval mode; a text that says its class is read exactly. A judge's own test
accuracy is part of its name, because it is the ceiling of every coherence measured with it.

Reference: Bounoua et al., Appendix C.2; architecture and training of their public code and of Shi et al.,
"Variational mixture-of-experts autoencoders for multi-modal deep generative models", 2019.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
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

from . import judge_choice
from .frozen import kept, to_keep
from .identity import hex8
from .judge_choice import Chosen, Network, briefer, first, second
from .judge_networks import FeatureNet, LeNet, WideNet
from .precision import full_precision

__all__ = [
    "Classifier",
    "Judge",
    "LeNet",
    "Reader",
    "WideNet",
    "accuracy",
    "judge",
    "judge_dim",
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
        if not isinstance(self.network, FeatureNet):
            raise PluginError(
                f"the judge {self.kind!r} has no features: derive its network from "
                "mmbench_evaluation.judge_networks.FeatureNet, or take fmd out of the metrics"
            )
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
    """The first judge of one modality: remembered in `bench.memory`, else loaded, else trained.

    Raises PluginError if the dataset has no labels or its text does not say the class.
    """
    spec = bench.dataset.spec
    return _remembered(bench, modality, "judge", first(spec, bench.protocol, spec.modality(modality)))


def second_judge(bench: Bench, modality: str) -> Judge | None:
    """The second judge; None where there is none (`judge_choice.second`).

    The protocol names it, by its name or as 'module:Class' of a network: such a class is built with (shape, classes),
    as `WideNet` is, and maps images to logits; it is trained like the first judge, from other first weights and in
    another order. Where none is named and a first judge is not the paper's, the paper's is the second. Raises
    ConfigError or PluginError for a name that cannot be found.
    """
    spec = bench.dataset.spec
    chosen = second(spec, bench.protocol, spec.modality(modality))
    return _remembered(bench, modality, "second judge", chosen) if chosen else None


def judges_keep(bench: Bench, modality: Modality, *, second: bool) -> dict[str, Kept]:
    """What the judges of a modality will take on disk; see `Metric.keeps`."""
    spec = bench.dataset.spec
    chosen = [first(spec, bench.protocol, modality)]
    chosen += [other] if second and (other := judge_choice.second(spec, bench.protocol, modality)) else []
    found: dict[str, Kept] = {}
    for one in [] if modality.is_text else chosen:
        make = partial(one.build, modality.shape, spec.classes)
        found |= to_keep(bench, "judge", _identity(bench, modality, one), make)
    return found


def judge_dim(bench: Bench, modality: Modality) -> int:
    """How many features the first judge of an image gives."""
    network = first(bench.dataset.spec, bench.protocol, modality).build(modality.shape, 2)
    return int(getattr(network, "dim", 0))


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


def _remembered(bench: Bench, modality: str, place: str, chosen: Chosen) -> Judge:
    whole = bench.whole

    def make() -> Judge:
        return _appoint(whole, whole.dataset.spec.modality(modality), chosen)

    return whole.memory.recall(Judge, (place, modality), make)


def _appoint(bench: Bench, modality: Modality, chosen: Chosen) -> Judge:
    spec = bench.dataset.spec
    if spec.classes < 1:
        raise PluginError(f"{spec.name} has no class labels: take coherence and fmd out of its metrics")
    if not modality.is_text:
        return _classifier(bench, modality, chosen)
    if not modality.classes:
        raise PluginError(f"the text {modality.name!r} of {spec.name} cannot be judged: give its modality `classes`")
    return Reader(modality)


def _identity(bench: Bench, modality: Modality, chosen: Chosen) -> dict[str, Any]:
    """All that decides a judge beside the data and the harness."""
    purpose, kind, build = chosen
    return {
        "modality": modality.name,
        "purpose": purpose,
        "network": kind,
        "code": code_of_class(build) if isinstance(build, type) else code_of_module(kind.partition(":")[0]),
        "schedule": to_json(briefer(bench.protocol.judge, build)),
        "seed": bench.protocol.seed,
    }


def _classifier(bench: Bench, modality: Modality, chosen: Chosen) -> Classifier:
    """Kept, or trained and kept."""
    purpose, kind, build = chosen
    seed, classes = bench.protocol.seed, bench.dataset.spec.classes
    schedule, identity = briefer(bench.protocol.judge, build), _identity(bench, modality, chosen)

    def train(checkpoints: Checkpoints) -> tuple[nn.Module, dict[str, float]]:
        split = bench.dataset.train.to(bench.device)
        network = train_judge(build, split, modality, classes, schedule, seed, bench.progress, purpose, checkpoints)
        return network, {"accuracy": accuracy(Classifier(network), bench.dataset.test, modality.name)}

    title = f"{purpose} of {modality.name}"
    network, facts = kept(bench, "judge", identity, partial(build, modality.shape, classes), train, title)
    return Classifier(network.to(bench.device), facts["accuracy"], kind.rpartition(":")[2].lower())
