"""The protocol: which samples are drawn from a trained model, and what the metrics are shown.

Every cell of a dataset is measured on the same test tuples in the same order. Each set of given modalities is sampled
once, for all its targets; metrics see the samples in batches. The reference points (`references`), and the model's
reconstruction of each modality, are measured by the same metrics.
"""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any, Literal

import numpy as np
from torch import Tensor

from ..errors import PluginError
from ..metric import Bench, Metric, Row
from ..modality import Task
from ..model import Batch
from ..store.samples import sample_key
from ..store.schema import row_fault
from .blaming import blaming
from .export import as_array
from .references import references
from .sampling import Sampler, title
from .tasks import measured_tasks

__all__ = ["KEPT", "Measurement", "begun", "groups", "measure", "targets", "wanted"]

KEPT = 32
"""Samples of each task that are kept for the figures."""

Metrics = Mapping[str, type[Metric]]


@dataclass
class Measurement:
    """What measuring a model gives."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    """`Row`s as a cell's file holds them."""
    samples: dict[str, np.ndarray] = field(default_factory=dict)
    """The first `KEPT` samples and conditions of each task, by `sample_key`."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Phase -> wall time."""
    metric_seconds: dict[str, float] = field(default_factory=dict)
    """Metric -> wall time of its own work."""
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    """Phase -> forward calls of each of the model's modules, for one batch of the protocol's size."""
    per_sample: dict[str, dict[str, float]] = field(default_factory=dict)
    """Phase -> how often each of these modules computes for one sample."""


class _ReferenceRows(list[dict[str, Any]]):
    """The rows of one metric's reference points, remembered for the process."""


def measure(sampler: Sampler, bench: Bench, metrics: Metrics, *, figures: bool = True) -> Measurement:
    """Draw samples for every task of the dataset and measure them and the reference points.

    Every metric must have been prepared. `figures` asks for the first samples of each task, whatever the metrics want.
    """
    result = Measurement(metric_seconds=dict.fromkeys(metrics, 0.0))
    with _clock(result.seconds, "references"):
        _references(bench, metrics, result)
    made, own = groups(bench)
    for tasks, source in ((made, "model"), (own, "reconstruction")):
        chosen = {name: begun(name, metric, bench) for name, metric in metrics.items()}
        for group in tasks:
            _generate(sampler, bench, chosen, group, result, figures)
        result.rows += chain(*_collect(chosen, source, "", result).values())
    result.calls, result.per_sample = sampler.calls, sampler.per_sample
    return result


def groups(bench: Bench) -> tuple[list[list[Task]], list[list[Task]]]:
    """Tasks that are sampled together since they share what is given; then each modality's reconstruction."""
    tasks = measured_tasks(bench.dataset.spec, bench.protocol)
    made = [[task for task in tasks if task.given == given] for given in dict.fromkeys(task.given for task in tasks)]
    return made, [[Task((name,), (name,))] for name in bench.dataset.spec.names]


def targets(tasks: Sequence[Task]) -> tuple[str, ...]:
    """What is generated for tasks that share what is given."""
    return tuple(dict.fromkeys(name for task in tasks for name in task.targets))


def _generate(
    sampler: Sampler,
    bench: Bench,
    metrics: Mapping[str, Metric],
    tasks: Sequence[Task],
    result: Measurement,
    figures: bool,
) -> None:
    """Sample the targets of tasks that share their given modalities, and feed the metrics."""
    given, made = tasks[0].given, targets(tasks)
    most = max((wanted(name, metric, tasks) for name, metric in metrics.items()), default=0)
    count = min(len(bench.order), max(most, sampler.keep, KEPT if figures else 0))
    if not count:
        return
    phase = f"generate {title(given, made)}"
    with _clock(result.seconds, phase), bench.progress.phase(phase, count, "sample") as advance:
        for start, rows, conditions, samples in sampler.batches(bench, given, made, count):
            _feed(metrics, tasks, samples, rows, start, result)
            if start == 0 and figures:
                _keep(bench, tasks, conditions, samples, result)
            advance(len(rows))


def begun(name: str, metric: type[Metric], bench: Bench) -> Metric:
    """An instance of a metric; its author is blamed for what goes wrong."""
    with blaming(name):
        return metric(bench)


def wanted(name: str, metric: Metric, tasks: Sequence[Task]) -> int:
    """How many samples a metric wants of tasks that are sampled together."""
    with blaming(name):
        return max(operator.index(metric.wants(task)) for task in tasks)


def _feed(
    metrics: Mapping[str, Metric],
    tasks: Iterable[Task],
    samples: Batch,
    rows: Tensor,
    start: int,
    result: Measurement,
) -> None:
    for name, metric in metrics.items():
        with _clock(result.metric_seconds, name), blaming(name):
            for task in tasks:
                n = min(len(rows), metric.wants(task) - start)
                if n > 0:
                    metric.update(task, {target: samples[target][:n] for target in task.targets}, rows[:n])


def _keep(bench: Bench, tasks: Iterable[Task], conditions: Batch, samples: Batch, result: Measurement) -> None:
    def keep(task: Task, role: Literal["given", "target"], name: str, values: Batch) -> None:
        array = as_array(bench.dataset.spec.modality(name), values[name][:KEPT])
        result.samples[sample_key(task.name, role, name)] = array

    for task in tasks:
        for name in task.given:
            keep(task, "given", name, conditions)
        for name in task.targets:
            keep(task, "target", name, samples)


def _references(bench: Bench, metrics: Metrics, result: Measurement) -> None:
    """The rows of the reference points; they belong to the data, so a process measures them once."""
    fresh = {name: metric for name, metric in metrics.items() if not bench.memory.knows(_ReferenceRows, name)}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in fresh}
    tasks = measured_tasks(bench.dataset.spec, bench.protocol)
    for point in references(bench, fresh):
        chosen = {name: begun(name, metric, bench) for name, metric in point.metrics.items()}
        for start, rows, batch in point.samples:
            _feed(chosen, tasks, batch, rows, start, result)
        for name, lines in _collect(chosen, point.source, point.data, result).items():
            found[name] += lines
    for name, lines in found.items():
        bench.memory.remember(_ReferenceRows, name, _ReferenceRows(lines))
    for name in metrics:
        result.rows += [dict(row) for row in bench.memory.recall(_ReferenceRows, name, _ReferenceRows)]


def _collect(
    metrics: Mapping[str, Metric], source: str, data: str, result: Measurement
) -> dict[str, list[dict[str, Any]]]:
    """The rows of each metric, as a cell's file holds them. Raises PluginError for a number that is not finite."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, metric in metrics.items():
        with _clock(result.metric_seconds, name), blaming(name):
            found[name] = [
                _line(name, row) | {"plugin": name, "source": source, "data": data} for row in metric.compute()
            ]
    return found


def _line(name: str, row: Any) -> dict[str, Any]:
    """A row as a cell's file holds it, whatever kinds of numbers the metric took; PluginError for what is none."""
    if not isinstance(row, Row):
        raise PluginError(f"{name}: compute must return a list of Row, got a {type(row).__name__}")
    value, interval = float(row.value), None if row.interval is None else [float(bound) for bound in row.interval]
    if not math.isfinite(value):
        raise PluginError(f"{row.metric} of {row.task} ({row.modality}) is {value}; look at the samples")
    line = {**asdict(row), "value": value, "count": operator.index(row.count), "interval": interval}
    if wrong := row_fault(line):
        raise PluginError(f"{name}: one of its rows will not do ({wrong}); tell its author")
    return line


@contextmanager
def _clock(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.monotonic() - start
