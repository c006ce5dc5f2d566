"""A group of cells in LaTeX: tables of 8 pt for the package booktabs, with what a reader must know as their notes.

A table that fits a column of 3.25 inches is a `table`, one that fits a page of 6.75 inches a `table*`; a wider one is
cut, and a single column that is wider than a page says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby

from ..store import Cell
from .claims import claims_title
from .comparison import Group
from .costs import PAGE_COSTS, STAGE_COSTS, Cost, cost_lines, cost_notes, stage_lines
from .escape import tex, tex_comment, tex_label
from .options import Options
from .pieces import pieces, split
from .points import COLUMN, PAGE, SIZE, points
from .table import Entry, Table, tables
from .text import LATEX, PLAIN, Row, rows
from .warnings import warnings
from .words import about, chosen, claim_lines, footnotes, own_notes

__all__ = ["latex"]

GAP = 3.0
"""Points on either side of a column."""
NAME, LABEL = 110.0, 90.0
"""Points from which on a model's name or a column's label is broken into lines."""


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
    made += [_list(f"Warnings on {title}", [*warnings(group, failed), *(other.said if other else ())])]
    if not options.main:
        made += [_list(f"{title}. {claims_title(group)}", lines) if (lines := claim_lines(group, LATEX)) else ""]
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
        over = min(points(heading), _room(count)) + 2 * GAP
        total, start = total + max(over, sum(widths[start : start + count])), start + count
    return total


def _column_width(table: Table, k: int, lines: Sequence[Row]) -> float:
    """Of a column with its margins."""
    ours = iter(table.lines)
    texts = (
        points(row.texts[k], bold=row.kind == "ours" and _is_best(next(ours).entries[k])) for row in lines if row.texts
    )
    return max(min(LABEL, points(table.labels[k])), *texts, 0.0) + 2 * GAP


def _is_best(entry: Entry | None) -> bool:
    return entry is not None and entry.mark == "best"


def _room(count: int) -> float:
    """Points from which on the heading of so many columns is broken into lines."""
    return max(LABEL, count * LABEL / 2)


def _float(group: Group, table: Table, number: int, notes: Sequence[str], options: Options) -> str:
    width = _width(table, options)
    label = "-".join(map(tex_label, (group.dataset["name"], group.budget, group.protocol)))
    title = f"{group.heading} ({group.dataset['name']}), budget {group.budget}{chosen(group)}: {table.title}."
    return _framed(title, f"{label}-{number}", width, _tabular(table, options), notes)


def _framed(title: str, label: str, width: float, lines: Iterable[str], notes: Sequence[str]) -> str:
    """A tabular of so many points as a float."""
    kind = "table" if width <= COLUMN else "table*"
    wide = (
        "" if width <= PAGE else f"This table is {width:.0f} pt wide at {SIZE:g} pt, more than a page of 6.75 inches."
    )
    return "\n".join(
        [
            tex_comment(f"{width:.0f} pt wide at {SIZE:g} pt: {_place(width)}"),
            rf"\begin{{{kind}}}[tp]",
            r"\centering",
            rf"\caption{{{tex(title)}}}",
            rf"\label{{tab:{label}}}",
            rf"\fontsize{{{SIZE:g}}}{{{1.2 * SIZE:g}}}\selectfont",
            rf"\setlength{{\tabcolsep}}{{{GAP:g}pt}}",
            *lines,
            *_notes([*filter(None, [wide]), *notes]),
            rf"\end{{{kind}}}",
        ]
    )


def _costs(group: Group, title: str) -> list[str]:
    """What the cells took, and each of their stages."""
    label = "-".join(map(tex_label, (group.dataset["name"], group.budget, group.protocol)))
    cells = [[line.title, str(line.cells), *map(line.text, PAGE_COSTS)] for line in cost_lines(group)]
    made = [_cost_table(f"{title}: cost.", f"{label}-cost", ["Model", "n"], PAGE_COSTS, cells, cost_notes(group))]
    stages = [[line.title, line.stage, str(line.cells), *map(line.text, STAGE_COSTS)] for line in stage_lines(group)]
    heads = ["Model", "Stage", "n"]
    own = f"{title}: cost of each stage's training."
    return made + ([_cost_table(own, f"{label}-stages", heads, STAGE_COSTS, stages, [])] if stages else [])


def _cost_table(
    title: str, label: str, first: list[str], costs: Sequence[Cost], lines: list[list[str]], notes: Sequence[str]
) -> str:
    labels, words = [*first, *(cost.label for cost in costs)], len(first) - 1
    widths = [max(min(LABEL, points(cell)) for cell in column) for column in zip(labels, *lines, strict=True)]
    above = [("", len(first)), *((h, len(list(run))) for h, run in groupby(costs, lambda cost: cost.heading))]
    spans = [rf"\multicolumn{{{n}}}{{c}}{{{_boxed(heading, _room(n), 'b')}}}" for heading, n in above]
    body = [
        rf"\begin{{tabular}}{{{'l' * words}{'r' * (len(labels) - words)}}}",
        r"\toprule",
        *([" & ".join(spans) + r" \\"] if any(cost.heading for cost in costs) else []),
        " & ".join(_boxed(text, LABEL, "b") for text in labels) + r" \\",
        r"\midrule",
        *(" & ".join(_boxed(text, LABEL, "t") for text in line) + r" \\" for line in lines),
        *(r"\bottomrule", r"\end{tabular}"),
    ]
    total, start = 0.0, 0
    for heading, n in above:
        own = sum(widths[start : start + n]) + 2 * GAP * n
        total, start = total + max(own, min(points(heading), _room(n)) + 2 * GAP), start + n
    return _framed(title, label, total, body, notes)


def _place(width: float) -> str:
    if width <= COLUMN:
        return "fits a column of 3.25 inches"
    return "fits a page of 6.75 inches" if width <= PAGE else "too wide for a page of 6.75 inches"


def _tabular(table: Table, options: Options) -> Iterator[str]:
    found = list(rows(table, LATEX, intervals=options.intervals, beside=options.name))
    yield rf"\begin{{tabular}}{{lr{'r' * len(table.columns)}}}"
    yield r"\toprule"
    yield from _head(table)
    yield r"\midrule"
    for k, row in enumerate(found):
        if k and row.kind == "ours" and found[k - 1].kind != "ours":
            yield r"\addlinespace[2pt]"
        if row.kind == "reference" and found[k - 1].kind != "reference":
            yield r"\midrule"
        yield _line(row)
    yield from (r"\bottomrule", r"\end{tabular}")


def _head(table: Table) -> Iterator[str]:
    spans, rules, start = [], [], 3
    for heading, count in table.spans:
        spans.append(rf"\multicolumn{{{count}}}{{c}}{{{_boxed(heading, _room(count), 'b')}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + count - 1}}}")
        start += count
    yield " & & " + " & ".join(spans) + r" \\"
    yield "".join(rules)
    yield "Model & n & " + " & ".join(_boxed(label, LABEL, "b") for label in table.labels) + r" \\"


def _line(row: Row) -> str:
    return " & ".join([_boxed(row.name, NAME, "t"), row.seeds, *row.texts]) + r" \\"


def _boxed(text: str, width: float, place: str) -> str:
    """Text that is broken into lines where it is wider."""
    if points(text) <= width:
        return tex(text)
    return rf"\parbox[{place}]{{{width:.0f}pt}}{{\raggedright {tex(text)}}}"


def _notes(notes: Iterable[str]) -> list[str]:
    lines = [tex(note) for note in notes]
    if not lines:
        return []
    return [r"\par\smallskip", r"\begin{minipage}{\linewidth}\raggedright", "\\par\n".join(lines), r"\end{minipage}"]


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    start = rf"{{\fontsize{{{SIZE:g}}}{{{1.2 * SIZE:g}}}\selectfont\raggedright"
    return "\n".join([start, rf"\noindent {tex(title)}:\par", *(rf"{tex(line)}\par" for line in lines), "}"])
