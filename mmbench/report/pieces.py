"""Further tables, cut and put together so that they fit a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from .table import Table

__all__ = ["pieces", "split"]

Fits = Callable[[Table], bool]


def pieces(found: Iterable[Table], fits: Fits) -> list[Table]:
    """Neighbours that fit stand in one table; tables that do not are cut between headings, and where one of these is
    too wide into runs of nearly equal length."""
    made: list[Table] = []
    for table in found:
        parts = _headings(table, fits)
        joined = _joined(made[-1], table) if made and len(parts) == 1 else None
        if joined and fits(joined):
            made[-1] = joined
        else:
            made += parts
    return made


def _headings(table: Table, fits: Fits) -> list[Table]:
    """Whole where it fits, else as many headings together as fit."""
    if fits(table) or len(table.spans) == 1:
        return _numbered(_cut(table, fits), table.title)
    parts, start, first = [], 0, 0
    for _, count in table.spans:
        if first < start and not fits(table.pick(range(first, start + count))):
            parts.append((first, start))
            first = start
        start += count
    cuts = [table.pick(range(*part)) for part in [*parts, (first, start)]]
    titles = [f"{table.title}: {', '.join(dict.fromkeys(heading for heading, _ in cut.spans))}" for cut in cuts]
    return [x for cut, title in zip(cuts, titles, strict=True) for x in _numbered(_cut(cut, fits), title)]


def _numbered(parts: Sequence[Table], title: str) -> list[Table]:
    count = len(parts)
    return [replace(p, title=f"{title}, {k} of {count}" if count > 1 else title) for k, p in enumerate(parts, 1)]


def split(table: Table, fits: Fits) -> list[Table]:
    """Whole where it fits, else its headings apart."""
    if fits(table):
        return [table]
    parts, start = [], 0
    for heading, count in table.spans:
        parts += _cut(table.pick(range(start, start + count), heading), fits)
        start += count
    return [replace(p, title=f"{p.title}, {k} of {len(parts)}") for k, p in enumerate(parts, 1)]


def _joined(one: Table, other: Table) -> Table | None:
    """Two tables of the same kind and lines side by side."""
    names = [[line.title for line in table.lines] for table in (one, other)]
    if one.kind != other.kind or names[0] != names[1]:
        return None
    lines = (replace(a, entries=a.entries + b.entries) for a, b in zip(one.lines, other.lines, strict=True))
    titles = dict.fromkeys(line.title for line in one.references + other.references)
    references = []
    for title in titles:
        parts = [next((x for x in t.references if x.title == title), None) for t in (one, other)]
        empty = [(None,) * len(table.columns) for table in (one, other)]
        entries = [part.entries if part else blank for part, blank in zip(parts, empty, strict=True)]
        line = next(part for part in parts if part)
        references.append(replace(line, entries=entries[0] + entries[1]))
    title = f"{one.title}, {other.title}"
    return Table(one.kind, title, one.columns + other.columns, tuple(lines), tuple(references))


def _cut(table: Table, fits: Fits) -> list[Table]:
    """In the fewest parts that fit, or in single columns."""
    columns = range(len(table.columns))
    for count in range(1, len(columns) + 1):
        cuts = [round(k * len(columns) / count) for k in range(count + 1)]
        parts = [table.pick(columns[a:b]) for a, b in pairwise(cuts)]
        if all(map(fits, parts)):
            return parts
    return [table.pick([k]) for k in columns]
