"""How sure a table is: what each model lacks of the best, seed by seed, and what so many seeds could have shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .columns import Column
from .comparison import Line
from .statistics import Paired, probability_of_improvement
from .table import Entry, Table

__all__ = ["Comparison", "closest", "comparisons", "said"]


@dataclass(frozen=True)
class Comparison:
    """One model beside the best of a column."""

    line: Line
    title: str
    best: str
    """The best one's title."""
    column: Column
    against: Paired
    p: float
    """After Holm's correction over the table."""
    improvement: float
    """How often a seed of this model is better than one of the best."""
    digits: int

    @property
    def text(self) -> str:
        """'−3.10 [−5.00, −1.20]'; the seeds that can be compared where they are fewer than two."""
        if len(self.against.seeds) < 2:
            return "fewer than two seeds in common"
        low, high = self.against.interval
        said = f"{self.against.mean:+.{self.digits}f} [{low:+.{self.digits}f}, {high:+.{self.digits}f}]"
        return said.replace("-", "−")

    @property
    def smallest(self) -> str:
        """'0.84'; '' where there are no seeds to say it of."""
        value = self.against.smallest
        return "" if math.isnan(value) else f"{value:.{self.digits}f}"


def comparisons(table: Table) -> list[list[Comparison]]:
    """For each column what each other model lacks of the best one."""
    return [_of_column(table, k, column) for k, column in enumerate(table.columns)]


def _of_column(table: Table, k: int, column: Column) -> list[Comparison]:
    found = [(line, entry) for line in table.lines if (entry := line.entries[k])]
    best = next((pair for pair in found if pair[1].mark == "best" and not pair[1].against), None)
    if best is None:
        return []
    others = ((x, entry) for x, entry in found if entry.against is not None)
    return [_beside(x.line, x.title, best[0].title, column, entry, best[1]) for x, entry in others if x.line]


def _beside(line: Line, title: str, best: str, column: Column, entry: Entry, top: Entry) -> Comparison:
    assert entry.against is not None  # what is compared has its differences
    chance = probability_of_improvement(entry.number.values, top.number.values, bool(column.higher_is_better))
    return Comparison(line, title, best, column, entry.against, entry.p, chance, entry.digits)


def closest(found: Sequence[Comparison]) -> Comparison:
    """The model that is closest to the best."""
    return min(found, key=lambda c: abs(c.against.mean) if c.against.differences else math.inf)


def said(found: Sequence[Comparison]) -> str:
    """'0.84 to 2.10': the smallest differences to the best that could have been shown."""
    known = sorted((c for c in found if c.smallest), key=lambda c: c.against.smallest)
    return " to ".join(dict.fromkeys((known[0].smallest, known[-1].smallest))) if known else ""
