"""Which cells may stand in one table, and their numbers over seeds.

Cells are compared only where dataset, data, budget, protocol and judges are the same; everything that a report or
a figure shows is a `Number` of such a `Group`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..config import canonical
from ..store import Cell, CellKey, DatasetRecord, RowRecord, protocol_hash
from .columns import Column, Names
from .paper import COHERENCE, Point, Published, model_rank, model_title, paper_numbers

__all__ = ["Group", "Line", "Number", "flat", "groups"]


@dataclass(frozen=True)
class Number:
    """One point, measured on the samples of one source, over seeds."""

    row: RowRecord
    """The row of the first seed, in the report's units (coherence in percent)."""
    model: str
    """'' for a reference point that belongs to the data alone."""
    hash: str
    values: tuple[float, ...]
    """One value a seed; the values that differ in four digits where the number is of the data alone."""
    seeds: tuple[int, ...]
    notes: tuple[str, ...]
    """The distinct warnings of the rows."""
    paper: Published | None = None

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def std(self) -> float:
        """Sample standard deviation (ddof = 1); NaN for a single value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval over the samples of one seed; NaN for several seeds and where none is known."""
        low, high = self.row["interval"] or (math.nan, math.nan)
        return (low, high) if len(self.values) == 1 else (math.nan, math.nan)

    @property
    def difference(self) -> float:
        """Ours less the paper's; NaN where the paper has none."""
        return self.mean - self.paper.mean if self.paper else math.nan


@dataclass(frozen=True, order=True)
class Line:
    """One line of a table: a model under one configuration."""

    rank: int
    """Place in the paper's tables; models that are not the paper's come after, by name."""
    model: str
    hash: str


@dataclass(frozen=True)
class Group:
    """Cells that may stand in one table, in the order of their keys."""

    cells: tuple[Cell, ...]

    @property
    def dataset(self) -> DatasetRecord:
        return self.cells[0]["dataset"]

    @property
    def budget(self) -> str:
        return self.cells[0]["budget"]

    @property
    def protocol(self) -> str:
        """Short hash of how the cells were measured."""
        return protocol_hash(self.cells[0])

    @property
    def seeds(self) -> list[int]:
        return sorted({cell["seed"] for cell in self.cells})

    @cached_property
    def lines(self) -> list[Line]:
        found = {(cell["model"]["name"], cell["hash"]) for cell in self.cells}
        return sorted(Line(model_rank(model), model, hash) for model, hash in found)

    @cached_property
    def numbers(self) -> dict[tuple[str, str, str, Point], Number]:
        """(source, model, hash, point) -> number; model and hash are '' for the real and the shuffled data."""
        found: dict[tuple[str, str, str, Point], list[tuple[int, RowRecord]]] = {}
        for cell in self.cells:
            for row in map(_report_units, cell["rows"]):
                model, hash = _owner(row["source"], cell["model"]["name"], cell["hash"])
                key = (row["source"], model, hash, (row["metric"], row["task"], row["modality"]))
                found.setdefault(key, []).append((cell["seed"], row))
        paper = paper_numbers(self.dataset["name"])
        return {key: _number(key, rows, paper) for key, rows in found.items()}

    @cached_property
    def columns(self) -> list[Column]:
        """What was measured on models: coherence, then what is only described, then quality; joint first."""
        return self.columns_of("model")

    def columns_of(self, source: str) -> list[Column]:
        rows = {point: n.row for (whose, _, _, point), n in self.numbers.items() if whose == source}
        return sorted((self.names.column(row) for row in rows.values()), key=self.names.place)

    def number(self, source: str, point: Point, line: Line | None = None) -> Number | None:
        model, hash = _owner(source, line.model, line.hash) if line else ("", "")
        return self.numbers.get((source, model, hash, point))

    def of(self, line: Line) -> list[Cell]:
        """A line's cells, by seed."""
        return [c for c in self.cells if (c["model"]["name"], c["hash"]) == (line.model, line.hash)]

    def title(self, line: Line) -> str:
        """'MLD'; 'MLD 3fa9c1' where the model stands here under several configurations."""
        several = sum(other.model == line.model for other in self.lines) > 1
        return f"{model_title(line.model)} {line.hash[:6]}" if several else model_title(line.model)

    @cached_property
    def names(self) -> Names:
        """How the data's modalities and tasks are called in print."""
        return Names(self.dataset)

    def settings(self, line: Line) -> str:
        """'width=256, score.lr=0.001': in what a configuration differs from the model's others here."""
        same = [other for other in self.lines if other.model == line.model]
        configs = {other.hash: flat(self.of(other)[0]["config"]) for other in same}
        fields = sorted({field for config in configs.values() for field in config})
        differ = [f for f in fields if len({canonical(config.get(f)) for config in configs.values()}) > 1]
        return ", ".join(f"{f}={canonical(configs[line.hash].get(f))}" for f in differ)


def groups(cells: Iterable[Cell]) -> list[Group]:
    """The tables that these cells fill: cells that differ in data, budget, protocol or judges never meet.

    A cell that lacks a metric stands with those that have it.
    """
    found: list[tuple[tuple[str, ...], dict[tuple[str, str], str], list[Cell]]] = []
    for cell in sorted(cells, key=CellKey.of):
        data = cell["dataset"]
        same = (data["name"], cell["budget"], data["fingerprint"], protocol_hash(cell))
        judges = {(row["metric"], row["modality"]): row["judge"] for row in cell["rows"]}
        for other, known, members in found:
            if other == same and all(known.get(key, judge) == judge for key, judge in judges.items()):
                known.update(judges)
                members.append(cell)
                break
        else:
            found.append((same, judges, [cell]))
    return [Group(tuple(members)) for _, _, members in sorted(found, key=lambda item: item[0])]


def _number(
    key: tuple[str, str, str, Point],
    rows: list[tuple[int, RowRecord]],
    paper: Mapping[tuple[str, Point], Published],
) -> Number:
    source, model, hash, point = key
    rows = sorted(rows, key=lambda item: item[0])
    values = [float(row["value"]) for _, row in rows]
    if not model:
        values = list({f"{value:.4g}": value for value in reversed(values)}.values())
    notes = sorted({row["note"] for _, row in rows} - {""})
    return Number(
        row=rows[0][1],
        model=model,
        hash=hash,
        values=tuple(values),
        seeds=tuple(seed for seed, _ in rows) if model else (),
        notes=tuple(notes),
        paper=paper.get((model, point)) if source == "model" else None,
    )


def _report_units(row: RowRecord) -> RowRecord:
    """Coherence in percent; a task that makes what it is given is a reconstruction."""
    row = row.copy()
    if row["metric"] == COHERENCE and row["unit"] != "%":
        row["value"], row["unit"] = 100 * row["value"], "%"
    given, _, target = row["task"].partition("->")
    if row["source"] == "model" and given == target:
        row["source"] = "reconstruction"
    return row


def _owner(source: str, model: str, hash: str) -> tuple[str, str]:
    """Whose number it is: nobody's where the samples are the data's own."""
    return ("", "") if source in ("real", "shuffled") else (model, hash)


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Nested fields by their dotted names."""
    if not isinstance(config, dict):
        return {prefix: config}
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= flat(value, f"{prefix}.{key}" if prefix else key)
    return found
