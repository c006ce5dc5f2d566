"""The protocol: which samples are drawn from a trained model, and which reference points stand beside them.

Every cell of a dataset is measured on the same test tuples in the same order. Each set of given modalities is sampled
once, for all its targets; metrics see the samples in batches. The reference points are measured by the same metrics:
real data (other test tuples), shuffled tuples (chance), and the model's reconstruction of each modality.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .data.dataset import Split
from .errors import PluginError
from .metric import Bench, Metric
from .modality import Modality, Task
from .model import Model, draw
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
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    """Phase -> forward calls of each of the model's modules, for one batch of the protocol's size."""


def evaluation_order(test: Split, seed: int) -> Tensor:
    """The test tuples in a random order that depends on the protocol's seed alone, int64 (N,)."""
    return torch.randperm(len(test), generator=generator(seed, "evaluation order"))


def measure(model: Model, bench: Bench, metrics: Mapping[str, type[Metric]], seed: int) -> Measurement:
    """Draw samples for every task of the dataset and measure them and the reference points.

    `seed` is the cell's: the samples depend on it and on what is given, not on batches, metrics or the other tasks.
    """
    result = Measurement()
    for metric in metrics.values():
        metric.prepare(bench)
    names = bench.dataset.spec.names
    with _clock(result.seconds, "references"):
        paired = {name: metric for name, metric in metrics.items() if metric.paired}
        other, note = _other(bench)
        _reference(other, metrics, "real", _real(other), result, note)
        _reference(bench, paired, "shuffled", _shuffled(bench), result)
    tasks = bench.dataset.spec.tasks()
    chosen = {name: metric(bench) for name, metric in metrics.items()}
    for given in dict.fromkeys(task.given for task in tasks):
        group = [task for task in tasks if task.given == given]
        _generate(model, bench, chosen, group, seed, result)
    _collect(chosen, "model", result)
    chosen = {name: metric(bench) for name, metric in metrics.items()}
    for name in names:
        _generate(model, bench, chosen, [Task((name,), (name,))], seed, result)
    _collect(chosen, "reconstruction", result)
    return result


def _generate(
    model: Model, bench: Bench, metrics: Mapping[str, Metric], tasks: Sequence[Task], seed: int, result: Measurement
) -> None:
    """Sample the targets of tasks that share their given modalities, and feed the metrics."""
    given = tasks[0].given
    targets = tuple(dict.fromkeys(name for task in tasks for name in task.targets))
    title = tasks[0].name if len(tasks) == 1 else f"{'+'.join(given)}->{'+'.join(targets)}"
    wanted = max((metric.wants(task) for metric in metrics.values() for task in tasks), default=0)
    count = min(len(bench.order), wanted or KEPT)  # where no metric wants any, the figures do
    draws = generator(seed, "sample", "given", *given)
    with (
        _clock(result.seconds, f"generate {title}"),
        bench.progress.phase(f"generate {title}", count, "sample") as advance,
    ):
        for start, rows in _batches(bench.order[:count], bench.protocol.batch_size):
            conditions = bench.dataset.test.gather(rows, given) if given else {}
            with _count_calls(model) if start == 0 else nullcontext() as calls:
                samples = draw(model, conditions, targets, count=len(rows), generator=draws)
            if calls is not None:
                result.calls[title] = dict(calls)
            _feed(metrics, tasks, samples, rows, start)
            if start == 0:
                _keep(bench, tasks, conditions, samples, result)
            advance(len(rows))


def _feed(
    metrics: Mapping[str, Metric], tasks: Iterable[Task], samples: Mapping[str, Tensor], rows: Tensor, start: int
) -> None:
    for metric in metrics.values():
        for task in tasks:
            n = min(len(rows), metric.wants(task) - start)
            if n > 0:
                metric.update(task, {name: samples[name][:n] for name in task.targets}, rows[:n])


def _keep(
    bench: Bench,
    tasks: Iterable[Task],
    conditions: Mapping[str, Tensor],
    samples: Mapping[str, Tensor],
    result: Measurement,
) -> None:
    for task in tasks:
        for name in task.given:
            key = sample_key(task.name, "given", name)
            result.samples[key] = as_array(bench.dataset.spec.modality(name), conditions[name][:KEPT])
        for name in task.targets:
            key = sample_key(task.name, "target", name)
            result.samples[key] = as_array(bench.dataset.spec.modality(name), samples[name][:KEPT])


def as_array(modality: Modality, values: Tensor) -> np.ndarray:
    """Items (n, *shape) for a sample file: images uint8 (n, C, H, W), texts unicode (n,)."""
    if modality.is_text:
        return np.array([modality.text(tokens) for tokens in values.tolist()], dtype=np.str_)
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


Samples = Iterator[tuple[int, Tensor, dict[str, Tensor]]]
"""Of a reference point: (start, test tuples, a batch of every modality)."""


def _reference(
    bench: Bench,
    metrics: Mapping[str, type[Metric]],
    source: str,
    samples: Samples,
    result: Measurement,
    note: str = "",
) -> None:
    chosen = {name: metric(bench) for name, metric in metrics.items()}
    for start, rows, batch in samples:
        _feed(chosen, bench.dataset.spec.tasks(), batch, rows, start)
    _collect(chosen, source, result, note)


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
    for start, rows in _batches(bench.order, bench.protocol.batch_size):
        yield start, rows, bench.dataset.test.gather(rows)


def _shuffled(bench: Bench) -> Samples:
    """The evaluated tuples with each modality permuted on its own: chance."""
    order, test = bench.order[: _count(bench)], bench.dataset.test
    draws = generator(bench.protocol.seed, "shuffled")
    permuted = {name: order[torch.randperm(len(order), generator=draws)] for name in test.names}
    for start, rows in _batches(order, bench.protocol.batch_size):
        cut = slice(start, start + len(rows))
        yield start, rows, {name: test.gather(permuted[name][cut], (name,))[name] for name in test.names}


def _batches(rows: Tensor, size: int) -> Iterator[tuple[int, Tensor]]:
    start = 0
    for part in rows.split(size):
        yield start, part
        start += len(part)


def _collect(metrics: Mapping[str, Metric], source: str, result: Measurement, note: str = "") -> None:
    for metric in metrics.values():
        for row in metric.compute():
            if not math.isfinite(row.value):
                raise PluginError(f"{row.metric} of {row.task} ({row.modality}) is {row.value}; look at the samples")
            notes = "; ".join(part for part in (row.note, note) if part)
            result.rows.append({**asdict(row), "source": source, "note": notes})


@contextmanager
def _count_calls(model: Model) -> Iterator[Counter[str]]:
    """Forward calls of the model's modules by qualified name, those that another module makes left out."""
    calls: Counter[str] = Counter()
    depth = 0

    def enter(*_: Any) -> None:
        nonlocal depth
        depth += 1

    def leave(name: str) -> None:
        nonlocal depth
        depth -= 1
        if depth == 0:
            calls[name] += 1

    hooks = []
    for name, module in model.named_modules():
        if module is not model:
            hooks.append(module.register_forward_pre_hook(enter))
            hooks.append(module.register_forward_hook(lambda *_, name=name: leave(name)))
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _clock(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.monotonic() - start
