"""Which cells may stand in one table, and their numbers over seeds.

Cells are compared only where dataset, data, modalities (their networks, latents, likelihoods, weights), budget,
protocol and judges are the same; everything that a report or a figure shows is a `Number` of such a `Group`. Cells of
one model under one configuration are one `Line`, unless other code made them: fresh and stale seeds are never averaged.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..config import canonical, digest, flat
from ..progress import one_line
from ..store import Cell, CellKey, DatasetRecord, RowRecord, protocol_hash
from .code import code_of, metric_code, stale
from .columns import Column, Names
from .paper import COHERENCE, Point, Published, model_rank, model_title, paper_numbers

__all__ = ["SHORT", "Group", "Line", "Number", "groups"]

SHORT = 40
"""Characters of changed settings that stand in a line's title; more of them stand below the table."""
Owner = tuple[str, str, str]
"""Model, hash and code of a line; empty for the data's own numbers."""


@dataclass(frozen=True)
class Number:
    """One point, measured on the samples of one source, over seeds."""

    row: RowRecord
    """The row of the first seed, in the report's units (coherence in percent)."""
    model: str
    """'' for a reference point that belongs to the data alone."""
    hash: str
    code: str
    values: tuple[float, ...]
    """One value a seed; the values that differ in four digits where the number is of the data alone."""
    seeds: tuple[int, ...]
    notes: tuple[str, ...]
    """The distinct warnings of the rows."""
    measured_by: tuple[str, ...] = ()
    """The distinct codes that measured it: more than one should not be averaged."""
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
    """One line of a table: a model under one configuration, made by one code."""

    rank: int
    """Place in the paper's tables; models that are not the paper's come after, by name."""
    model: str
    hash: str
    code: str


@dataclass(frozen=True)
class Group:
    """Cells that may stand in one table, in the order of their keys."""

    cells: tuple[Cell, ...]

    @property
    def dataset(self) -> DatasetRecord:
        return self.cells[0]["dataset"]

    @property
    def heading(self) -> str:
        """The dataset's name in print."""
        return one_line(self.dataset["title"])

    @property
    def budget(self) -> str:
        return one_line(self.cells[0]["budget"])

    @property
    def protocol(self) -> str:
        """Short hash of how the cells were measured."""
        return protocol_hash(self.cells[0])

    @property
    def seeds(self) -> list[int]:
        return sorted({cell["seed"] for cell in self.cells})

    @cached_property
    def lines(self) -> list[Line]:
        found = {_line_of(cell) for cell in self.cells}
        return sorted(Line(model_rank(model), model, hash, code) for model, hash, code in found)

    @cached_property
    def numbers(self) -> dict[tuple[str, Owner, Point], Number]:
        """(source, owner, point) -> number; the owner is empty for the real and the shuffled data."""
        found: dict[tuple[str, Owner, Point], list[tuple[Cell, RowRecord]]] = {}
        for cell in self.cells:
            for row in map(_report_units, cell["rows"]):
                point = (row["metric"], row["task"], row["modality"])
                key = (row["source"], _owner(row["source"], _line_of(cell)), point)
                found.setdefault(key, []).append((cell, row))
        paper = paper_numbers(self.dataset["name"]) if self.dataset["split"] == "test" else {}
        return {key: _number(key, rows, paper) for key, rows in found.items()}

    @cached_property
    def columns(self) -> list[Column]:
        """What was measured on models: coherence, then what is only described, then quality; joint first."""
        return self.columns_of("model")

    def columns_of(self, source: str) -> list[Column]:
        rows = {point: n.row for (whose, _, point), n in self.numbers.items() if whose == source}
        return sorted((self.names.column(row) for row in rows.values()), key=self.names.place)

    def number(self, source: str, point: Point, line: Line | None = None) -> Number | None:
        owner = _owner(source, (line.model, line.hash, line.code)) if line else ("", "", "")
        return self.numbers.get((source, owner, point))

    def of(self, line: Line) -> list[Cell]:
        """A line's cells, by seed."""
        return [c for c in self.cells if _line_of(c) == (line.model, line.hash, line.code)]

    def title(self, line: Line) -> str:
        """'MLD'; with what sets it apart: 'MLD 3fa9c1 (score.steps=150; stale) †'.

        The hash stands there where the model has several configurations here, changed settings always (their number
        where they are many), 'stale' where other code than today's made it, its digits where two such lines would look
        alike, and the dagger where a stage has collapsed.
        """
        same = [other for other in self.lines if other.model == line.model]
        remarks = [self.changed(line)] if len(self.changed(line)) <= SHORT else [self._count_changed(line)]
        remarks += ["stale"] if self.stale(line) else []
        remarks += [f"code {line.code[:6]}"] if self._alike(line) else []
        several = len({other.hash for other in same}) > 1
        name = f"{model_title(line.model)} {line.hash[:6]}" if several else model_title(line.model)
        inside = "; ".join(remark for remark in remarks if remark)
        return one_line(name + (f" ({inside})" if inside else "") + (" †" if self.collapsed(line) else ""))

    def stale(self, line: Line) -> list[str]:
        """How the code that made a line differs from what is installed now."""
        return stale(self.of(line)[0])

    def changed(self, line: Line) -> str:
        """'score.steps=150, width=256': the settings of a line that are not its recipe's."""
        return ", ".join(f"{name}={canonical(value)}" for name, value in self._overrides(line).items())

    def _overrides(self, line: Line) -> dict[str, Any]:
        """Epochs that are none now went with the steps that took their place, and the reverse: they say nothing."""
        overrides = sorted(self.of(line)[0]["overrides"].items())
        gone = {name for name, value in overrides if value is None and name.endswith(("epochs", "steps"))}
        return {name: value for name, value in overrides if not name.startswith("eval.") and name not in gone}

    def _count_changed(self, line: Line) -> str:
        return f"{len(self._overrides(line))} settings changed"

    def _alike(self, line: Line) -> bool:
        """Whether other code made another line of this configuration that is stale, or fresh, like this one."""
        same = [other for other in self.lines if (other.model, other.hash) == (line.model, line.hash)]
        return sum(bool(self.stale(other)) == bool(self.stale(line)) for other in same) > 1

    def collapsed(self, line: Line) -> list[str]:
        """'seed 3: stage 'score' has collapsed: ...' for every stage of a line's cells that has."""
        return [
            f"seed {cell['seed']}: {reason}"
            for cell in self.of(line)
            for record in cell["stages"].values()
            for reason in record["collapsed"]
        ]

    @cached_property
    def names(self) -> Names:
        """How the data's modalities and tasks are called in print."""
        return Names(self.dataset)

    def settings(self, line: Line) -> str:
        """'width=256, score.lr=0.001': in what a configuration differs from the model's others here."""
        alike = [other for other in self.lines if other.model == line.model]
        configs = {other.hash: flat(self.of(other)[0]["config"]) for other in alike}
        fields = sorted({field for config in configs.values() for field in config})
        differ = [f for f in fields if len({canonical(config.get(f)) for config in configs.values()}) > 1]
        return ", ".join(f"{f}={canonical(configs[line.hash].get(f))}" for f in differ)


def groups(cells: Iterable[Cell]) -> list[Group]:
    """The tables that these cells fill: cells that differ in data, modalities, budget, protocol or judges never meet.

    Judges and reference autoencoders are told apart by their weights, not by their names. A cell that lacks a metric
    stands with those that have it.
    """
    found: list[tuple[tuple[str, ...], dict[tuple[str, str], tuple[str, ...]], list[Cell]]] = []
    for cell in sorted(cells, key=CellKey.of):
        data = cell["dataset"]
        same = (data["name"], cell["budget"], data["split"], data["fingerprint"], protocol_hash(cell), _equal(data))
        judges = {
            (row["metric"], row["modality"]): (row["judge"], row["identity"], row["reference"]) for row in cell["rows"]
        }
        for other, known, members in found:
            if other == same and all(known.get(key, judge) == judge for key, judge in judges.items()):
                known.update(judges)
                members.append(cell)
                break
        else:
            found.append((same, judges, [cell]))
    return [Group(tuple(members)) for _, _, members in sorted(found, key=lambda item: item[0])]


def _number(
    key: tuple[str, Owner, Point],
    rows: list[tuple[Cell, RowRecord]],
    paper: Mapping[tuple[str, Point], Published],
) -> Number:
    source, (model, hash, code), point = key
    rows = sorted(rows, key=lambda item: item[0]["seed"])
    values = [float(row["value"]) for _, row in rows]
    if not model:
        values = list({f"{value:.4g}": value for value in reversed(values)}.values())
    notes = sorted({row["note"] for _, row in rows} - {""})
    return Number(
        row=rows[0][1],
        model=model,
        hash=hash,
        code=code,
        values=tuple(values),
        seeds=tuple(cell["seed"] for cell, _ in rows) if model else (),
        notes=tuple(notes),
        measured_by=tuple(sorted({metric_code(cell, row["plugin"]) for cell, row in rows})),
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


def _owner(source: str, line: Owner) -> Owner:
    """Whose number it is: nobody's where the samples are the data's own."""
    return ("", "", "") if source in ("real", "shuffled") else line


def _line_of(cell: Cell) -> Owner:
    return cell["model"]["name"], cell["hash"], code_of(cell)


def _equal(data: DatasetRecord) -> str:
    """A hash of what every model was given for the modalities."""
    return digest(data["modalities"], 8)
