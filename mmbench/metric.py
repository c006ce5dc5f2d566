"""The contract of a metric: a plugin of the group `mmbench.metrics`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor

from .bench import Bench, Extractor, Memory
from .described import described
from .modality import DatasetSpec, Task
from .model import Model

__all__ = ["Bench", "Cost", "Extractor", "Kept", "Memory", "Metric", "Quantity", "Row"]

Cost = Literal["cheap", "dear"]
"""Of a cell on two cores: seconds, or minutes and more."""


@described
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


@described
@dataclass(frozen=True, kw_only=True)
class Quantity:
    """What a metric says of one kind of its rows, before it has any."""

    bounds: tuple[float, float]
    """The least and the largest value that it can have."""
    higher_is_better: bool | None
    title: str = ""
    """The name in print; made from the row's name where it is empty."""
    group: str = ""
    """What it speaks of, see `declared.GROUPS`; '' where nothing is said."""


@described
class Metric(ABC):
    """Measures samples of a dataset's tasks; the harness feeds it batches and then asks for its rows.

    One instance measures one source of samples: the model, or a reference point (real data, shuffled tuples,
    reconstructions). A distance is always taken to the evaluated tuples, `bench.real`; for its floor the harness
    passes other real data as samples, of which nothing is in the bench that the metric is lent.

    A value out of bounds, an unknown task or modality, or a direction other than the declared one is refused; a metric
    that fails is left out of its cell, and the others are not.
    """

    name: ClassVar[str]
    higher_is_better: ClassVar[bool | None]
    bounds: ClassVar[tuple[float, float]]
    """The least and the largest value of the rows of its own name, ends included."""
    unit: ClassVar[str] = ""
    title: ClassVar[str] = ""
    """The name in print."""
    group: ClassVar[str] = ""
    """What it speaks of, see `declared.GROUPS`: only 'coherence' stands among the coherence of a main table."""
    quantities: ClassVar[Mapping[str, Quantity]] = MappingProxyType({})
    """The rows of other names that it gives."""
    cost: ClassVar[Cost] = "cheap"
    default: ClassVar[bool] = False
    """Whether a new cell is measured with it on every dataset that it fits, named by the dataset or not."""
    paired: ClassVar[bool] = False
    """Whether the metric looks at what belongs together in one sample; only then do shuffled tuples tell anything."""
    of_model: ClassVar[bool] = False
    """Whether it looks at the trained model itself (`examine`)."""
    tells: ClassVar[tuple[str, ...]] = ()
    """Constructed generators that it finds worse than a perfect one: 'collapsed', 'shuffled' (`mmbench check`)."""

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

    def examine(self, model: Model) -> None:
        """Look at the trained model itself, once, before any of its samples; asked only where `of_model`. The model is
        in eval mode, and stays as it is."""
        return

    @abstractmethod
    def compute(self) -> list[Row]:
        """The rows of everything that was added."""
