"""A group of cells in LaTeX: tables of 8 pt for the package booktabs, with what a reader must know as their notes.

A table that fits a column of 3.25 inches is a `table`, one that fits a page of 6.75 inches a `table*`; a wider one is
cut, and a single column that is wider than a page says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from ..store import Cell
from .claims import claims_title
from .comparison import Group
from .costs import PAGE_COSTS, STAGE_COSTS, cost_lines, cost_notes, stage_lines
from .escape import tex_comment, tex_label
from .options import Options
from .pieces import pieces, split
from .points import PAGE, points
from .table import Entry, Table, tables
from .tabular import GAP, LABEL, boxed, framed, grid, listed, room
from .text import LATEX, PLAIN, Row, rows
from .warnings import warnings
from .words import about, chosen, claim_lines, footnotes, own_notes

__all__ = ["latex"]

NAME, NARROW = 110.0, 42.0
"""Points from which on a model's name, or a narrow column's label, is broken into lines."""


def latex(group: Group, failed: Sequence[Cell], options: Options) -> str:
    """The main table with its notes, the further ones, then warnings and claims as text."""
    other = options.beside(group)
    main, *rest = tables(group, main=options.main, everything=options.all, beside=other)
    fits = partial(_fits_page, options)
    parts = split(main, fits) if main.columns else []
    first, *notes = footnotes(group, main, options)
    notes = [f"n: training seeds. {first}", *notes, *about(group)]
    found = [(table, notes if number == 0 else []) for number, table in enumerate(parts)]
    further = pieces(rest, fits)
    found += zip(further, own_notes(group, further, main), strict=True)
    made = [_float(group, table, number, own, options) for number, (table, own) in enumerate(found, 1)]
    title = f"{group.heading} ({group.dataset['name']}), budget {group.budget}{chosen(group)}"
    made += [listed(f"Warnings on {title}", [*warnings(group, failed), *(other.said if other else ())])]
    if not options.main:
        made += [listed(f"{title}. {claims_title(group)}", lines) if (lines := claim_lines(group, LATEX)) else ""]
    made += _costs(group, title) if options.all else []
    return "\n\n".join([tex_comment(f"{title}. Needs the package booktabs."), *filter(None, made)])


def _fits_page(options: Options, table: Table) -> bool:
    return _width(table, options) <= PAGE


def _width(table: Table, options: Options) -> float:
    """In points."""
    lines = list(rows(table, PLAIN, intervals=options.intervals, beside=options.name))
    names = min(NAME, max(map(points, ["Model", *(line.name for line in lines)])))
    widths = [_column_width(table, k, lines) for k in range(len(table.columns))]
    total, start = names + points("n") + 4 * GAP, 0
    for heading, count in table.spans:
        over = min(points(heading), room(count)) + 2 * GAP
        total, start = total + max(over, sum(widths[start : start + count])), start + count
    return total


def _column_width(table: Table, k: int, lines: Sequence[Row]) -> float:
    """Of a column with its margins."""
    label = min(points(table.labels[k]), _labelroom(table, k, lines))
    return max(label, _numbers_width(table, k, lines)) + 2 * GAP


def _numbers_width(table: Table, k: int, lines: Sequence[Row]) -> float:
    ours = iter(table.lines)
    texts = (
        points(row.texts[k], bold=row.kind == "ours" and _is_best(next(ours).entries[k])) for row in lines if row.texts
    )
    return max(texts, default=0.0)


def _labelroom(table: Table, k: int, lines: Sequence[Row]) -> float:
    """Points from which on a column's label is broken into lines: its numbers' width, if its words have room there."""
    words = max(map(points, table.labels[k].split()), default=0.0)
    return min(LABEL, max(_numbers_width(table, k, lines), words + 1, NARROW))


def _is_best(entry: Entry | None) -> bool:
    return entry is not None and entry.mark == "best"


def _float(group: Group, table: Table, number: int, notes: Sequence[str], options: Options) -> str:
    width = _width(table, options)
    label = "-".join(map(tex_label, (group.dataset["name"], group.budget, group.protocol)))
    title = f"{group.heading} ({group.dataset['name']}), budget {group.budget}{chosen(group)}: {table.title}."
    return framed(title, f"{label}-{number}", width, _tabular(table, options), notes)


def _costs(group: Group, title: str) -> list[str]:
    """What the cells took, and each of their stages."""
    label = "-".join(map(tex_label, (group.dataset["name"], group.budget, group.protocol)))
    cells = [[line.title, str(line.cells), *map(line.text, PAGE_COSTS)] for line in cost_lines(group)]
    heads = [("", "Model"), ("", "n"), *((cost.heading, cost.label) for cost in PAGE_COSTS)]
    made = [grid(f"{title}: cost.", f"{label}-cost", 1, heads, cells, cost_notes(group))]
    stages = [[line.title, line.stage, str(line.cells), *map(line.text, STAGE_COSTS)] for line in stage_lines(group)]
    heads = [("", word) for word in ("Model", "Stage", "n", *(cost.label for cost in STAGE_COSTS))]
    own = f"{title}: cost of each stage's training."
    return made + ([grid(own, f"{label}-stages", 2, heads, stages, [])] if stages else [])


def _tabular(table: Table, options: Options) -> Iterator[str]:
    found = list(rows(table, LATEX, intervals=options.intervals, beside=options.name))
    yield rf"\begin{{tabular}}{{lr{'r' * len(table.columns)}}}"
    yield r"\toprule"
    yield from _head(table, options)
    yield r"\midrule"
    for k, row in enumerate(found):
        if k and row.kind == "ours" and found[k - 1].kind != "ours":
            yield r"\addlinespace[2pt]"
        if row.kind == "reference" and found[k - 1].kind != "reference":
            yield r"\midrule"
        yield _line(row)
    yield from (r"\bottomrule", r"\end{tabular}")


def _head(table: Table, options: Options) -> Iterator[str]:
    lines = list(rows(table, PLAIN, intervals=options.intervals, beside=options.name))
    spans, rules, start = [], [], 3
    for heading, count in table.spans:
        spans.append(rf"\multicolumn{{{count}}}{{c}}{{{boxed(heading, room(count), 'b')}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + count - 1}}}")
        start += count
    yield " & & " + " & ".join(spans) + r" \\"
    yield "".join(rules)
    rooms = [_labelroom(table, k, lines) for k in range(len(table.columns))]
    labels = [boxed(label, room, "b", "left") for label, room in zip(table.labels, rooms, strict=True)]
    yield "Model & n & " + " & ".join(labels) + r" \\"


def _line(row: Row) -> str:
    return " & ".join([boxed(row.name, NAME, "t"), row.seeds, *row.texts]) + r" \\"
