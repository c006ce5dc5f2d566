"""What a page is made of, as its template reads it. Every text is plain: the template escapes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from markupsafe import Markup

from ..claims import Claim
from ..figures.looks import Look

__all__ = ["Body", "Cell", "Folded", "Grid", "GridRow", "Head", "Part", "Plot", "Row", "Section", "Table", "Verdict"]


@dataclass(frozen=True)
class Head:
    """A column's heading."""

    text: str
    group: str = ""
    """What stands above it and its neighbours of the same group."""
    first: Literal["ascending", "descending", ""] = ""
    """The order that the first click gives; '' for a text."""

    @property
    def numeric(self) -> bool:
        return bool(self.first)


@dataclass(frozen=True)
class Cell:
    text: str
    value: float | None = None
    """What the column is sorted by."""
    kind: str = ""
    """'best', 'second', ''."""
    note: str = ""


@dataclass(frozen=True)
class Row:
    name: str
    cells: Sequence[Cell]
    kind: str = ""
    """'paper', 'difference'; '' for our own."""


@dataclass(frozen=True)
class Body:
    """Rows that stay together when the table is sorted."""

    rows: Sequence[Row]
    line: int | None = None
    """Which of the section's lines they belong to; None for the data's own reference points."""
    look: Look | None = None


@dataclass(frozen=True)
class Table:
    ident: str
    caption: str
    heads: Sequence[Head]
    bodies: Sequence[Body]
    foot: str = ""
    copied: bool = True
    """Whether it has buttons that copy it."""

    @property
    def grouped(self) -> bool:
        return any(head.group for head in self.heads)

    @property
    def counted(self) -> bool:
        """Whether its first column of numbers counts cells, which a narrow screen leaves out."""
        return len(self.heads) > 3 and self.heads[1].text in ("n", "Seeds")

    @property
    def sortable(self) -> bool:
        """Whether there is something to sort: two bodies that are no reference."""
        return sum(not self.is_reference(body) for body in self.bodies) > 1

    def is_reference(self, body: Body) -> bool:
        """Whether a body is the data's own among those of models; it stays at the foot."""
        return body.line is None and any(other.line is not None for other in self.bodies)

    @property
    def spans(self) -> list[tuple[str, int]]:
        """(group, columns) along the upper line of the head."""
        runs = [(text, len(list(heads))) for text, heads in groupby(self.heads, lambda head: head.group)]
        return [part for text, count in runs for part in ([(text, count)] if text else [("", 1)] * count)]


@dataclass(frozen=True)
class Plot:
    wide: Markup
    caption: str
    small: Markup | None = None
    """The same for a narrow screen; None where the wide one is narrow itself."""


@dataclass(frozen=True)
class GridRow:
    title: str
    line: int | None
    texts: Sequence[str] | None = None
    image: str = ""
    width: int = 0
    height: int = 0
    alt: str = ""


@dataclass(frozen=True)
class Grid:
    ident: str
    caption: str
    across: int
    rows: Sequence[GridRow]
    foot: str = ""

    @property
    def long(self) -> bool:
        return any(len(text) > 14 for row in self.rows for text in row.texts or ())


@dataclass(frozen=True)
class Verdict:
    """A claim, as a page shows it."""

    verdict: str
    mark: Literal["yes", "no", "open"]
    text: str
    numbers: str

    @classmethod
    def of(cls, claim: Claim) -> Verdict:
        marks: dict[str, Literal["yes", "no"]] = {"holds": "yes", "does not hold": "no"}
        said = f"{claim.letter}. {claim.text}"
        return cls(claim.verdict, marks.get(claim.verdict, "open"), said, claim.numbers)


@dataclass(frozen=True)
class Folded:
    """What a reader unfolds."""

    title: str
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    grids: Sequence[Grid] = ()
    line: int | None = None
    """Which of the section's lines it is about, where it is one."""


@dataclass(frozen=True)
class Part:
    ident: str
    title: str
    words: Sequence[str] = ()
    tables: Sequence[Table] = ()
    first: int = 0
    """So many of the tables stand above the words, which are notes to them."""
    plots: Sequence[Plot] = ()
    claims: Sequence[Verdict] = ()
    grids: Sequence[Grid] = ()
    folded: Sequence[Folded] = ()

    @property
    def empty(self) -> bool:
        return not any((self.words, self.tables, self.plots, self.claims, self.grids, self.folded))


@dataclass(frozen=True)
class Section:
    """One table's worth of comparable cells."""

    ident: str
    title: str
    lead: str
    lines: Sequence[str]
    """Titles."""
    looks: Sequence[Look]
    warnings: Sequence[str] = ()
    parts: Sequence[Part] = ()
