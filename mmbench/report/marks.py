"""What is bold, what is underlined, and what is at chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .collapse import few_classes
from .columns import Column
from .comparison import Group, Line
from .numbers import Number
from .paper import COHERENCE, metric_digits
from .statistics import LEVEL, Paired, holm, paired

__all__ = ["Judged", "chance", "judged", "tasks_at_chance"]

Numbers = Mapping[Line, Number]


@dataclass(frozen=True)
class Judged:
    """What is concluded from one number beside the others of its column."""

    mark: Literal["", "best", "second"] = ""
    few_classes: bool = False
    at_chance: bool = False
    hides: int = 0
    """Tasks at chance among those of which it is the mean, unless it is at chance itself."""
    against: Paired | None = None
    """Its differences to the column's best."""
    p: float = math.nan
    """Of these, corrected."""


def judged(group: Group, columns: Sequence[Column]) -> dict[tuple[Line, Column], Judged]:
    """The marks of one table.

    Bold: of the models with two seeds or more that are above chance and show the classes, the best mean and every one
    that the paired t-test over seeds, corrected by Holm over all comparisons of the table, cannot tell from it.
    """
    found: dict[tuple[Line, Column], Judged] = {}
    leaders: dict[Column, Line] = {}
    for column in columns:
        numbers = {line: n for line in group.lines if (n := group.measured("model", column, line))}
        low = {line for line, n in numbers.items() if _at_chance(n, chance(group, column), column)}
        few = {line for line in numbers if _is_joint(column) and few_classes(group, line)}
        able = {line: n for line, n in numbers.items() if line not in low | few and len(n.seeds) > 1}
        hides = {line: len(tasks) for line, tasks in tasks_at_chance(group, column).items() if line not in low}
        found |= {(line, column): Judged("", line in few, line in low, hides.get(line, 0)) for line in numbers}
        if column.higher_is_better is not None and len(able) > 1:
            leaders[column] = best = _ranked(able, column)[0]
            against = {x: _against(n, able[best]) for x, n in able.items() if x != best}
            found |= {(x, column): replace(found[x, column], against=paired) for x, paired in against.items()}
    _correct(found)
    for column, best in leaders.items():
        _mark(found, group, column, best)
    return found


def tasks_at_chance(group: Group, column: Column) -> dict[Line, list[Column]]:
    """Line -> which tasks of a mean are not above chance; empty for a column that is none."""
    if not column.over or not column.higher_is_better:
        return {}
    members = [(c, chance(group, c)) for c in group.columns if c.point in set(column.over)]
    found = {}
    for line in group.lines:
        numbers = [(c, group.number("model", c.point, line), limit) for c, limit in members]
        found[line] = [c for c, number, limit in numbers if number and _at_chance(number, limit, c)]
    return {line: tasks for line, tasks in found.items() if tasks}


def chance(group: Group, column: Column) -> float | None:
    """What shuffled data reach; for coherence where that was not measured, what independent labels of equally many
    tuples a class do. None where nothing is known, and where lower is better."""
    if not column.higher_is_better:
        return None
    if shuffled := group.measured("shuffled", column):
        return shuffled.mean
    classes = group.dataset["classes"]
    if column.metric != COHERENCE or not classes:
        return None
    agreeing = 1 if "given" in column.point[1] or "->" in column.point[1] else len(group.names.modalities) - 1
    return 100 / classes**agreeing


def _is_joint(column: Column) -> bool:
    return column.metric == COHERENCE and column.point[1] == "joint"


def _at_chance(number: Number, chance: float | None, column: Column) -> bool:
    return bool(column.higher_is_better) and chance is not None and number.low <= chance


def _ranked(numbers: Numbers, column: Column) -> list[Line]:
    """Best first; of equal ones the first line."""
    return sorted(numbers, key=lambda line: numbers[line].mean, reverse=bool(column.higher_is_better))


def _against(number: Number, best: Number) -> Paired:
    return paired(number.by_seed, best.by_seed)


def _correct(found: dict[tuple[Line, Column], Judged]) -> None:
    """Holm's correction over all comparisons of the table."""
    keys = [key for key, verdict in found.items() if verdict.against]
    p = holm([against.p if (against := found[key].against) else math.nan for key in keys])
    for key, corrected in zip(keys, p, strict=True):
        found[key] = replace(found[key], p=corrected)


def _mark(found: dict[tuple[Line, Column], Judged], group: Group, column: Column, best: Line) -> None:
    """Bold and second of one column."""
    numbers = {line: n for line in group.lines if (n := group.measured("model", column, line))}
    digits = metric_digits(column.metric)
    alike = {line for line, n in numbers.items() if round(n.mean, digits) == round(numbers[best].mean, digits)}
    untold = {
        line for line in numbers if (line in alike or found[line, column].p > LEVEL) and _able(found, line, column)
    }
    rest = {line: n for line, n in numbers.items() if found[line, column].against and line not in untold}
    for line in untold | {best}:
        found[line, column] = replace(found[line, column], mark="best")
    if rest:
        second = _ranked(rest, column)[0]
        found[second, column] = replace(found[second, column], mark="second")


def _able(found: dict[tuple[Line, Column], Judged], line: Line, column: Column) -> bool:
    """Whether it was compared on two seeds or more."""
    against = found[line, column].against
    return against is not None and len(against.seeds) > 1
