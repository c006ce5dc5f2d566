"""The tables of a page."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from ...config import canonical, flat
from ...progress import duration, one_line
from ...store import Cell as Record
from ..columns import Column
from ..comparison import Group, Line
from ..figures.looks import Look
from ..numbers import Number
from ..paper import metric_digits
from ..table import Entry
from ..table import Table as ReportTable
from ..table import tables as report_tables
from ..text import PLAIN, rows
from .parts import Body, Cell, Head, Row, Table

__all__ = ["costs", "environment", "judges", "main", "reconstructions", "references", "seeds", "settings"]

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
    """What the cells recorded of their cost: means over seeds."""
    kinds: list[tuple[Head, Callable[[Record], float | None], Callable[[float], str]]] = [
        (Head("Training", "Wall time", "ascending"), _training, duration),
        (Head("Generation", "Wall time", "ascending"), lambda cell: _phase(cell, "generate "), duration),
        (Head("Measuring", "Wall time", "ascending"), _measuring, duration),
        (Head("Optimiser steps", "", "ascending"), _steps, "{:,.0f}".format),
        (Head("joint", "Network calls for a batch", "ascending"), _joint_calls, "{:,.0f}".format),
        (Head("all conditional tasks", "Network calls for a batch", "ascending"), _other_calls, "{:,.0f}".format),
    ]
    bodies = []
    for k, line in enumerate(group.lines):
        cells = group.of(line)
        columns = [_mean(map(read, cells), write) for _, read, write in kinds]
        bodies.append(Body([Row(group.title(line), [Cell(str(len(cells)), len(cells)), *columns])], k, look[k]))
    foot = "Means over seeds; times are of the machines named under Environment. " + _not_recorded(group)
    heads = [Head("Model"), Head("n", "", "descending"), *(head for head, _, _ in kinds)]
    return Table(f"{ident}-costs-table", f"{group.heading}: cost", heads, bodies, foot)


def _not_recorded(group: Group) -> str:
    return "Parameters, GFLOP and memory are not recorded in these cells."


def _mean(values: Iterable[float | None], write: Callable[[float], str]) -> Cell:
    known = [value for value in values if value is not None]
    return Cell(write(statistics.fmean(known)), statistics.fmean(known)) if known else Cell(NONE)


def _training(cell: Record) -> float | None:
    return sum(stage["seconds"] for stage in cell["stages"].values()) if cell["stages"] else None


def _phase(cell: Record, start: str) -> float | None:
    found = [seconds for phase, seconds in cell["time"].items() if phase.startswith(start)]
    return sum(found) if found else None


def _measuring(cell: Record) -> float | None:
    return sum(metric["seconds"] for metric in cell["metrics"].values()) if cell["metrics"] else None


def _steps(cell: Record) -> float | None:
    return sum(stage["steps"] for stage in cell["stages"].values()) if cell["stages"] else None


def _joint_calls(cell: Record) -> float | None:
    return sum(cell["calls"]["joint"].values()) if "joint" in cell["calls"] else None


def _other_calls(cell: Record) -> float | None:
    found = [sum(calls.values()) for phase, calls in cell["calls"].items() if phase != "joint"]
    return sum(found) if found else None


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
    configs = [flat(group.of(line)[0]["config"]) for line in group.lines]
    changed = [group.of(line)[0]["overrides"] for line in group.lines]
    names = list(dict.fromkeys(name for config in configs for name in config))
    bodies = []
    for name in names:
        cells = [
            Cell(f"{canonical(config[name])}{' (not the recipe’s)' if name in own else ''}" if name in config else NONE)
            for config, own in zip(configs, changed, strict=True)
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
