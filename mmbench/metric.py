"""The contract of a metric: a plugin of the group `mmbench.metrics`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor

from .config import Protocol
from .data.dataset import Dataset
from .errors import UnavailableError
from .modality import DatasetSpec, Task
from .progress import Progress
from .store.artefacts import Artefacts

__all__ = ["Bench", "Kept", "Memory", "Metric", "Row"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured number."""

    metric: str
    """'coherence', 'fmd', ..."""
    task: str
    """`Task.name`: 'joint', 'mnist->svhn'."""
    modality: str
    """The modality that was judged; names joined by '+' where the number belongs to several."""
    value: float
    count: int
    """Samples behind the number."""
    judge: str
    """The frozen network that judged, with its own test accuracy, or 'exact' where none was needed."""
    higher_is_better: bool | None
    """None for a number that is only described, such as an entropy."""
    identity: str = ""
    """8 hex digits of what the judge's answers depend on (its weights), joined by '+' where there are several; '' where
    none judged. Numbers of different judges share no table, whatever their names."""
    reference: str = ""
    """8 hex digits of the reference autoencoder that the value is relative to; '' where there is none."""
    unit: str = ""
    interval: tuple[float, float] | None = None
    """95 % confidence interval of the value over its samples, where one is known; None elsewhere."""
    note: str = ""
    """A warning that belongs beside the number, for instance 'biased: 500 samples for 2048 dimensions'."""


class Kept(NamedTuple):
    """Bytes that an artefact takes on disk."""

    done: int
    """When it is finished."""
    meanwhile: int = 0
    """The checkpoints of its training, which go when it is finished."""


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


@dataclass(frozen=True)
class Bench:
    """What the harness lends to every metric of a cell."""

    dataset: Dataset
    protocol: Protocol
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


class Metric(ABC):
    """Measures samples of a dataset's tasks; the harness feeds it batches and then asks for its rows.

    One instance measures one source of samples: the model, or a reference point (real data, shuffled tuples,
    reconstructions). A distance is always taken to the evaluated tuples, `bench.order`; for its floor the harness
    passes other real data as samples.
    """

    name: ClassVar[str]
    higher_is_better: ClassVar[bool | None]
    bounds: ClassVar[tuple[float, float]]
    unit: ClassVar[str] = ""
    paired: ClassVar[bool] = False
    """Whether the metric looks at what belongs together in one sample; only then do shuffled tuples tell anything."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        """Why the metric can measure nothing of a dataset ('no modality is an image of three channels'); '' where it
        can. It is then left out of the cell, before anything is prepared or trained."""
        return ""

    @classmethod
    def prepare(cls, bench: Bench) -> None:
        """Make ready what the metric shares between instances (train or load the judges), before anything is timed.

        Raises UnavailableError, with what to do, where pretrained weights are lacking: the metric is then left out of
        the cell, and can be added later.
        """
        return

    @classmethod
    def lacks(cls, weights: Path | None, cache: Path) -> str:
        """What the metric needs beside data and does not find here, in one sentence; '' for nothing. For `mmbench
        doctor`: nothing is downloaded.

        Arguments:
            weights: the user's folder of weights, see `Bench.weights`.
            cache: see `Bench.cache`.
        """
        return ""

    @classmethod
    def keeps(cls, bench: Bench) -> dict[str, Kept]:
        """What `prepare` would keep on disk that is not there yet: a name, the same for all that share it, and how much
        it is. For the estimate before a run; nothing is trained."""
        return {}

    @abstractmethod
    def wants(self, task: Task) -> int:
        """How many samples of a task this metric measures; 0 for none."""

    @abstractmethod
    def update(self, task: Task, samples: Mapping[str, Tensor], rows: Tensor) -> None:
        """Add a batch: samples of the task's targets (B, *shape), made for the test tuples `rows` (B,).

        At most `wants(task)` samples in all are passed. For joint generation, and for the floor of a distance, `rows`
        only say which tuples the samples are compared with.
        """

    @abstractmethod
    def compute(self) -> list[Row]:
        """The rows of everything that was added."""
