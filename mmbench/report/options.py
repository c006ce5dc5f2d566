"""How much of a report is printed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True, kw_only=True)
class Options:
    main: bool = False
    """The main tables only, with their warnings and notes."""
    all: bool = False
    """Every task of three modalities or more, not their means alone."""
    intervals: bool = False
    """95 % intervals of means over seeds as well; those of single seeds are always shown."""
