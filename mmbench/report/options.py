"""How much of a report is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .beside import Beside, beside
from .comparison import Group
from .statistics import Method

__all__ = ["Options"]


@dataclass(frozen=True, kw_only=True)
class Options:
    main: bool = False
    """The main tables only, with their warnings and notes."""
    all: bool = False
    """Every task of three modalities or more, not their means alone."""
    intervals: Method | None = None
    """95 % intervals of means over seeds as well; those of single seeds are always shown."""
    others: Sequence[Group] | None = None
    """Other results that stand beside these."""
    name: str = ""
    """What these are called."""

    def beside(self, group: Group) -> Beside | None:
        return None if self.others is None else beside(group, self.others, self.name)
