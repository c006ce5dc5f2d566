"""How a number is marked on the page: the best, and what is no better than chance."""

from __future__ import annotations

from ..columns import Column
from ..comparison import Group, Number
from ..paper import metric_digits

__all__ = ["CHANCE", "mark"]

CHANCE = "▾: no better than shuffled tuples."


def mark(group: Group, column: Column, number: Number | None) -> str:
    """'best' for the best mean as printed, of two or more; 'chance' for what shuffled tuples reach; else ''."""
    if number is None or column.higher_is_better is None:
        return ""
    shuffled = group.number("shuffled", column.point)
    if shuffled and column.higher_is_better and number.mean <= shuffled.mean:
        return "chance"
    digits = metric_digits(column.metric)
    numbers = [group.number("model", column.point, line) for line in group.lines]
    means = [round(n.mean, digits) for n in numbers if n]
    best = max(means) if column.higher_is_better else min(means)
    return "best" if len(set(means)) > 1 and round(number.mean, digits) == best else ""
