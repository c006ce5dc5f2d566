"""The protocol: which samples are drawn from a trained model, and which reference points stand beside them.

Every cell of a dataset is measured on the same test tuples in the same order. Each set of given modalities is sampled
once, for all its targets; metrics see the samples in batches. The reference points are measured by the same metrics:
real data (for distances: other tuples), shuffled tuples (chance), and the model's reconstruction of each modality.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .data.dataset import Split
from .errors import PluginError
from .metric import Bench, Metric
from .modality import Task
from .model import Batch
from .sampling import Sampler, as_array, batches, title
from .seeding import generator
from .store import sample_key

__all__ = ["KEPT", "Measurement", "evaluation_order", "measure"]

KEPT = 32
"""Samples of each task that are kept for the figures."""


@dataclass
class Measurement:
    """What measuring a model gives."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    """`Row`s as dictionaries with their 'source'."""
    samples: dict[str, np.ndarray] = field(default_factory=dict)
    """The first `KEPT` samples and conditions of each task, by `store.sample_key`."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Phase -> wall time."""
    metric_seconds: dict[str, float] = field(default_factory=dict)
    """Metric -> wall time of its own work."""
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    """Phase -> forward calls of each of the model's modules, for one batch of the protocol's size."""


def evaluation_order(test: Split, seed: int) -> Tensor:
    """The test tuples in a random order that depends on the protocol's seed alone, int64 (N,)."""
    return torch.randperm(len(test), generator=generator(seed, "evaluation order"))


def measure(
    sampler: Sampler, bench: Bench, metrics: Mapping[str, type[Metric]], *, figures: bool = True
) -> Measurement:
    """Draw samples for every task of the dataset and measure them and the reference points.

    Every metric must have been prepared. `figures` asks for the first samples of each task, whatever the metrics want.
    """
    result = Measurement(metric_seconds=dict.fromkeys(metrics, 0.0))
    names = bench.dataset.spec.names
    with _clock(result.seconds, "references"):
        _references(bench, metrics, result)
    tasks = bench.dataset.spec.tasks()
    chosen = {name: metric(bench) for name, metric in metrics.items()}
    for given in dict.fromkeys(task.given for task in tasks):
        group = [task for task in tasks if task.given == given]
        _generate(sampler, bench, chosen, group, result, figures)
    result.rows += chain(*_collect(chosen, "model", result).values())
    chosen = {name: metric(bench) for name, metric in metrics.items()}
    for name in names:
        _generate(sampler, bench, chosen, [Task((name,), (name,))], result, figures)
    result.rows += chain(*_collect(chosen, "reconstruction", result).values())
    result.calls = sampler.calls
    return result


def _generate(
    sampler: Sampler,
    bench: Bench,
    metrics: Mapping[str, Metric],
    tasks: Sequence[Task],
    result: Measurement,
    figures: bool,
) -> None:
    """Sample the targets of tasks that share their given modalities, and feed the metrics."""
    given = tasks[0].given
    targets = tuple(dict.fromkeys(name for task in tasks for name in task.targets))
    wanted = max((metric.wants(task) for metric in metrics.values() for task in tasks), default=0)
    count = min(len(bench.order), max(wanted, sampler.keep, KEPT if figures else 0))
    if not count:
        return
    phase = f"generate {title(given, targets)}"
    with _clock(result.seconds, phase), bench.progress.phase(phase, count, "sample") as advance:
        for start, rows, conditions, samples in sampler.batches(bench, given, targets, count):
            _feed(metrics, tasks, samples, rows, start, result)
            if start == 0 and figures:
                _keep(bench, tasks, conditions, samples, result)
            advance(len(rows))


def _feed(
    metrics: Mapping[str, Metric],
    tasks: Iterable[Task],
    samples: Batch,
    rows: Tensor,
    start: int,
    result: Measurement,
) -> None:
    for name, metric in metrics.items():
        with _clock(result.metric_seconds, name):
            for task in tasks:
                n = min(len(rows), metric.wants(task) - start)
                if n > 0:
                    metric.update(task, {target: samples[target][:n] for target in task.targets}, rows[:n])


def _keep(
    bench: Bench,
    tasks: Iterable[Task],
    conditions: Batch,
    samples: Batch,
    result: Measurement,
) -> None:
    for task in tasks:
        for name in task.given:
            key = sample_key(task.name, "given", name)
            result.samples[key] = as_array(bench.dataset.spec.modality(name), conditions[name][:KEPT])
        for name in task.targets:
            key = sample_key(task.name, "target", name)
            result.samples[key] = as_array(bench.dataset.spec.modality(name), samples[name][:KEPT])


Samples = Iterator[tuple[int, Tensor, dict[str, Tensor]]]
"""Of a reference point: (start, test tuples, a batch of every modality)."""


def _references(bench: Bench, metrics: Mapping[str, type[Metric]], result: Measurement) -> None:
    """The rows of real and shuffled tuples; they belong to the data, so a process measures them once.

    What judges pairs within a sample reads the evaluated tuples themselves; a distance to them is taken from others.
    """
    fresh = {name: metric for name, metric in metrics.items() if f"reference/{name}" not in bench.memo}
    if fresh:
        paired = {name: metric for name, metric in fresh.items() if metric.paired}
        distances = {name: metric for name, metric in fresh.items() if not metric.paired}
        same = replace(bench, order=bench.order[: _count(bench)])
        real = _reference(same, paired, "real", _real(same), result)
        if distances:
            other, note = _other(bench)
            real |= _reference(other, distances, "real", _real(other), result, note)
        shuffled = _reference(bench, paired, "shuffled", _shuffled(bench), result)
        bench.memo.update({f"reference/{name}": real[name] + shuffled.get(name, []) for name in fresh})
    result.rows += [dict(row) for name in metrics for row in bench.memo[f"reference/{name}"]]


def _reference(
    bench: Bench,
    metrics: Mapping[str, type[Metric]],
    source: str,
    samples: Samples,
    result: Measurement,
    note: str = "",
) -> dict[str, list[dict[str, Any]]]:
    chosen = {name: metric(bench) for name, metric in metrics.items()}
    for start, rows, batch in samples:
        _feed(chosen, bench.dataset.spec.tasks(), batch, rows, start, result)
    return _collect(chosen, source, result, note)


def _count(bench: Bench) -> int:
    protocol = bench.protocol
    return min(len(bench.order), max(protocol.count or len(bench.order), protocol.quality_count))


FEWEST = 1000
"""Other real test tuples that make a floor worth having; where fewer are left, the training data serve."""


def _other(bench: Bench) -> tuple[Bench, str]:
    """A bench whose evaluation order holds real tuples that share no image with the evaluated ones, and a note.

    Texts may be shared (there are ten words). Where too few test tuples are left, it is a bench over training tuples.
    """
    count, data = _count(bench), bench.dataset
    rest = bench.order[count:]
    free = torch.ones(len(rest), dtype=torch.bool)
    for column, modality in zip(data.test.index.long().T, data.spec.modalities, strict=True):
        if not modality.is_text:
            taken = torch.zeros(len(data.test.items[modality.name]), dtype=torch.bool)
            taken[column[bench.order[:count]]] = True
            free &= ~taken[column[rest]]
    if int(free.sum()) >= min(count, FEWEST):
        return replace(bench, order=rest[free][:count]), ""
    train = evaluation_order(data.train, bench.protocol.seed)[:count]
    return replace(bench, dataset=replace(data, test=data.train), order=train), "training data"


def _real(bench: Bench) -> Samples:
    """The tuples of a bench themselves: the floor of distances, the ceiling of coherence."""
    for start, rows in batches(bench.order, bench.protocol.batch_size):
        yield start, rows, bench.dataset.test.gather(rows)


def _shuffled(bench: Bench) -> Samples:
    """The evaluated tuples with each modality permuted on its own: chance."""
    order, test = bench.order[: _count(bench)], bench.dataset.test
    draws = generator(bench.protocol.seed, "shuffled")
    permuted = {name: order[torch.randperm(len(order), generator=draws)] for name in test.names}
    for start, rows in batches(order, bench.protocol.batch_size):
        cut = slice(start, start + len(rows))
        yield start, rows, {name: test.gather(permuted[name][cut], (name,))[name] for name in test.names}


def _collect(
    metrics: Mapping[str, Metric], source: str, result: Measurement, note: str = ""
) -> dict[str, list[dict[str, Any]]]:
    """The rows of each metric, as a cell's file holds them. Raises PluginError for a number that is not finite."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, metric in metrics.items():
        with _clock(result.metric_seconds, name):
            rows = metric.compute()
        for row in rows:
            if not math.isfinite(row.value):
                raise PluginError(f"{row.metric} of {row.task} ({row.modality}) is {row.value}; look at the samples")
        notes = ["; ".join(part for part in (row.note, note) if part) for row in rows]
        found[name] = [{**asdict(row), "source": source, "note": n} for row, n in zip(rows, notes, strict=True)]
    return found


@contextmanager
def _clock(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.monotonic() - start
