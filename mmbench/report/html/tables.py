"""The tables of a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ...config import canonical, flat
from ...progress import one_line
from ..columns import Column
from ..comparison import Group, Line
from ..costs import CELL_COSTS, STAGE_COSTS, Cost, CostLine, cost_lines, cost_notes, stage_lines
from ..figures.looks import Look
from ..given import changed, missing
from ..numbers import Number
from ..paper import metric_digits
from ..table import Entry
from ..table import Table as ReportTable
from ..table import tables as report_tables
from ..text import PLAIN, rows
from .parts import Body, Cell, Head, Row, Table

__all__ = [
    "costs",
    "environment",
    "judges",
    "main",
    "reconstructions",
    "references",
    "seeds",
    "settings",
    "stages",
]

NONE = "–"
STYLE = replace(PLAIN, plus_minus=" ± ")
MOST = 7
"""Columns of numbers in a table: so many fit a printed page."""
TITLES = {"real": "Real data", "shuffled": "Shuffled tuples"}


def main(group: Group, ident: str, look: Sequence[Look]) -> list[Table]:
    """The report's tables: the paper's columns first, then further ones; the paper's numbers and ours minus the
    paper's below ours."""
    found = [piece for table in report_tables(group) if table.kind != "reconstructions" for piece in _pieces(table)]
    return [_table(group, f"{ident}-table-{number}", table, look) for number, table in enumerate(found)]


def _table(group: Group, ident: str, table: ReportTable, look: Sequence[Look]) -> Table:
    heads = [Head("Model"), Head("n", "", "descending"), *(_head(column) for column in table.columns)]
    bodies, places = [], iter([*table.lines, *table.references])
    for row in rows(table, STYLE):
        cells = [Cell(text) for text in row.texts]
        if row.kind in ("ours", "reference"):
            place = next(places)
            cells = [_entry(text, entry) for text, entry in zip(row.texts, place.entries, strict=True)]
            k = group.lines.index(place.line) if place.line else None
            bodies.append(Body([], k, None if k is None else look[k]))
        n = Cell(row.seeds, float(row.seeds)) if row.seeds else Cell("")
        name, kind = row.name.removeprefix("· "), "" if row.kind in ("ours", "reference") else row.kind
        bodies[-1] = replace(bodies[-1], rows=[*bodies[-1].rows, Row(name, [n, *cells], kind)])
    return Table(ident, f"{group.heading}: {table.title}", heads, bodies)


def _entry(text: str, entry: Entry | None) -> Cell:
    if entry is None:
        return Cell(NONE)
    return Cell(text, entry.number.mean, entry.mark, "; ".join(entry.number.notes))


def _pieces(table: ReportTable) -> list[ReportTable]:
    """The table in the fewest pieces that fit a printed page, of nearly equal length."""
    columns = len(table.columns)
    count = -(-columns // MOST)
    cuts = [round(k * columns / count) for k in range(count + 1)] if count else []
    titles = [f"{table.title}, {k + 1} of {count}" if count > 1 else table.title for k in range(count)]
    return [table.pick(range(*cut), title) for cut, title in zip(pairwise(cuts), titles, strict=True)]


def _head(column: Column) -> Head:
    return Head(column.label, column.heading, "descending" if column.higher_is_better else "ascending")


def _ours(number: Number | None) -> Cell:
    return Cell(_value(number), number.mean, "", "; ".join(number.notes)) if number else Cell(NONE)


def _value(number: Number | None) -> str:
    if number is None:
        return NONE
    digits = metric_digits(number.row["metric"])
    return f"{number.mean:.{digits}f}" + ("" if math.isnan(number.std) else f" ± {number.std:.{digits}f}")


def costs(group: Group, ident: str, look: Sequence[Look]) -> Table:
    """What the cells took, means over seeds."""
    bodies = []
    for k, line in enumerate(cost_lines(group)):
        cells = [Cell(str(line.cells), line.cells), *(_cost(line, cost) for cost in CELL_COSTS)]
        bodies.append(Body([Row(line.title, cells)], k, look[k]))
    heads = [Head("Model"), Head("n", "", "descending"), *map(_cost_head, CELL_COSTS)]
    return Table(f"{ident}-costs-table", f"{group.heading}: cost", heads, bodies, " ".join(cost_notes(group)))


def stages(group: Group, ident: str, look: Sequence[Look]) -> Table:
    """What each stage's training took."""
    places, bodies = {line: k for k, line in enumerate(group.lines)}, []
    for line in stage_lines(group):
        k = places[line.line]
        cells = [Cell(line.stage), Cell(str(line.cells), line.cells), *(_cost(line, cost) for cost in STAGE_COSTS)]
        bodies.append(Body([Row(line.title, cells)], k, look[k]))
    heads = [Head("Model"), Head("Stage"), Head("n", "", "descending"), *map(_cost_head, STAGE_COSTS)]
    return Table(f"{ident}-stages-table", f"{group.heading}: training of each stage", heads, bodies)


def _cost(line: CostLine, cost: Cost) -> Cell:
    number = line.numbers.get(cost.metric)
    return Cell(line.text(cost), number.mean if number else None)


def _cost_head(cost: Cost) -> Head:
    return Head(cost.label, cost.heading, "ascending")


def seeds(group: Group, ident: str, look: Sequence[Look]) -> list[Table]:
    """Every seed's number of every column, a row for each seed."""
    found = []
    pieces = [piece for table in report_tables(group) if table.kind != "reconstructions" for piece in _pieces(table)]
    for number, table in enumerate(pieces):
        heads = [Head("Model, seed"), *(_head(column) for column in table.columns)]
        bodies = []
        for k, line in enumerate(group.lines):
            bodies += _of_line(group, table.columns, line, k, look[k])
        caption = f"{group.heading}, each seed: {table.title}"
        found.append(Table(f"{ident}-seeds-table-{number}", caption, heads, bodies))
    return found


def _of_line(group: Group, columns: Sequence[Column], line: Line, k: int, look: Look) -> list[Body]:
    numbers = [group.measured("model", column, line) for column in columns]
    seeds = [cell["seed"] for cell in group.of(line)]
    title = group.title(line)
    return [Body([Row(f"{title}, seed {seed}", [_of_seed(n, seed) for n in numbers])], k, look) for seed in seeds]


def _of_seed(number: Number | None, seed: int) -> Cell:
    if number is None or seed not in number.seeds:
        return Cell(NONE)
    value = number.values[number.seeds.index(seed)]
    return Cell(f"{value:.{metric_digits(number.row['metric'])}f}", value)


def judges(group: Group, ident: str) -> Table:
    """Who judged what, with the judges' accuracies."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for column in group.columns:
        row = next(n.row for line in group.lines if (n := group.number("model", column.point, line)))
        what = f"{group.names.metric(column.metric)} of {group.names.short(column.point[2])}"
        known = found.setdefault((row["judge"], row["identity"], row["reference"]), [])
        known += [] if what in known else [what]
    bodies = []
    for (judge, identity, reference), what in found.items():
        cells = [Cell(one_line(identity) or NONE), Cell(one_line(reference) or NONE), Cell(", ".join(what))]
        bodies.append(Body([Row(one_line(judge), cells)]))
    heads = [Head("Judge, with its accuracy"), Head("Weights"), Head("Reference autoencoder"), Head("Judged")]
    return Table(f"{ident}-judges-table", f"{group.heading}: judges", heads, bodies)


def references(group: Group, ident: str) -> Table | None:
    """What real data and shuffled tuples reach."""
    bodies = []
    for source, title in TITLES.items():
        for column in group.columns_of(source):
            if number := group.number(source, column.point):
                count = int(number.row["count"])
                cells = [Cell(column.title), Cell(_value(number), number.mean), Cell(f"{count:,}", count)]
                bodies.append(Body([Row(title, [*cells, Cell(one_line(number.row["data"]) or NONE)])]))
    heads = [Head("Source"), Head("Number"), Head("Value", "", "descending"), Head("Samples", "", "descending")]
    heads.append(Head("Measured on"))
    return Table(f"{ident}-references-table", f"{group.heading}: reference points", heads, bodies) if bodies else None


def reconstructions(group: Group, ident: str, look: Sequence[Look]) -> Table | None:
    """What each model makes of a modality that it is given."""
    columns = group.columns_of("reconstruction")
    bodies = []
    for k, line in enumerate(group.lines):
        numbers = [group.number("reconstruction", column.point, line) for column in columns]
        bodies.append(Body([Row(group.title(line), [*map(_ours, numbers)])], k, look[k]))
    heads = [Head("Model"), *(_head(column) for column in columns)]
    caption = f"{group.heading}: reconstructions"
    return Table(f"{ident}-reconstructions-table", caption, heads, bodies) if columns else None


def settings(group: Group, ident: str) -> Table:
    """Every setting of every line; those that are not the recipe's are marked."""
    cells_of = [group.of(line)[0] for line in group.lines]
    configs = [{**missing(cell), **flat(cell["config"])} for cell in cells_of]
    settings_of = [changed(cell) for cell in cells_of]
    names = list(dict.fromkeys(name for config in configs for name in config))
    bodies = []
    for name in names:
        cells = [
            Cell(f"{canonical(config[name])}{' (not the recipe’s)' if name in own else ''}" if name in config else NONE)
            for config, own in zip(configs, settings_of, strict=True)
        ]
        bodies.append(Body([Row(one_line(name), cells)]))
    heads = [Head("Setting"), *(Head(group.title(line)) for line in group.lines)]
    return Table(f"{ident}-settings-table", f"{group.heading}: settings of the models", heads, bodies)


def environment(group: Group, ident: str) -> Table:
    """What the cells ran on: each value with the number of cells."""
    bodies = []
    for field in ("commit", "mmbench", "torch", "python", "device", "platform"):
        values = [one_line(str(cell["environment"].get(field) or "unknown")) for cell in group.cells]
        for value in sorted(set(values)):
            bodies.append(Body([Row(field, [Cell(value), Cell(str(values.count(value)), values.count(value))])]))
    heads = [Head("What"), Head("Value"), Head("Cells", "", "descending")]
    return Table(f"{ident}-environment-table", f"{group.heading}: environment", heads, bodies)
