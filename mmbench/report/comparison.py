"""Which cells may stand in one table, and their numbers over seeds.

Cells are compared only where dataset, data, modalities (their networks, latents, likelihoods, weights), budget,
protocol and judges are the same; everything that a report or a figure shows is a `Number` of such a `Group`. Cells of
one model under one configuration are one `Line`, unless other code made them: fresh and stale seeds are never averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from ..config import canonical, digest
from ..progress import one_line
from ..store import Cell, CellKey, DatasetRecord, RowRecord, protocol_hash
from ..store.schema import QuantityRecord
from .code import code_of, stale
from .columns import Column, Names
from .given import changed, given
from .numbers import Number, Owner, average, make, owner_of, report_units
from .paper import Point, model_rank, model_title, paper_numbers

__all__ = ["SHORT", "Group", "Line", "Number", "groups", "rank_of"]

SHORT = 40
"""Characters of changed settings that stand in a line's title; more of them stand below the table."""


@dataclass(frozen=True, order=True)
class Line:
    """One line of a table: a model under one configuration, made by one code."""

    rank: int
    """Place in the paper's tables; models that are not the paper's come after, by name."""
    model: str
    hash: str
    code: str

    @property
    def owner(self) -> Owner:
        return self.model, self.hash, self.code


@dataclass(frozen=True)
class Group:
    """Cells that may stand in one table, by key; the `others` of their dataset, budget and split, table by table."""

    cells: tuple[Cell, ...]
    others: tuple[tuple[Cell, ...], ...] = ()

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
        """In the paper's order; a model's configurations by the values of the settings in which they differ."""
        return sorted((Line(model_rank(owner[0]), *owner) for owner in self._owned), key=partial(_place, self))

    @cached_property
    def _owned(self) -> dict[Owner, list[Cell]]:
        """Each line's cells, by seed."""
        found: dict[Owner, list[Cell]] = {}
        for cell in sorted(self.cells, key=lambda cell: cell["seed"]):
            found.setdefault(_line_of(cell), []).append(cell)
        return found

    @cached_property
    def numbers(self) -> dict[tuple[str, Owner, Point], Number]:
        """(source, owner, point) -> number; the owner is empty for the real and the shuffled data."""
        found: dict[tuple[str, Owner, Point], list[tuple[Cell, RowRecord]]] = {}
        for owner, cells in self._owned.items():
            for cell in cells:
                for row in map(report_units, cell["rows"]):
                    point = (row["metric"], row["task"], row["modality"])
                    key = (row["source"], owner_of(row["source"], owner), point)
                    found.setdefault(key, []).append((cell, row))
        paper = paper_numbers(self.dataset["name"]) if self.dataset["split"] == "test" else {}
        return {key: make(key, rows, paper) for key, rows in found.items()}

    @cached_property
    def columns(self) -> list[Column]:
        """What was measured on models: coherence, then what is only described, then quality; joint first."""
        return self.columns_of("model")

    def columns_of(self, source: str) -> list[Column]:
        rows = {point: n.row for (whose, _, point), n in self.numbers.items() if whose == source}
        return sorted(map(self.names.column, rows.values()), key=self.names.place)

    def measured(self, source: str, column: Column, line: Line | None = None) -> Number | None:
        """The number of a column; for one that is a mean of points, theirs."""
        if not column.over:
            return self.number(source, column.point, line)
        found = [self.number(source, point, line) for point in column.over]
        numbers = [number for number in found if number]
        return average(numbers, column.point) if len(numbers) == len(found) else None

    def number(self, source: str, point: Point, line: Line | None = None) -> Number | None:
        owner = owner_of(source, line.owner) if line else ("", "", "")
        return self.numbers.get((source, owner, point))

    def of(self, line: Line) -> Sequence[Cell]:
        """A line's cells, by seed."""
        return self._owned[line.owner]

    def title(self, line: Line) -> str:
        """'MLD'; with what sets it apart: 'MLD (score.steps=150; stale) †', 'MLD 3fa9c1 (9 settings changed)'.

        Settings stand there that are not the recipe's, and those in which the model's configurations here differ; where
        they are many their number, and the hash; 'stale' where other code than today's made it, its digits where two
        such lines would look alike, and the dagger where a stage has collapsed.
        """
        return self._titles[line]

    @cached_property
    def _titles(self) -> dict[Line, str]:
        return _titles(self)

    def alike(self, line: Line) -> list[Line]:
        """The lines of its model."""
        return self._alikes[line.model]

    @cached_property
    def _alikes(self) -> dict[str, list[Line]]:
        found: dict[str, list[Line]] = {}
        for line in self.lines:
            found.setdefault(line.model, []).append(line)
        return found

    def stale(self, line: Line) -> list[str]:
        """How the code that made a line differs from what is installed now."""
        return stale(self.of(line)[0])

    def changed(self, line: Line) -> str:
        """'score.steps=150, width=256': the settings of a line that are not its recipe's."""
        return ", ".join(f"{name}={canonical(value)}" for name, value in self.overrides(line).items())

    def overrides(self, line: Line) -> dict[str, Any]:
        """Epochs that are none now went with the steps that took their place, and the reverse: they say nothing."""
        overrides = sorted(changed(self.of(line)[0]).items())
        gone = {name for name, value in overrides if value is None and name.endswith(("epochs", "steps"))}
        return {name: value for name, value in overrides if not name.startswith("eval.") and name not in gone}

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
        return Names(self.dataset, self.declared)

    @cached_property
    def declared(self) -> dict[str, QuantityRecord]:
        """Metric -> what the plugin that measured it declares of it."""
        records = (record for cell in self.cells for record in cell["metrics"].values())
        return {name: quantity for record in records for name, quantity in record.get("quantities", {}).items()}

    def settings(self, line: Line) -> str:
        """'width=256, score.lr=0.001': in what a configuration differs from the model's others here."""
        config = given(self.of(line)[0])
        return ", ".join(f"{f}={canonical(config.get(f))}" for f in self.differing(line))

    def differing(self, line: Line) -> list[str]:
        """The settings in which the configurations of its model differ."""
        return self._differing[line.model]

    @cached_property
    def _differing(self) -> dict[str, list[str]]:
        """Model -> the settings in which its configurations differ."""
        return _differing(self._owned)


def _place(group: Group, line: Line) -> tuple[Any, ...]:
    config = given(group.of(line)[0])
    return line.rank, line.model, [rank_of(config.get(f)) for f in group.differing(line)], line.hash, line.code


def rank_of(value: Any) -> tuple[Any, ...]:
    """Where a setting's value stands among others: none, then numbers, words, lists."""
    if isinstance(value, bool | int | float):
        return 1, float(value), ""
    return (0, 0.0, "") if value is None else (2 if isinstance(value, str) else 3, 0.0, canonical(value))


def _differing(owned: Mapping[Owner, Sequence[Cell]]) -> dict[str, list[str]]:
    configs: dict[str, dict[str, dict[str, Any]]] = {}
    for (model, hash, _), cells in owned.items():
        configs.setdefault(model, {})[hash] = given(cells[0])
    found = {}
    for model, own in configs.items():
        fields = sorted({field for config in own.values() for field in config})
        found[model] = [f for f in fields if len({canonical(c.get(f)) for c in own.values()}) > 1]
    return found


def label(group: Group, line: Line) -> str:
    """'beta=0.5': the settings that set a line apart, the recipe's own value among those of a sweep, and what else is
    not its recipe's; '' for a recipe that stands alone."""
    config = given(group.of(line)[0])
    gone = {f for f, value in config.items() if value is None and f.endswith(("epochs", "steps"))}
    shown = {f: config.get(f) for f in group.differing(line) if f not in gone} | group.overrides(line)
    return ", ".join(f"{name}={canonical(value)}" for name, value in sorted(shown.items()))


def _titles(group: Group) -> dict[Line, str]:
    labels = {line: label(group, line) for line in group.lines}
    bearers: dict[tuple[str, str], set[str]] = {}
    for line, words in labels.items():
        bearers.setdefault((line.model, words), set()).add(line.hash)
    return {line: _title(group, line, words, len(bearers[line.model, words]) == 1) for line, words in labels.items()}


def _title(group: Group, line: Line, shown: str, alone: bool) -> str:
    """With its label, and whether no other configuration of the model has the same."""
    count = len(group.overrides(line))
    fits = len(shown) <= SHORT
    remarks = [shown if fits else f"{count} setting{'s' * (count != 1)} changed" if count else ""]
    remarks += ["stale"] if group.stale(line) else []
    remarks += [f"code {line.code[:6]}"] if _alike(group, line) else []
    others = [other for other in group.alike(line) if other.hash != line.hash]
    name = model_title(line.model) if (fits and alone) or not others else f"{model_title(line.model)} {line.hash[:6]}"
    inside = "; ".join(remark for remark in remarks if remark)
    return one_line(name + (f" ({inside})" if inside else "") + (" †" if group.collapsed(line) else ""))


def _alike(group: Group, line: Line) -> bool:
    """Whether other code made another line of this configuration that is stale, or fresh, like this one."""
    same = [other for other in group.alike(line) if other.hash == line.hash]
    return sum(bool(group.stale(other)) == bool(group.stale(line)) for other in same) > 1


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
    tables = [tuple(members) for _, _, members in sorted(found, key=lambda item: item[0])]
    alike: dict[tuple[str, str, str], list[tuple[Cell, ...]]] = {}
    for table in tables:
        alike.setdefault(_heading(table), []).append(table)
    return [Group(table, tuple(other for other in alike[_heading(table)] if other is not table)) for table in tables]


def _heading(table: Sequence[Cell]) -> tuple[str, str, str]:
    """What stands above a table."""
    return table[0]["dataset"]["name"], table[0]["budget"], table[0]["dataset"]["split"]


def _line_of(cell: Cell) -> Owner:
    return cell["model"]["name"], cell["hash"], code_of(cell)


def _equal(data: DatasetRecord) -> str:
    """A hash of what every model was given for the modalities."""
    return digest(data["modalities"], 8)
