"""What a reader must know before he believes a table."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import combinations

from ..store import Cell
from ..store.commands import rerun
from .code import mixed, stale_metrics
from .collapse import few_classes
from .columns import Column
from .comparison import Group, Line
from .numbers import Number
from .paper import COHERENCE, SECOND_JUDGE, metric_title
from .statistics import paired
from .words import failure

__all__ = ["warnings"]

Gap = tuple[float, float, float]
"""A difference and its interval."""
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
SHOWN = 5
"""Pairs of models that are named for each column."""


def warnings(group: Group, failed: Sequence[Cell]) -> list[str]:
    """What a reader must know before he believes the table."""
    lines = _code(group) + _collapsed_stages(group) + _collapsed(group) + _flips(group) + _left_out(group)
    lines += _references(group) + _notes(group)
    for line in group.lines:
        lost = sorted(set(group.seeds) - {cell["seed"] for cell in group.of(line)})
        if lost:
            lines.append(f"{group.title(line)} lacks seed {', '.join(map(str, lost))}.")
    lines += [failure(cell) for cell in failed]
    if group.budget == "smoke":
        lines.append("Budget smoke is a shortened training and few samples, to see that all runs: not for publication.")
    if group.budget != "paper" and any(number.paper for number in group.numbers.values()):
        lines.append(f"The paper's numbers are of its full schedule, ours of budget {group.budget}.")
    return lines


def _code(group: Group) -> list[str]:
    """Stale lines, numbers measured by several codes or by other code than today's, and what the table mixes."""
    lines = []
    for line in group.lines:
        if stale := group.stale(line):
            commits = sorted({cell["environment"].get("commit") or "unknown" for cell in group.of(line)})
            lines.append(
                f"{group.title(line)} is stale: other code made it ({'; '.join(stale)}; commit "
                f"{', '.join(commits)}). `{rerun(group.of(line))}` computes it anew."
            )
    several = {metric_title(point[0]) for (_, _, point), n in group.numbers.items() if len(n.measured_by) > 1}
    if several:
        lines.append(f"{', '.join(sorted(several))}: seeds of one line were measured by different code.")
    if old := stale_metrics(group.cells):
        titles = ", ".join(map(metric_title, old))
        lines.append(
            f"{titles}: measured by other code than is here now. `mmbench evaluate --again --metrics "
            f"{','.join(old)}` measures anew."
        )
    if parts := mixed(group.cells):
        lines.append(f"The table rests on {', '.join(parts)}: see 'Made by'.")
    return lines


def _collapsed_stages(group: Group) -> list[str]:
    """A line for each model of which a stage has collapsed in some seed; it stays in the mean."""
    return [
        f"† {group.title(line).removesuffix(' †')}: {'; '.join(collapsed)}. It is part of the mean."
        for line in group.lines
        if (collapsed := group.collapsed(line))
    ]


def _collapsed(group: Group) -> list[str]:
    """A line for each model whose joint samples show few of the classes."""
    return [
        f"{group.title(line)} collapses ({', '.join(found)} possible): its joint coherence is agreement on few classes."
        for line in group.lines
        if (found := few_classes(group, line))
    ]


def _flips(group: Group) -> list[str]:
    """Pairs of models that the second judge puts in the other order: a conclusion that depends on the judge."""
    lines = []
    for column in (c for c in group.columns if c.metric == COHERENCE):
        found = list(_flipped(group, column))
        for one, other, first, second in found[:SHOWN]:
            lines.append(
                f"{column.title}: the second judge puts {group.title(one)} and {group.title(other)} in the other "
                f"order ({_said(first)} and {_said(second)} points apart): do not conclude from it."
            )
        if len(found) > SHOWN:
            lines.append(f"{column.title}: the second judge puts {len(found) - SHOWN} more pairs in the other order.")
    return lines


def _flipped(group: Group, column: Column) -> Iterator[tuple[Line, Line, Gap, Gap]]:
    """Pairs whose order both judges are sure of, and of which they say the opposite."""
    point = (SECOND_JUDGE, *column.point[1:])
    read = {
        line: (first, other)
        for line in group.lines
        if (first := group.number("model", column.point, line)) and (other := group.number("model", point, line))
    }
    for one, other in combinations(read, 2):
        first, second = ((read[one][k], read[other][k]) for k in (0, 1))
        if (first[0].mean - first[1].mean) * (second[0].mean - second[1].mean) < 0:
            gaps = _gap(*first), _gap(*second)
            if all(low * high > 0 for _, low, high in gaps):
                yield one, other, *gaps


def _gap(one: Number, other: Number) -> Gap:
    """The difference of two models and its 95 % interval: over the seeds in common, or of one seed each over its
    samples; NaN where neither is known."""
    both = paired(one.by_seed, other.by_seed)
    if len(both.seeds) > 1:
        return both.mean, *both.interval
    (low, high), (low2, high2) = one.interval, other.interval
    mean = one.mean - other.mean
    below, over = math.hypot(one.mean - low, high2 - other.mean), math.hypot(high - one.mean, other.mean - low2)
    return mean, mean - below, mean + over


def _said(gap: Gap) -> str:
    mean, low, high = gap
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def _left_out(group: Group) -> list[str]:
    """A line for each metric that some cells lack, with what to type where that can help: not where it has nothing to
    measure on these data, or gave no number."""
    reasons = {name: reason for cell in group.cells for name, reason in cell["left_out"].items()}
    whole = group.dataset["name"].removesuffix("_partial")
    flag = "" if whole == group.dataset["name"] else " --allow-partial"
    lines = []
    for name, reason in reasons.items():
        vain = reason.startswith(("it measures nothing on ", "it gave no number on "))
        then = "" if vain else f" Then: mmbench evaluate --dataset {whole}{flag} --metrics {name}."
        lines.append(f"{metric_title(name)} is left out: {reason.rstrip('.')}.{then}")
    return lines


def _references(group: Group) -> list[str]:
    """Reference points that were measured more than once and came out differently."""
    lines = []
    for source, title in (("real", "Real data's"), ("shuffled", "Shuffled tuples'")):
        for column in group.columns_of(source):
            number = group.number(source, column.point)
            if number and len(number.values) > 1:
                ends = f"{min(number.values):.4g} to {max(number.values):.4g}"
                lines.append(f"{title} {column.title} differs between cells, {ends}: their mean is shown.")
    return lines


def _notes(group: Group) -> list[str]:
    """Each note of a row once, with the columns it is about; of notes that differ in their numbers only, all numbers:
    '3 to 366 of 400 samples are of no class (4 times)'."""
    found: dict[str, tuple[set[str], dict[str, None]]] = {}
    for column in group.columns:
        for line in group.lines:
            number = group.number("model", column.point, line)
            for note in number.notes if number else ():
                notes, columns = found.setdefault(NUMBER.sub("#", note), (set(), {}))
                notes.add(note)
                columns[column.title] = None
    return [f"{', '.join(columns)}: {_merged(notes).rstrip('.')}." for notes, columns in found.values()]


def _merged(notes: Collection[str]) -> str:
    """Texts that differ in their numbers as one, with the range of each number."""
    first, *rest = sorted(notes)
    if not rest:
        return first
    columns = zip(*(NUMBER.findall(note) for note in notes), strict=True)
    ranges = iter([_range(list(column)) for column in columns])
    return f"{NUMBER.sub(lambda _: next(ranges), first)} ({len(notes)} such notes)"


def _range(numbers: Sequence[str]) -> str:
    """'176 to 366', each as it was written."""
    ordered = sorted(numbers, key=lambda number: float(number.replace(",", "")))
    return " to ".join(dict.fromkeys((ordered[0], ordered[-1])))
