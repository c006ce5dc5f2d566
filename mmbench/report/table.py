"""The tables of a report as data, which every format prints in its own way: Markdown, LaTeX, CSV, JSON, HTML.

    tables(group)  ->  the main Table (in the paper's form), those of further columns, that of reconstructions

A `Table` has `columns` (their `heading` is what neighbours share: 'Coherence (% ↑)'; `Table.spans` counts them) and
`lines`. A line is one model under one configuration, or a reference point of the data, and has an `Entry` for each
column, None where nothing was measured. An entry holds the number object itself (mean, std, 95 % interval, the values
by seed, the paper's number and the difference, ours minus the paper's) and what was concluded from it: whether it is
marked as best or second, whether it is at chance, how it compares with the best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from types import MappingProxyType
from typing import Literal

from .beside import Beside
from .columns import Column
from .comparison import Group, Line
from .layout import further_columns, main_columns
from .marks import Judged, judged
from .numbers import Number
from .paper import OWN_SCALE, TOWARDS_REAL, Published, metric_digits
from .published import beside as published_beside
from .published import numbers
from .scale import Scale, scales
from .statistics import Paired

__all__ = ["SOURCES", "Entry", "Table", "TableLine", "is_no_chance", "reference_title", "tables"]

Mark = Literal["", "best", "second"]
SOURCES = ("real", "shuffled")


@dataclass(frozen=True)
class Entry:
    """A number in its place."""

    number: Number
    digits: int
    """After the point, in print."""
    mark: Mark = ""
    """'best': the best mean, and every one that a paired comparison over seeds cannot tell from it; 'second': the best
    of the others."""
    few_classes: bool = False
    """Whether it is a joint coherence of samples that show few of the classes: agreement on those few."""
    at_chance: bool = False
    """Whether it is not above what shuffled data reach: the lower end of its samples' interval is not."""
    hides: int = 0
    """Of how many tasks of which it is the mean the number is not above chance, though it is itself."""
    against: Paired | None = None
    """Its differences to the best, seed by seed; None for the best itself and where there is nothing to compare."""
    p: float = math.nan
    """Of that comparison, after Holm's correction over the table."""
    fewer: bool = False
    """Whether it rests on fewer seeds than its line has."""
    scale: Scale | None = None
    """Ratio and rank beside the paper's, where the metric has the scale of its judge and differences say nothing."""
    beside: Number | None = None
    """The same number of the results that are compared."""

    @property
    def paper(self) -> Published | None:
        return self.number.paper

    @property
    def difference(self) -> float:
        """Ours minus the paper's; NaN where the paper has none, or the metric has the scale of its judge."""
        return math.nan if self.number.row["metric"] in OWN_SCALE else self.number.difference


@dataclass(frozen=True)
class TableLine:
    title: str
    line: Line | None
    """None for a reference point of the data."""
    seeds: int
    """0 for a reference point."""
    entries: tuple[Entry | None, ...]

    @property
    def papers(self) -> bool:
        """Whether the paper prints any of its numbers."""
        return any(entry and entry.paper for entry in self.entries)


@dataclass(frozen=True)
class Table:
    kind: Literal["main", "further", "reconstructions"]
    title: str
    columns: tuple[Column, ...]
    lines: tuple[TableLine, ...]
    """Models, in the paper's order, others after them by name."""
    references: tuple[TableLine, ...] = ()

    @property
    def spans(self) -> list[tuple[str, int]]:
        """(heading, number of columns) from left to right."""
        return [(heading, len(list(run))) for heading, run in groupby(self.columns, lambda column: column.heading)]

    @property
    def labels(self) -> list[str]:
        """Of the columns below their headings: without the metric, where the heading says it."""
        short = [(column.heading, column.short) for column in self.columns]
        alone = len(set(short)) == len(short)
        return [(column.short if alone else "") or column.label for column in self.columns]

    def pick(self, chosen: Sequence[int], title: str = "") -> Table:
        """The same lines with some of the columns; lines left empty go."""

        def picked(lines: Sequence[TableLine]) -> tuple[TableLine, ...]:
            cut = (TableLine(x.title, x.line, x.seeds, tuple(x.entries[k] for k in chosen)) for x in lines)
            return tuple(line for line in cut if any(line.entries))

        columns = tuple(self.columns[k] for k in chosen)
        return Table(self.kind, title or self.title, columns, picked(self.lines), picked(self.references))


def tables(group: Group, *, main: bool = False, everything: bool = False, beside: Beside | None = None) -> list[Table]:
    """The main table, or with `main` that alone; with `everything` every task of many modalities; with `beside` the
    other results' numbers."""
    columns = main_columns(group)
    found = [_table(group, "main", _titled(columns), columns, beside)]
    if main:
        return found
    found += [_table(group, "further", title, run, beside) for title, run in further_columns(group, everything)]
    own = [replace(column, heading=column.alone) for column in group.columns_of("reconstruction")]
    metrics = list(dict.fromkeys(column.metric for column in own))
    own.sort(key=lambda column: metrics.index(column.metric))
    lines = [_line(group, "reconstruction", own, line) for line in group.lines]
    title = "Reconstructions (each modality from itself: what encoder and decoder lose)"
    return found + ([Table("reconstructions", title, tuple(own), tuple(lines))] if own else [])


def _titled(columns: Sequence[Column]) -> str:
    return ", ".join(dict.fromkeys(column.heading for column in columns))


def _table(
    group: Group, kind: Literal["main", "further"], title: str, columns: Sequence[Column], beside: Beside | None
) -> Table:
    verdicts, ratios = judged(group, columns), {column: scales(group, column) for column in columns}
    lines = [_line(group, "model", columns, line, verdicts, ratios) for line in group.lines]
    lines = [_with(beside, columns, line) for line in lines] if beside else lines
    references = [_reference(group, source, columns) for source in SOURCES]
    kept = [line for line in references if any(line.entries)] + _elsewhere(group, columns)
    shown = [line for line in lines if kind == "main" or any(line.entries)]
    return Table(kind, title, tuple(columns), tuple(shown), tuple(kept))


def _line(
    group: Group,
    source: str,
    columns: Sequence[Column],
    line: Line,
    verdicts: Mapping[tuple[Line, Column], Judged] = MappingProxyType({}),
    ratios: Mapping[Column, Mapping[Line, Scale]] = MappingProxyType({}),
) -> TableLine:
    seeds = len(group.of(line))
    entries = []
    for column in columns:
        number, verdict = group.measured(source, column, line), verdicts.get((line, column), Judged())
        entries.append(_entry(number, verdict, ratios.get(column, {}).get(line), seeds))
    return TableLine(group.title(line), line, seeds, tuple(entries))


def _entry(number: Number | None, verdict: Judged, scale: Scale | None, seeds: int) -> Entry | None:
    if number is None:
        return None
    digits, fewer = metric_digits(number.row["metric"]), len(number.values) != seeds
    found = verdict.mark, verdict.few_classes, verdict.at_chance, verdict.hides, verdict.against, verdict.p
    return Entry(number, digits, *found, fewer, scale)


def _with(beside: Beside, columns: Sequence[Column], line: TableLine) -> TableLine:
    """A line with the other results' numbers."""
    if line.line is None:
        return line
    others = [beside.number(column, line.line) for column in columns]
    entries = (replace(entry, beside=n) if entry else None for entry, n in zip(line.entries, others, strict=True))
    return replace(line, entries=tuple(entries))


def _elsewhere(group: Group, columns: Sequence[Column]) -> list[TableLine]:
    """Lines of other papers' numbers."""
    return [
        TableLine(title, None, 0, tuple(Entry(*entry) if entry else None for entry in line))
        for title, line in numbers(published_beside(group), columns).items()
    ]


def _reference(group: Group, source: str, columns: Sequence[Column]) -> TableLine:
    numbers = [None if is_no_chance(source, column) else group.measured(source, column) for column in columns]
    entries = (Entry(n, metric_digits(n.row["metric"])) if n else None for n in numbers)
    return TableLine(reference_title(group, source), None, 0, tuple(entries))


def is_no_chance(source: str, column: Column) -> bool:
    """Whether shuffled data say nothing of chance: of what is the better the closer it is to real data."""
    return source == "shuffled" and column.metric in TOWARDS_REAL


def reference_title(group: Group, source: str) -> str:
    return f"Real {group.dataset['split']} data" if source == "real" else "Chance (shuffled)"
