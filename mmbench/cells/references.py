"""Reference points: what a model's numbers are read against, measured by the same metrics on real data.

A metric that looks at what belongs together in a sample reads the evaluated tuples themselves (its ceiling) and the
same tuples shuffled (chance). A distance is taken from *other* real data to the evaluated tuples (its floor): as many
tuples as the distance uses, none of which shares an image or a caption with them; test tuples where enough are left,
training tuples elsewhere. Each row says which data it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..data.dataset import Split
from ..metric import Bench, Metric
from ..modality import Modality
from ..seeding import generator
from .blaming import blaming
from .sampling import batches
from .tasks import measured_tasks

__all__ = ["Floor", "Reference", "evaluation_order", "floor", "references", "wanted"]

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


def references(bench: Bench, metrics: Metrics) -> Iterator[Reference]:
    """The reference points of these metrics."""
    paired = {name: metric for name, metric in metrics.items() if metric.paired}
    if paired:
        rows = bench.order[: max(wanted(bench, metric) for metric in paired.values())]
        split = bench.protocol.split
        yield Reference("real", f"the evaluated {split} tuples", paired, _real(bench, rows, bench.dataset.test, rows))
        yield Reference("shuffled", f"the evaluated {split} tuples, shuffled", paired, _shuffled(bench, rows))
    for count, group in _by_count(bench, metrics).items():
        other = floor(bench, count)
        samples = _real(bench, bench.order[:count], other.split, other.rows)
        yield Reference("real", other.data, group, samples)


def wanted(bench: Bench, metric: type[Metric]) -> int:
    """The most tuples that a metric measures of any task."""
    with blaming(str(getattr(metric, "name", metric.__qualname__))):
        made, tasks = metric(bench), measured_tasks(bench.dataset.spec, bench.protocol)
        return min(len(bench.order), max(index(made.wants(task)) for task in tasks))


def floor(bench: Bench, count: int) -> Floor:
    """`count` real tuples for a distance to the first `count` evaluated ones, or as many as there are."""
    rest = bench.order[count:]
    free = rest[_unshared(bench.dataset.test, bench.dataset.spec.modalities, bench.order[:count], rest)]
    if len(free) >= count:
        return Floor(bench.dataset.test, free[:count], f"other {bench.protocol.split} tuples")
    train = bench.dataset.train
    return Floor(train, evaluation_order(train, bench.protocol.seed)[:count], "training tuples")


def _by_count(bench: Bench, metrics: Metrics) -> dict[int, dict[str, type[Metric]]]:
    """Distances by the number of tuples that they use; those that want none are left out."""
    found: dict[int, dict[str, type[Metric]]] = {}
    for name, metric in metrics.items():
        if not metric.paired and (count := wanted(bench, metric)):
            found.setdefault(count, {})[name] = metric
    return found


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
