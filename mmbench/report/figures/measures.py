"""What figures show of a table: its points, or with many modalities their means over the tasks of one kind."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from ...store import RowRecord
from ..columns import Column
from ..comparison import Group, Line
from ..numbers import Number, average
from ..paper import COHERENCE, SECOND_JUDGE, Point, Published

__all__ = ["Measure", "called", "key", "measures", "pairs"]

MOST = 8
"""Panels of single tasks; of more, tasks with equally many given modalities are averaged."""


@dataclass(frozen=True)
class Measure:
    """One panel's number: a metric of one task and modality, or its mean over several tasks."""

    metric: str
    unit: str
    higher_is_better: bool
    given: int
    """How many modalities are given."""
    target: str
    """The judged modality; '' for the mean over all of them."""
    points: tuple[Point, ...]
    task: str
    """In print, as the tables have it: 'Joint', 'Joint(P)', 'S+N → P', '2 given → P (mean)'."""
    title: str
    """The metric in print."""
    is_coherence: bool
    """Whether it may stand for the coherence of modalities."""

    @property
    def label(self) -> str:
        return self.title + (f" ({self.unit})" if self.unit else "")

    @property
    def kind(self) -> tuple[str, str]:
        """The metric, and 'joint' or '2 given': how other papers name what they average."""
        return self.metric, f"{self.given} given" if self.given else "joint"

    @property
    def is_mean(self) -> bool:
        """Whether it speaks of all modalities, not of one."""
        return not self.target or "+" in self.target

    def number(self, group: Group, line: Line) -> Number | None:
        """Over the seeds that have every point; None where none has."""
        found = [group.number("model", point, line) for point in self.points]
        known = [number for number in found if number]
        if len(known) < len(found):
            return None
        return known[0] if len(known) == 1 else average(known, self.points[0])

    def paper(self, group: Group, line: Line) -> Published | None:
        number = group.number("model", self.points[0], line) if len(self.points) == 1 else None
        return number.paper if number else None

    def reference(self, group: Group, source: str) -> float | None:
        """The real or the shuffled data's; for shuffled data that were not measured, one in so many classes."""
        numbers = [group.number(source, point) for point in self.points]
        if all(numbers):
            return statistics.fmean(number.mean for number in numbers if number)
        classes = group.dataset["classes"]
        guessed = source == "shuffled" and self.metric == COHERENCE and self.given and classes
        return 100 / classes if guessed else None


def measures(group: Group) -> list[Measure]:
    """What has a better side, without numbers that repeat another's: ratios of them, a second judge's."""
    columns = [c for c in group.columns if c.higher_is_better is not None and not _repeats(group, c)]
    single = [_measure(group, [column], column.point[2]) for column in columns]
    if sum(not m.higher_is_better for m in single) <= MOST and len(single) <= 2 * MOST:
        return single
    found = _averaged(group, columns, by_target=True)
    many = sum(not m.higher_is_better for m in found) > MOST
    return _averaged(group, columns, by_target=False) if many else found


def pairs(group: Group) -> list[tuple[Measure, Measure]]:
    """(quality, coherence) of the same task; the coherence of the same modality if there is one."""
    found, shown = [], measures(group)
    for quality in (m for m in shown if not m.higher_is_better):
        same = [m for m in shown if m.is_coherence and m.given == quality.given and _same_task(m, quality)]
        same.sort(key=lambda m: (m.metric != COHERENCE, m.target != quality.target))
        found += [(quality, same[0])] if same else []
    return found


def key(group: Group) -> str:
    """'P: pen, S: sign, N: name'; '' where titles have the names themselves."""
    names = group.names
    found = [(names.short(name), names.long(name)) for name in names.modalities]
    return "" if all(short == long for short, long in found) else ", ".join(f"{s}: {long}" for s, long in found)


def called(group: Group, modality: str) -> str:
    """'pen (P)', by name and as tasks have it."""
    short, long = group.names.short(modality), group.names.long(modality)
    return long if short == long else f"{long} ({short})"


def _same_task(one: Measure, other: Measure) -> bool:
    tasks, others = ({point[1] for point in m.points} for m in (one, other))
    return bool(tasks & others) if one.given == 0 or "" in (one.target, other.target) else tasks == others


def _averaged(group: Group, columns: Iterable[Column], *, by_target: bool) -> list[Measure]:
    """The columns of one metric with equally many given modalities (and one judged) as one measure."""
    kinds: dict[tuple[str, int, str], list[Column]] = {}
    for column in columns:
        target = column.point[2] if by_target else ""
        kinds.setdefault((column.metric, _given(column.point[1]), target), []).append(column)
    metrics, names = list(dict.fromkeys(metric for metric, _, _ in kinds)), group.names.modalities

    def place(kind: tuple[str, int, str]) -> tuple[int, int, int]:
        return metrics.index(kind[0]), kind[1], names.index(kind[2]) if kind[2] in names else len(names)

    return [_measure(group, kinds[kind], kind[2]) for kind in sorted(kinds, key=place)]


def _measure(group: Group, columns: list[Column], target: str) -> Measure:
    first = columns[0]
    given = _given(first.point[1])
    task = first.short or first.label if len(columns) == 1 else _kind(group, given, target)
    points = tuple(column.point for column in columns)
    better, title = bool(first.higher_is_better), group.names.metric(first.metric)
    return Measure(first.metric, first.unit, better, given, target, points, task, title, first.is_coherence)


def _kind(group: Group, given: int, target: str) -> str:
    """'2 given → S (mean)', '2 given (mean)', 'Joint (mean)': as tables call a mean over tasks."""
    what = f"{given} given" if given else "Joint"
    return f"{what} → {group.names.short(target)} (mean)" if target else f"{what} (mean)"


def _given(task: str) -> int:
    return len(task.partition("->")[0].split("+")) if "->" in task else 0


def _repeats(group: Group, column: Column) -> bool:
    """Whether a number says again what another of the same metric says: by the second judge, or as a ratio to what a
    reference autoencoder has."""
    if column.metric == SECOND_JUDGE:
        return True
    rows = {c.point: _row(group, c) for c in group.columns if c.point[1:] == column.point[1:]}
    own = rows[column.point]
    alike = [row for row in rows.values() if row["plugin"] == own["plugin"] and not row["reference"]]
    return bool(own["reference"] and alike)


def _row(group: Group, column: Column) -> RowRecord:
    return next(n.row for line in group.lines if (n := group.number("model", column.point, line)))
