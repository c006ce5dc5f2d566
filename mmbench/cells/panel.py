"""The metrics that measure one source of samples: each is shown what it wants, and its faults are its own.

A metric that fails is named and left out, with all its rows; the others measure on.
"""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from ..declared import row_fault as stray
from ..errors import MmbenchError, PluginError, ResultError
from ..metric import Bench, Metric, Row
from ..modality import Task
from ..model import Batch, Model
from ..store.schema import row_fault
from .blaming import blaming
from .references import lend

__all__ = ["Metrics", "Panel", "Toll", "begun", "clock", "wanted"]

Metrics = Mapping[str, type[Metric]]


@dataclass
class Toll:
    """What became of the metrics of a cell, over all sources of samples."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Metric -> wall time of its own work."""
    failed: dict[str, MmbenchError] = field(default_factory=dict)
    """Metric -> why it gives no rows."""

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """What is done inside is a metric's own: its time, and its failure. Where nothing can be kept (ResultError), or
        somebody interrupts, no metric is to blame, and that passes through."""
        try:
            with clock(self.seconds, name), blaming(name):
                yield
        except ResultError:
            raise
        except MmbenchError as error:
            self.failed[name] = error


class Panel:
    """An instance of each metric, for one source of samples.

    Arguments:
        toll: those that failed before are not asked again.
    """

    def __init__(self, bench: Bench, metrics: Metrics, toll: Toll) -> None:
        self.metrics, self.toll = metrics, toll
        self.bench, self.most = bench, dict[str, int]()
        self._instances: dict[str, Metric] = {}
        for name, metric in metrics.items():
            if name not in toll.failed:
                with toll.of(name):
                    self._begin(name, metric)

    def _begin(self, name: str, metric: type[Metric]) -> None:
        lent = lend(self.bench, metric)
        self._instances[name] = metric(lent)
        self.most[name] = len(lent.order)

    @property
    def active(self) -> dict[str, Metric]:
        """Those that have not failed."""
        return {name: metric for name, metric in self._instances.items() if name not in self.toll.failed}

    def wants(self, tasks: Sequence[Task]) -> int:
        """The most samples that one of them measures of tasks that are sampled together."""
        return max((self._wanted(name, metric, tasks) for name, metric in self.active.items()), default=0)

    def _wanted(self, name: str, metric: Metric, tasks: Sequence[Task]) -> int:
        found = 0
        with self.toll.of(name):
            found = wanted(name, metric, tasks)
        return min(found, self.most[name])

    def examine(self, model: Model) -> None:
        for name, metric in self.active.items():
            if metric.of_model:
                with self.toll.of(name):
                    metric.examine(model)

    def examines(self) -> bool:
        """Whether one of them looks at the model itself."""
        return any(metric.of_model for metric in self.active.values())

    def feed(self, tasks: Iterable[Task], samples: Batch, rows: Tensor, start: int) -> None:
        """A batch of samples for the test tuples `rows`, of which the first is the `start`-th of its tasks."""
        tasks = list(tasks)
        for name, metric in self.active.items():
            with self.toll.of(name):
                for task in tasks:
                    n = min(len(rows), min(metric.wants(task), self.most[name]) - start)
                    if n > 0:
                        metric.update(task, {target: samples[target][:n] for target in task.targets}, rows[:n])

    def rows(self, source: str, data: str = "") -> dict[str, list[dict[str, Any]]]:
        """The rows of each metric, as a cell's file holds them."""
        found: dict[str, list[dict[str, Any]]] = {}
        for name, metric in self.active.items():
            with self.toll.of(name):
                lines = [self._checked(name, row) for row in metric.compute()]
                _refuse_twice(name, lines, [line for others in found.values() for line in others])
                found[name] = [line | {"plugin": name, "source": source, "data": data} for line in lines]
        return found

    def _checked(self, name: str, row: Any) -> dict[str, Any]:
        """A row as a cell's file holds it; PluginError where it is not what its metric declares."""
        line = as_line(name, row)
        if wrong := stray(self.metrics[name], row, self.bench.dataset.spec.names):
            raise PluginError(f"{name}: {wrong}; tell its author")
        return line


def begun(name: str, metric: type[Metric], bench: Bench) -> Metric:
    """An instance of a metric on the bench that it is lent; its author is blamed for what goes wrong."""
    with blaming(name):
        return metric(lend(bench, metric))


def wanted(name: str, metric: Metric, tasks: Sequence[Task]) -> int:
    """How many samples a metric wants of tasks that are sampled together."""
    with blaming(name):
        return max(operator.index(metric.wants(task)) for task in tasks)


def as_line(name: str, row: Any) -> dict[str, Any]:
    """A row as a cell's file holds it, whatever kinds of numbers the metric took; PluginError for what is none."""
    if not isinstance(row, Row):
        raise PluginError(f"{name}: compute must return a list of Row, got a {type(row).__name__}")
    value, interval = float(row.value), None if row.interval is None else [float(bound) for bound in row.interval]
    if not math.isfinite(value):
        raise PluginError(f"{name}: {row.metric} of {row.task} ({row.modality}) is {value}; look at the samples")
    line = {**asdict(row), "value": value, "count": operator.index(row.count), "interval": interval}
    if wrong := row_fault(line):
        raise PluginError(f"{name}: one of its rows will not do ({wrong}); tell its author")
    return line


def _refuse_twice(name: str, lines: Sequence[Mapping[str, Any]], others: Collection[Mapping[str, Any]]) -> None:
    """A number stands in a cell once."""
    seen = {_point(line): line["plugin"] for line in others}
    for line in lines:
        point = _point(line)
        if point in seen:
            who = "it" if seen[point] == name else seen[point]
            raise PluginError(f"{name}: {' '.join(point)} is given twice ({who} gives it, too): rename one of its rows")
        seen[point] = name


def _point(line: Mapping[str, Any]) -> tuple[str, str, str]:
    return line["metric"], line["task"], line["modality"]


@contextmanager
def clock(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.monotonic()
    try:
        yield
    finally:
        seconds[name] = seconds.get(name, 0.0) + time.monotonic() - start
