"""What means over tasks hide: tasks at chance, and models whose order turns from one task to another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from .columns import Column
from .comparison import Group, Line
from .gaps import gap
from .layout import main_columns
from .marks import tasks_at_chance

__all__ = ["hidden"]

NAMED = 2
"""Tasks that are named; of more, their number is said."""
MODELS, PAIRS = 3, 1
"""Models, and pairs of them, that are named for each mean."""
FEW = 12
"""Lines of which every pair is looked at; of more, each beside the best."""


def hidden(group: Group) -> list[str]:
    """One sentence of either kind about the main table's means; none where there is nothing to say."""
    means = [column for column in main_columns(group) if column.over]
    low = [said for column in means if (said := _low(group, column))]
    turned = [said for column in means if (said := _turned(group, column))]
    lines = [f"Means hide tasks that are not above chance. {' '.join(low)}"] if low else []
    return lines + ([f"Means hide that the order of models turns with the task. {' '.join(turned)}"] if turned else [])


def _low(group: Group, column: Column) -> str:
    """'Coherence 1 given → N (mean): MVAE in S → N.'"""
    found = [
        f"{group.title(line)} in {_tasks(tasks, len(column.over))}"
        for line, tasks in tasks_at_chance(group, column).items()
    ]
    return f"{column.title}: {_some(found, MODELS, 'models')}." if found else ""


def _tasks(tasks: Sequence[Column], of: int) -> str:
    if len(tasks) > NAMED:
        return f"{len(tasks)} of {of} tasks"
    return " and ".join(task.short for task in tasks)


def _turned(group: Group, column: Column) -> str:
    """'Coherence 1 given → N (mean): MVAE beats MLD in P → N, not in S → N.'"""
    members = [c for c in group.columns if c.point in set(column.over)]
    found = [said for pair in _pairs(group, column) if (said := _order(group, members, *pair))]
    return f"{column.title}: {_some(found, PAIRS, 'pairs')}." if found else ""


def _pairs(group: Group, column: Column) -> Iterable[tuple[Line, Line]]:
    numbers = {line: number.mean for line in group.lines if (number := group.measured("model", column, line))}
    if column.higher_is_better is None or len(numbers) < 2:
        return []
    if len(numbers) <= FEW:
        return combinations(numbers, 2)
    best = (max if column.higher_is_better else min)(numbers, key=lambda line: numbers[line])
    return [(best, line) for line in numbers if line != best]


def _order(group: Group, members: Sequence[Column], one: Line, other: Line) -> str:
    """Where one is better in some task and worse in another, each beyond doubt."""
    sides: dict[int, str] = {}
    for member in members:
        first, second = (group.number("model", member.point, line) for line in (one, other))
        if first and second and (side := gap(first, second, len(members)).side):
            sides.setdefault(side if member.higher_is_better else -side, member.short)
    if len(sides) < 2:
        return ""
    return f"{group.title(one)} beats {group.title(other)} in {sides[1]}, not in {sides[-1]}"


def _some(found: Sequence[str], shown: int, what: str) -> str:
    more = len(found) - shown
    return "; ".join(found[:shown]) + (
        f" (and {more} more {what if more > 1 else what.removesuffix('s')})" if more > 0 else ""
    )
