"""What the harness lends to metrics: data, judges' features, and a memory that they share."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from . import config, plugins
from .data.dataset import Dataset
from .described import described
from .errors import PluginError, UnavailableError
from .progress import Progress
from .store.artefacts import Artefacts

__all__ = ["Bench", "Extractor", "Memory"]

T = TypeVar("T")


class Extractor(Protocol):
    """A frozen network that gives features: a judge, or Inception."""

    batch: int
    """Items that it looks at once."""

    @property
    def name(self) -> str:
        """In print, as the row's judge."""
        ...

    @property
    def identity(self) -> str:
        """What its features depend on: a checksum of its weights, and how images are prepared."""
        ...

    def features(self, x: Tensor) -> Tensor:
        """Samples (B, *shape) as models make them -> (B, D) on the CPU."""
        ...


class Memory:
    """What is shared within a process: each thing by its kind and a key, made at first use."""

    def __init__(self) -> None:
        self._kept: dict[tuple[type, Hashable], Any] = {}

    def knows(self, kind: type, key: Hashable) -> bool:
        return (kind, key) in self._kept

    def remember(self, kind: type[T], key: Hashable, value: T) -> None:
        """Put a thing there, in the place of what was."""
        self._kept[kind, key] = value

    def recall(self, kind: type[T], key: Hashable, make: Callable[[], T]) -> T:
        """The `kind` of this key. What cannot be had (UnavailableError) is not asked for again."""
        if (kind, key) not in self._kept:
            try:
                self._kept[kind, key] = make()
            except UnavailableError as error:
                self._kept[kind, key] = error
        found = self._kept[kind, key]
        if isinstance(found, UnavailableError):
            raise found
        return found


class _Features(NamedTuple):
    """Of real items, remembered."""

    values: Tensor


class _Recent(dict[tuple[str, str], tuple[Tensor, Tensor]]):
    """(modality, extractor) -> the samples that were last looked at, and their features."""


@described
@dataclass(frozen=True)
class Bench:
    """What the harness lends to every metric of a cell.

    A metric that compares samples with real data (`Metric.paired` is False) is lent a bench whose `order` holds only
    the tuples that it compares with, and whose data lack the real tuples that are its floor, so that these two never
    overlap. A metric that looks at what belongs together is lent the whole one.
    """

    dataset: Dataset
    protocol: config.Protocol
    device: torch.device
    order: Tensor
    """Test tuples in the order in which cells are evaluated, (number of test tuples,): the first n are the conditions
    of all models' samples, and the real data that they are compared with."""
    cache: Path
    """A folder for downloads."""
    artefacts: Artefacts
    """What is computed once per dataset: judges, reference autoencoders, statistics of real data."""
    progress: Progress
    weights: Path | None = None
    """A folder of pretrained weights (--weights-root, MMBENCH_WEIGHTS), looked at before any package or download."""
    memory: Memory = field(default_factory=Memory)
    """What metrics share within a process: a loaded judge, moments of real data."""
    origin: Bench | None = None
    """The bench of all data, where this one lacks some."""

    @property
    def whole(self) -> Bench:
        """The bench of all data: what judges are trained, measured and remembered with."""
        return self.origin or self

    def real(self, modality: str, count: int | None = None) -> Tensor:
        """The real items (n, *shape) of one modality that samples are compared with, as models see them: those of the
        first `count` tuples of the evaluation order, or of all that the metric measures."""
        return self.dataset.test.gather(self.order[:count], (modality,))[modality].cpu()

    def extractor(self, modality: str, by: str = "judge") -> Extractor:
        """The network that gives features of one modality: the plugin `by` of the group `mmbench.extractors`.

        Raises PluginError for an unknown one and for a modality that it does not see, UnavailableError where its
        weights are lacking.
        """
        found = plugins.load(plugins.EXTRACTORS, by)(self.whole, self.dataset.spec.modality(modality).name)
        if not hasattr(type(found), "features"):
            raise PluginError(f"the extractor {by!r} gives a {type(found).__name__}, which has no `features`")
        return found

    def features(self, modality: str, x: Tensor, by: str = "judge") -> Tensor:
        """Features of samples (B, *shape) of one modality, float32 (B, D) on the CPU; raises as `extractor` does.

        The same tensor is not looked at twice in a row, whichever metrics ask.
        """
        recent = self.whole.memory.recall(_Recent, (), _Recent)
        seen, found = recent.get((modality, by), (x[:0], x[:0]))
        if seen.data_ptr() != x.data_ptr() or seen.shape != x.shape or not len(x):
            found = self._looked_at(modality, x, by)
            recent[modality, by] = x, found
        return found

    def _looked_at(self, modality: str, x: Tensor, by: str) -> Tensor:
        extractor = self.extractor(modality, by)
        found = torch.cat([extractor.features(part).float().cpu() for part in x.split(extractor.batch)])
        if found.ndim != 2 or len(found) != len(x) or not torch.isfinite(found).all():
            raise PluginError(
                f"the extractor {by!r} must give a finite row of features for each of {len(x)} samples of "
                f"{modality!r}, got {tuple(found.shape)}; tell its author"
            )
        return found

    def real_features(self, modality: str, by: str = "judge", count: int | None = None) -> Tensor:
        """`features` of `real`, remembered."""
        key = (modality, by, count, self.extractor(modality, by).identity)
        made = self.memory.recall(_Features, key, lambda: _Features(self._of_real(modality, by, count)))
        return made.values

    def _of_real(self, modality: str, by: str, count: int | None) -> Tensor:
        """A part at a time: the images of all tuples may be large."""
        rows, test = self.order[:count], self.dataset.test
        parts = (test.gather(part, (modality,))[modality] for part in rows.split(self.protocol.batch_size))
        return torch.cat([self.features(modality, part, by) for part in parts])
