"""The protocol: which samples are drawn from a trained model, and what the metrics are shown.

Every cell of a dataset is measured on the same test tuples in the same order. Each set of given modalities is sampled
once, for all its targets; metrics see the samples in batches. The reference points (`references`), and the model's
reconstruction of each modality, are measured by the same metrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

import numpy as np

from ..errors import MmbenchError, UnavailableError
from ..metric import Bench, Metric
from ..modality import Task
from ..model import Batch
from ..store.samples import sample_key
from .export import as_array
from .panel import Metrics, Panel, Toll, begun, clock, wanted
from .references import references
from .sampling import Sampler, title
from .tasks import measured_tasks

__all__ = ["KEPT", "Measurement", "begun", "groups", "measure", "targets", "wanted"]

KEPT = 32
"""Samples of each task that are kept for the figures."""


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
    failed: dict[str, MmbenchError] = field(default_factory=dict)
    """Metric -> why it gave no rows."""


class _ReferenceRows(list[dict[str, Any]]):
    """The rows of one metric's reference points, remembered for the process."""


def measure(sampler: Sampler, bench: Bench, metrics: Metrics, *, figures: bool = True) -> Measurement:
    """Draw samples for every task of the dataset and measure them and the reference points.

    Every metric must have been prepared. `figures` asks for the first samples of each task, whatever the metrics want.
    A metric that fails is left out of the rows; where all of them do, the first one's error is raised, but
    for those that lack something (UnavailableError).
    """
    toll = Toll(dict.fromkeys(metrics, 0.0))
    result = Measurement(metric_seconds=toll.seconds, failed=toll.failed)
    with clock(result.seconds, "references"):
        _references(bench, metrics, toll, result)
    made, own = groups(bench)
    for tasks, source in ((made, "model"), (own, "reconstruction")):
        panel = Panel(bench, metrics, toll)
        if source == "model" and panel.examines():
            with clock(result.seconds, "examine the model"):
                panel.examine(sampler.model())
        for group in tasks:
            _generate(sampler, bench, panel, group, result, figures)
        result.rows += chain(*panel.rows(source).values())
    failed = [error for error in toll.failed.values() if not isinstance(error, UnavailableError)]
    if failed and len(toll.failed) == len(metrics):
        raise failed[0]
    result.rows = [row for row in result.rows if row["plugin"] not in toll.failed]
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
    panel: Panel,
    tasks: Sequence[Task],
    result: Measurement,
    figures: bool,
) -> None:
    """Sample the targets of tasks that share their given modalities, and feed the metrics."""
    given, made = tasks[0].given, targets(tasks)
    count = min(len(bench.order), max(panel.wants(tasks), sampler.keep, KEPT if figures else 0))
    if not count:
        return
    phase = f"generate {title(given, made)}"
    with clock(result.seconds, phase), bench.progress.phase(phase, count, "sample") as advance:
        for start, rows, conditions, samples in sampler.batches(bench, given, made, count):
            panel.feed(tasks, samples, rows, start)
            if start == 0 and figures:
                _keep(bench, tasks, conditions, samples, result)
            advance(len(rows))


def _keep(bench: Bench, tasks: Iterable[Task], conditions: Batch, samples: Batch, result: Measurement) -> None:
    def keep(task: Task, role: Literal["given", "target"], name: str, values: Batch) -> None:
        array = as_array(bench.dataset.spec.modality(name), values[name][:KEPT])
        result.samples[sample_key(task.name, role, name)] = array

    for task in tasks:
        for name in task.given:
            keep(task, "given", name, conditions)
        for name in task.targets:
            keep(task, "target", name, samples)


def _references(bench: Bench, metrics: Metrics, toll: Toll, result: Measurement) -> None:
    """The rows of the reference points; they belong to the data, so a process measures them once."""
    fresh: dict[str, type[Metric]] = {}
    tasks = measured_tasks(bench.dataset.spec, bench.protocol)
    for name, metric in metrics.items():
        if not bench.memory.knows(_ReferenceRows, name):
            fresh[name] = metric
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in fresh}
    for point in references(bench, fresh, toll.of):
        panel = Panel(bench, point.metrics, toll)
        for start, rows, batch in point.samples:
            panel.feed(tasks, batch, rows, start)
        for name, lines in panel.rows(point.source, point.data).items():
            found[name] += lines
    for name in metrics:
        if name in toll.failed:
            continue
        if name in found:
            bench.memory.remember(_ReferenceRows, name, _ReferenceRows(found[name]))
        result.rows += [dict(row) for row in bench.memory.recall(_ReferenceRows, name, _ReferenceRows)]
