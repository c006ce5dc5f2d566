"""Reference points: what a model's numbers are read against, measured by the same metrics on real data.

A metric that looks at what belongs together in a sample reads the evaluated tuples themselves (its ceiling) and the
same tuples shuffled (chance). A distance is taken from *other* real data to the evaluated tuples (its floor): as many
tuples as the distance uses, none of which shares an image or a caption with them; test tuples where enough are left,
training tuples elsewhere. Each row says which data it was.

A metric that measures a distance is lent a bench (`lend`) without its floor's data: neither its order nor its tuples
nor their items hold them. So what is compared and what it is compared with never overlap, whatever the metric does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from operator import index
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..data.dataset import Dataset, Split
from ..metric import Bench, Memory, Metric
from ..modality import Modality
from ..seeding import generator
from .blaming import blaming
from .sampling import batches
from .tasks import measured_tasks

__all__ = ["Floor", "Reference", "evaluation_order", "floor", "lend", "references", "wanted"]

Metrics = Mapping[str, type[Metric]]


def evaluation_order(test: Split, seed: int) -> Tensor:
    """The test tuples in a random order that depends on the protocol's seed alone, int64 (N,)."""
    return torch.randperm(len(test), generator=generator(seed, "evaluation order"))


class Reference(NamedTuple):
    """One reference point: its samples stand for the evaluated tuples, in the same order."""

    source: str
    """'real' or 'shuffled'."""
    data: str
    """Which real data: 'other test tuples'."""
    metrics: Metrics
    """Those that are measured on it."""
    samples: Iterator[tuple[int, Tensor, dict[str, Tensor]]]
    """(start, evaluated tuples, a batch of every modality)."""


@dataclass(frozen=True)
class Floor:
    """Real tuples that share nothing with the evaluated ones."""

    split: Split
    rows: Tensor
    data: str


def references(
    bench: Bench, metrics: Metrics, own: Callable[[str], AbstractContextManager[Any]] = nullcontext
) -> Iterator[Reference]:
    """The reference points of these metrics. What a metric does is done within `own` of its name; where that keeps an
    error to itself, the metric has none."""
    counts: dict[str, int] = {}
    for name, metric in metrics.items():
        with own(name):
            counts[name] = wanted(bench, metric)
    paired = {name: metrics[name] for name in counts if metrics[name].paired}
    if paired:
        rows = bench.order[: max(counts[name] for name in paired)]
        split = bench.protocol.split
        yield Reference("real", f"the evaluated {split} tuples", paired, _real(bench, rows, bench.dataset.test, rows))
        yield Reference("shuffled", f"the evaluated {split} tuples, shuffled", paired, _shuffled(bench, rows))
    for count in dict.fromkeys(counts[name] for name in counts if name not in paired and counts[name]):
        group = {name: metrics[name] for name in counts if name not in paired and counts[name] == count}
        other = _lent(bench, count).floor
        samples = _real(bench, bench.order[:count], other.split, other.rows)
        yield Reference("real", other.data, group, samples)


class _Count(NamedTuple):
    tuples: int


def wanted(bench: Bench, metric: type[Metric]) -> int:
    """The most tuples that a metric measures of any task; asked once, of an instance of its own."""

    def make() -> _Count:
        tasks = measured_tasks(bench.dataset.spec, bench.protocol)
        with blaming(str(getattr(metric, "name", metric.__qualname__))):
            made = metric(bench)
            return _Count(min(len(bench.order), max(index(made.wants(task)) for task in tasks)))

    return bench.memory.recall(_Count, metric, make).tuples


def lend(bench: Bench, metric: type[Metric]) -> Bench:
    """The bench that a metric is lent: the whole one where it looks at pairs or measures no task, else one that holds
    the tuples which it compares with, and nothing of its floor."""
    count = 0 if metric.paired else wanted(bench, metric)
    if not count:
        return bench
    lent = _lent(bench, count)
    return replace(bench, dataset=lent.dataset, order=bench.order[:count], memory=lent.memory, origin=bench.whole)


class _Lent(NamedTuple):
    """What the distances that use equally many tuples share."""

    floor: Floor
    dataset: Dataset
    """Without the floor."""
    memory: Memory


def _lent(bench: Bench, count: int) -> _Lent:
    def make() -> _Lent:
        other = floor(bench, count)
        return _Lent(other, _without(bench.dataset, other, bench.order[:count]), Memory())

    return bench.memory.recall(_Lent, count, make)


def _without(data: Dataset, other: Floor, evaluated: Tensor) -> Dataset:
    """The data with evaluated items in the place of the floor's: numbers of tuples stay what they are."""
    cleared = _cleared(data, other, evaluated)
    changed = replace(data, **{part: cleared for part in ("train", "test") if getattr(data, part) is other.split})
    vars(changed)["fingerprint"] = data.fingerprint  # in keys of what is kept, they are the same data
    return changed


def _cleared(data: Dataset, other: Floor, evaluated: Tensor) -> Split:
    """The floor's split without its items, and without the tuples that hold one."""
    split, rows = other.split, other.rows.to(other.split.index.device)
    donors = evaluated[torch.arange(len(rows)) % len(evaluated)]
    items, touched = dict(split.items), torch.zeros(len(split), dtype=torch.bool, device=split.index.device)
    for name, column in _telling(data).items():
        used = split.index[rows, column].long()
        items[name] = items[name].clone()
        items[name][used] = _donated(data.test, name, donors).to(items[name])
        held = torch.zeros(len(items[name]), dtype=torch.bool, device=used.device)
        held[used] = True
        touched |= held[split.index[:, column].long()]
    return _refilled(replace(split, items=items), touched, evaluated if split is data.test else None)


def _donated(test: Split, name: str, rows: Tensor) -> Tensor:
    """Items as they are stored, of these tuples."""
    return test.items[name][test.index[rows.to(test.index.device), test.names.index(name)].long()]


def _refilled(split: Split, touched: Tensor, donors: Tensor | None) -> Split:
    """The split with other tuples in the place of those that are touched: `donors`, else those that are not."""
    whole = (~touched).nonzero().flatten() if donors is None else donors.to(touched.device)
    if not len(whole):
        return split
    source = torch.arange(len(split), device=touched.device)
    source[touched] = whole[torch.arange(int(touched.sum()), device=touched.device) % len(whole)]
    return split.take(source)


def _telling(data: Dataset) -> dict[str, int]:
    """Modality -> its column, without the texts that say their class, which all tuples share."""
    return {m.name: k for k, m in enumerate(data.spec.modalities) if not m.classes}


def floor(bench: Bench, count: int) -> Floor:
    """`count` real tuples for a distance to the first `count` evaluated ones, or as many as there are."""
    rest = bench.order[count:]
    free = rest[_unshared(bench.dataset.test, bench.dataset.spec.modalities, bench.order[:count], rest)]
    if len(free) >= count:
        return Floor(bench.dataset.test, free[:count], f"other {bench.protocol.split} tuples")
    train = bench.dataset.train
    return Floor(train, evaluation_order(train, bench.protocol.seed)[:count], "training tuples")


def _unshared(split: Split, modalities: Sequence[Modality], taken: Tensor, rest: Tensor) -> Tensor:
    """Which of the tuples `rest` share no item with the tuples `taken`, bool; texts that say their class are shared
    by all and do not count."""
    free = torch.ones(len(rest), dtype=torch.bool)
    for column, modality in zip(split.index.long().cpu().T, modalities, strict=True):
        if not modality.classes:
            used = torch.zeros(len(split.items[modality.name]), dtype=torch.bool)
            used[column[taken]] = True
            free &= ~used[column[rest]]
    return free


def _real(bench: Bench, rows: Tensor, split: Split, tuples: Tensor) -> Iterator[tuple[int, Tensor, dict[str, Tensor]]]:
    """Real tuples in the place of samples for the evaluated `rows`; fewer where there are fewer."""
    for start, part in batches(tuples, bench.protocol.batch_size):
        yield start, rows[start : start + len(part)], split.gather(part)


def _shuffled(bench: Bench, order: Tensor) -> Iterator[tuple[int, Tensor, dict[str, Any]]]:
    """The evaluated tuples with each modality permuted on its own: chance."""
    test, draws = bench.dataset.test, generator(bench.protocol.seed, "shuffled")
    permuted = {name: order[torch.randperm(len(order), generator=draws)] for name in test.names}
    for start, rows in batches(order, bench.protocol.batch_size):
        cut = slice(start, start + len(rows))
        yield start, rows, {name: test.gather(permuted[name][cut], (name,))[name] for name in test.names}
