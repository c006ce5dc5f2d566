"""The tables of a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...config import flat
from ...progress import one_line
from ..columns import Column
from ..comparison import Group, Line
from ..costs import PAGE_COSTS, STAGE_COSTS, Cost, CostLine, cost_lines, cost_notes, stage_lines
from ..figures.looks import Look
from ..given import changed, missing
from ..judges import judge_lines
from ..notes import own_notes
from ..numbers import Number
from ..paper import metric_digits
from ..pieces import pieces, split
from ..protocol import plain
from ..table import SOURCES, Entry, is_no_chance, reference_title
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


def main(group: Group, ident: str, look: Sequence[Look]) -> list[Table]:
    """The report's tables: the paper's columns first, then further ones with what their metrics are; the paper's
    numbers and ours minus the paper's below ours."""
    first, *rest = [table for table in report_tables(group) if table.kind != "reconstructions"]
    start, further = split(first, _fits), [piece for table in rest for piece in pieces([table], _fits)]
    notes = [""] * len(start) + [" ".join(own) for own in own_notes(group, further, first)]
    made = [_table(group, f"{ident}-table-{number}", table, look) for number, table in enumerate([*start, *further])]
    return [replace(table, foot=said) for table, said in zip(made, notes, strict=True)]


def _table(group: Group, ident: str, table: ReportTable, look: Sequence[Look]) -> Table:
    heads = [Head("Model"), Head("Seeds", "", "descending"), *_heads(table)]
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


def _fits(table: ReportTable) -> bool:
    return len(table.columns) <= MOST


def _heads(table: ReportTable) -> list[Head]:
    return [_head(column, label) for column, label in zip(table.columns, table.labels, strict=True)]


def _head(column: Column, label: str) -> Head:
    return Head(label, column.heading, "descending" if column.higher_is_better else "ascending")


def _value(number: Number) -> str:
    digits = metric_digits(number.row["metric"])
    return f"{number.mean:.{digits}f}" + ("" if math.isnan(number.std) else f" ± {number.std:.{digits}f}")


def costs(group: Group, ident: str, look: Sequence[Look]) -> Table:
    """What the cells took, means over seeds."""
    bodies = []
    for k, line in enumerate(cost_lines(group)):
        cells = [Cell(str(line.cells), line.cells), *(_cost(line, cost) for cost in PAGE_COSTS)]
        bodies.append(Body([Row(line.title, cells)], k, look[k]))
    heads = [Head("Model"), Head("Seeds", "", "descending"), *map(_cost_head, PAGE_COSTS)]
    return Table(f"{ident}-costs-table", f"{group.heading}: cost", heads, bodies, " ".join(cost_notes(group)))


def stages(group: Group, ident: str, look: Sequence[Look]) -> Table:
    """What each stage's training took."""
    places, bodies = {line: k for k, line in enumerate(group.lines)}, []
    for line in stage_lines(group):
        k = places[line.line]
        cells = [Cell(line.stage), Cell(str(line.cells), line.cells), *(_cost(line, cost) for cost in STAGE_COSTS)]
        bodies.append(Body([Row(line.title, cells)], k, look[k]))
    heads = [Head("Model"), Head("Stage"), Head("Seeds", "", "descending"), *map(_cost_head, STAGE_COSTS)]
    return Table(f"{ident}-stages-table", f"{group.heading}: training of each stage", heads, bodies)


def _cost(line: CostLine, cost: Cost) -> Cell:
    number = line.numbers.get(cost.metric)
    return Cell(line.text(cost), number.mean if number else None)


def _cost_head(cost: Cost) -> Head:
    return Head(cost.label, cost.heading, "ascending")


def seeds(group: Group, ident: str, look: Sequence[Look]) -> list[Table]:
    """Every seed's number of every column, a row for each seed."""
    found = []
    shown = [x for table in report_tables(group) if table.kind != "reconstructions" for x in split(table, _fits)]
    for number, table in enumerate(shown):
        heads = [Head("Model, seed"), *_heads(table)]
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
    bodies = []
    for line in judge_lines(group):
        cells = [Cell(line.said), Cell(line.identity or NONE), Cell(line.reference or NONE)]
        name = " + ".join(group.names.long(m) for m in line.modality.split("+"))
        bodies.append(Body([Row(name, [*cells, Cell(", ".join(line.metrics))])]))
    heads = [Head("Of"), Head("Judge, with its accuracy on real data"), Head("Weights"), Head("Reference autoencoder")]
    return Table(f"{ident}-judges-table", f"{group.heading}: judges", [*heads, Head("Metrics")], bodies)


def references(group: Group, ident: str) -> Table | None:
    """What real data and shuffled tuples reach."""
    bodies = []
    for source in SOURCES:
        title = reference_title(group, source)
        for column in group.columns_of(source):
            number = None if is_no_chance(source, column) else group.number(source, column.point)
            if number:
                count = int(number.row["count"])
                cells = [Cell(column.title), Cell(_value(number), number.mean), Cell(f"{count:,}", count)]
                bodies.append(Body([Row(title, [*cells, Cell(one_line(number.row["data"]) or NONE)])]))
    heads = [Head("Source"), Head("Number"), Head("Value", "", "descending"), Head("Samples", "", "descending")]
    heads.append(Head("Measured on"))
    return Table(f"{ident}-references-table", f"{group.heading}: reference points", heads, bodies) if bodies else None


def reconstructions(group: Group, ident: str, look: Sequence[Look]) -> list[Table]:
    """What each model makes of a modality that it is given."""
    found = pieces((table for table in report_tables(group) if table.kind == "reconstructions"), _fits)
    return [_table(group, f"{ident}-reconstructions-{k}", table, look) for k, table in enumerate(found)]


def settings(group: Group, ident: str) -> Table:
    """Every setting of every line; those that are not the recipe's are marked."""
    configs = [{**missing(group.of(line)[0]), **_config(group, line)} for line in group.lines]
    settings_of = [changed(group.of(line)[0]) for line in group.lines]
    names = list(dict.fromkeys(name for config in configs for name in config))
    bodies = []
    for name in names:
        cells = [
            Cell(f"{plain(config[name])}{' (not the recipe’s)' if name in own else ''}" if name in config else NONE)
            for config, own in zip(configs, settings_of, strict=True)
        ]
        bodies.append(Body([Row(one_line(name), cells)]))
    heads = [Head("Setting"), *(Head(group.title(line)) for line in group.lines)]
    return Table(f"{ident}-settings-table", f"{group.heading}: settings of the models", heads, bodies)


def _config(group: Group, line: Line) -> dict[str, Any]:
    """A line's settings; of an automatic precision what it was on the machine that trained."""
    cells = group.of(line)
    used = sorted({stage["precision"] for cell in cells for stage in cell["stages"].values() if "precision" in stage})
    config = flat(cells[0]["config"])
    found = f"auto ({' and '.join(used)} here)" if used else "auto"
    return config | {k: found for k, v in config.items() if v == "auto" and k.endswith("precision")}


def environment(group: Group, ident: str) -> Table:
    """What the cells ran on: each value with the number of cells."""
    bodies = []
    for field in ("commit", "mmbench", "torch", "python", "device", "platform"):
        values = [one_line(str(cell["environment"].get(field) or "unknown")) for cell in group.cells]
        for value in sorted(set(values)):
            bodies.append(Body([Row(field, [Cell(value), Cell(str(values.count(value)), values.count(value))])]))
    heads = [Head("What"), Head("Value"), Head("Cells", "", "descending")]
    return Table(f"{ident}-environment-table", f"{group.heading}: environment", heads, bodies)
