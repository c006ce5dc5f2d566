"""A group of cells in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..store import Cell
from .claims import claims_title
from .comparison import Group
from .costs import PAGE_COSTS, STAGE_COSTS, cost_lines, cost_notes, stage_lines
from .escape import bullets, markdown_code, markdown_line
from .options import Options
from .pieces import pieces, split
from .sure import closest, comparisons
from .table import Table, tables
from .text import MARKDOWN, Row, rows
from .warnings import warnings
from .words import about, chosen, claim_lines, footnotes, own_notes

__all__ = ["markdown"]

WIDTH = 118
"""Characters that a line of the further tables may take."""
MOST = 7
"""Columns of a main table, which is the paper's, in one piece however wide it is."""


def markdown(group: Group, failed: Sequence[Cell], options: Options) -> str:
    """Warnings and tables first, with what their numbers are below each; how they were made last."""
    title, name, budget = group.heading, group.dataset["name"], group.budget
    parts = [f"## {markdown_line(title)} ({markdown_code(name)}), budget {markdown_line(budget)}{chosen(group)}"]
    other = options.beside(group)
    found = [*warnings(group, failed), *(other.said if other else ())]
    parts.append("\n>\n".join(f"> **Warning:** {markdown_line(line)}" for line in found))
    main, *rest = tables(group, main=options.main, everything=options.all, beside=other)
    parts += [block for table in split(main, _is_small) for block in _printed(table, options)]
    parts += [bullets(footnotes(group, main, options, "in italics"))]
    if not options.main:
        further = pieces(rest, _fits)
        for table, notes in zip(further, own_notes(group, further, main), strict=True):
            parts += [*_printed(table, options), bullets(notes)]
        parts += [_compared(main), _claims(group), *(_costs(group) if options.all else ())]
        parts += [f"### How it was made\n\n{bullets(about(group))}"]
    return "\n\n".join(part for part in parts if part)


def _printed(table: Table, options: Options) -> Iterator[str]:
    if table.columns:
        found = list(rows(table, MARKDOWN, intervals=options.intervals, beside=options.name))
        yield f"### {markdown_line(table.title)}\n\n{_pipe_table(table, found)}"


def _pipe_table(table: Table, found: Sequence[Row]) -> str:
    labels = _labels(table)
    apart = [["*Reference points*", *[""] * (len(labels) + 1)]] if table.references else []
    lines = [[row.name, row.seeds, *row.texts] for row in found if row.kind != "reference"]
    lines += apart + [[row.name, row.seeds, *row.texts] for row in found if row.kind == "reference"]
    return pipes(["Model", "Seeds", *labels], lines)


def _labels(table: Table) -> list[str]:
    """Without the metric where the title above says it, as of the whole table."""
    if len(table.spans) == 1:
        return table.labels
    labels = [column.label for column in table.columns]
    return labels if len(set(labels)) == len(labels) else [column.title for column in table.columns]


def pipes(head: Sequence[str], lines: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table whose first columns, so many, are of words."""
    from tabulate import tabulate  # other formats need not wait for it

    cells = [list(map(markdown_line, line)) for line in lines]
    align = [*["left"] * words, *["right"] * (len(head) - words)]
    return tabulate(cells, list(map(markdown_line, head)), "pipe", disable_numparse=True, colalign=align)


def _is_small(table: Table) -> bool:
    return len(table.columns) <= MOST or _fits(table)


def _fits(table: Table) -> bool:
    lines = [[row.name, *row.texts] for row in rows(table, MARKDOWN)]
    names = max(map(len, ["*Reference points*", *(line[0] for line in lines)]))
    return len("|  | Seeds   |") + names + sum(_widths(table, lines)) <= WIDTH


def _widths(table: Table, lines: Sequence[Sequence[str]]) -> list[int]:
    """Of each column with its margins."""
    return [
        max(len(label), *(len(line[1 + k]) for line in lines)) + len("  |") for k, label in enumerate(_labels(table))
    ]


def _compared(main: Table) -> str:
    """What the best of each column has over the model that is closest to it."""
    found = [closest(column) for column in comparisons(main) if column]
    lines = [
        [c.column.title, c.best, c.title, c.text, f"{c.p:.2g}", f"{100 * c.improvement:.0f} %", c.smallest or "–"]
        for c in found
    ]
    head = ["Column", "Best", "Closest", "Closest − best [95 %]", "p (Holm)", "P(closest is better)"]
    head.append("Smallest difference found (80 % power)")
    return f"### How sure: the best beside the closest, by seed\n\n{pipes(head, lines, words=3)}" if found else ""


def _costs(group: Group) -> Iterator[str]:
    """What the cells took, and each of their stages."""
    lines = [[line.title, str(line.cells), *map(line.text, PAGE_COSTS)] for line in cost_lines(group)]
    heads = [f"{cost.heading}: {cost.label}" if cost.heading else cost.label for cost in PAGE_COSTS]
    yield f"### Cost\n\n{pipes(['Model', 'Seeds', *heads], lines)}"
    yield bullets(cost_notes(group))
    stages = [[line.title, line.stage, str(line.cells), *map(line.text, STAGE_COSTS)] for line in stage_lines(group)]
    if stages:
        heads = ["Model", "Stage", "Seeds", *(cost.label for cost in STAGE_COSTS)]
        yield f"### Cost of each stage's training\n\n{pipes(heads, stages, words=2)}"


def _claims(group: Group) -> str:
    lines = claim_lines(group, MARKDOWN)
    return f"### {markdown_line(claims_title(group))}\n\n{bullets(lines)}" if lines else ""
