"""Which cells, and which of their rows, a report is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import ResultError, near
from ..store import Cell, Found, RowRecord

__all__ = ["Selection"]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Words that cells and rows must have, each empty for all."""

    dataset: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    budget: tuple[str, ...] = ()
    seed: tuple[int, ...] = ()
    metric: tuple[str, ...] = ()
    """Names of rows, or of the plugins that make them: 'fmd' is FMD and its ratio."""
    task: tuple[str, ...] = ()
    """'joint', 'mnist->svhn'."""
    recipes: bool = False
    """Only cells of the recipes' own settings."""

    def of(self, found: Found, where: Any = "the results") -> Found:
        """What is chosen of a folder. Raises ResultError for a word that nothing has."""
        cells, failures = self._chosen(found.cells, found, where), self._chosen(found.failures, found, where)
        if self.recipes:
            cells, failures = ([cell for cell in some if _is_recipe(cell)] for some in (cells, failures))
            if not cells and not failures:
                raise ResultError(f"{where} holds cells of changed settings only; leave out --recipes")
        if self.metric or self.task:
            self._check_rows(cells, where)
            cells = [cut for cell in cells if (cut := self._cut(cell))["rows"]]
        return Found(cells, failures, found.bad)

    def _chosen(self, cells: Sequence[Cell], found: Found, where: Any) -> list[Cell]:
        """Each word narrows what the one before it left."""
        known = [*found.cells, *found.failures]
        for name, of in CELLS.items():
            wanted = getattr(self, name)
            if name in ("dataset", "model"):
                wanted = _called(name, wanted, known)
            _check(name, wanted, (of(cell) for cell in known), where)
            if wanted:
                known, cells = ([c for c in some if of(c) in wanted] for some in (known, cells))
        return list(cells)

    def _check_rows(self, cells: Iterable[Cell], where: Any) -> None:
        rows = [row for cell in cells for row in cell["rows"]]
        metrics = [word for row in rows for word in (row["metric"], row["plugin"])]
        _check("metric", self.metric, metrics, where)
        _check("task", self.task, (row["task"] for row in rows), where)

    def _cut(self, cell: Cell) -> Cell:
        """The cell with the chosen rows."""
        left = {name: why for name, why in cell["left_out"].items() if not self.metric or name in self.metric}
        return {**cell, "rows": list(filter(self._has, cell["rows"])), "left_out": left}

    def _has(self, row: RowRecord) -> bool:
        metric = not self.metric or row["metric"] in self.metric or row["plugin"] in self.metric
        return metric and (not self.task or row["task"] in self.task)


CELLS: dict[str, Callable[[Cell], Any]] = {
    "dataset": lambda cell: cell["dataset"]["name"],
    "model": lambda cell: cell["model"]["name"],
    "budget": lambda cell: cell["budget"],
    "seed": lambda cell: cell["seed"],
}


def _is_recipe(cell: Cell) -> bool:
    """Whether nothing of model, protocol or training tuples was set."""
    return not cell["overrides"] and not cell.get("missing")


def _called(what: Literal["dataset", "model"], wanted: Sequence[str], cells: Sequence[Cell]) -> list[str]:
    """The names of datasets or models that are given as they were typed for a run ('module:Class')."""
    names = {typed: cell[what]["name"] for cell in cells if (typed := cell[what].get("typed"))}
    return [names.get(word, word) for word in wanted]


def _check(name: str, wanted: Sequence[Any], known: Iterable[Any], where: Any) -> None:
    """ResultError where a word is not known."""
    if wanted:
        there = set(known)
        for word in wanted:
            if word not in there:
                some = near(str(word), sorted(map(str, there)))
                raise ResultError(f"{where} holds no cells of {name} {word!r}; {some}")
