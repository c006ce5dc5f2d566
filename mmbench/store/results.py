"""Results on disk: one cell of models x datasets x seeds is one JSON file, written once and whole.

    <results>/<dataset>/<model>/<budget>-<hash>/seed-<k>.json             a complete cell
    <results>/<dataset>/<model>/<budget>-<hash>/seed-<k>.failed.json      what went wrong

This module knows no model and no torch: a report can be made where neither is installed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..config import digest
from ..errors import ResultError
from .files import word, write_text
from .schema import SCHEMA, Cell, faults

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS",
    "DISPLAY_ONLY",
    "CellKey",
    "cells",
    "existing",
    "failures",
    "frame",
    "protocol_hash",
    "read",
    "write",
]

ROW = ("source", "metric", "plugin", "task", "modality", "value", "unit", "count", "judge", "identity", "reference",
       "higher_is_better", "note", "data")  # fmt: skip
COLUMNS = ("dataset", "fingerprint", "budget", "protocol", "model", "hash", "seed", *ROW)
"""The columns of `frame`. 'protocol' is a hash of the settings that change a number."""

DISPLAY_ONLY = ("batch_size",)
"""Settings of the protocol that change no number."""


@dataclass(frozen=True, order=True, slots=True)
class CellKey:
    """What names one cell."""

    dataset: str
    model: str
    budget: str
    hash: str
    seed: int

    @classmethod
    def of(cls, cell: Cell) -> CellKey:
        return cls(cell["dataset"]["name"], cell["model"]["name"], cell["budget"], cell["hash"], cell["seed"])

    @property
    def folder(self) -> Path:
        """'<dataset>/<model>/<budget>-<hash>'; a model given as 'module:Class' becomes 'module.Class'."""
        return Path(word(self.dataset), word(self.model), f"{word(self.budget)}-{word(self.hash)}")

    def path(self, results: Path) -> Path:
        """The file of the complete cell."""
        return results / self.folder / f"seed-{self.seed}.json"

    def failed(self, results: Path) -> Path:
        """The file that is there instead if the cell failed."""
        return results / self.folder / f"seed-{self.seed}.failed.json"

    def samples(self, token: str, runs: Path = Path()) -> Path:
        """The figures' sample file, named by what made it; without `runs`, the name that a cell records."""
        return runs / "samples" / self.folder / f"seed-{self.seed}.{token}.npz"

    def exported(self, runs: Path) -> Path:
        """The folder of samples that were written for other tools."""
        return runs / "samples" / self.folder / f"seed-{self.seed}"


def write(results: Path, cell: Cell) -> Path:
    """Write a cell whole and return its path; a complete one removes the record of an earlier failure.

    Raises ResultError for a number that is not finite or a cell that is not of the schema, StorageError for a disk
    that is full or cannot be written to.
    """
    key = CellKey.of(cell)
    complete = cell["status"] == "complete"
    path = key.path(results) if complete else key.failed(results)
    try:
        text = json.dumps(cell, indent=1, allow_nan=False, default=_plain) + "\n"
    except ValueError:
        where = next(_not_finite(cell, ""), "a value")
        raise ResultError(
            f"the cell {path} was not written because {where} is not a finite number: "
            "find the metric or stage that made it, then run the cell again"
        ) from None
    if wrong := faults(json.loads(text)):
        raise ResultError(f"the cell {path} was not written because of {wrong[0]}: tell the author of what made it")
    write_text(path, text)
    if complete:
        key.failed(results).unlink(missing_ok=True)
    return path


def read(path: Path) -> Cell:
    """One cell, complete or failed; ResultError if the file is damaged, misplaced or of another schema."""
    again = "delete it and run the cell again"
    try:
        cell = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, endless digits or depth
        raise ResultError(f"{path} is damaged (not valid JSON): {again}") from None
    except OSError as error:
        raise ResultError(f"{path} cannot be read ({error.strerror}): check the path and its permissions") from None
    if not isinstance(cell, dict) or "schema" not in cell:
        raise ResultError(f"{path} is not a result file of mmbench: move it out of the results folder")
    if cell["schema"] != SCHEMA:
        raise ResultError(
            f"{path} has schema {cell['schema']!r:.40}, this mmbench reads schema {SCHEMA}: "
            f"read it with the mmbench that wrote it, or {again}"
        )
    if wrong := faults(cell):
        raise ResultError(f"{path} is damaged ({wrong[0]}): {again}")
    key = CellKey.of(cast(Cell, cell))
    home = key.path(Path()) if cell["status"] == "complete" else key.failed(Path())
    if path.absolute().parts[-4:] != home.parts:
        raise ResultError(f"{path} holds the cell {home}: move it there, or {again}")
    return cast(Cell, cell)


def existing(results: Path, key: CellKey) -> Cell | None:
    """The complete cell, None where there is none; a damaged file is a ResultError, never run again in silence."""
    path = key.path(results)
    return read(path) if path.exists() else None


def cells(results: Path, dataset: str | None = None) -> list[Cell]:
    """All complete cells (of one dataset), in the order of their keys."""
    return _collect(results, dataset, r"seed-\d+\.json")


def failures(results: Path, dataset: str | None = None) -> list[Cell]:
    """All cells whose last attempt failed, in the order of their keys."""
    return _collect(results, dataset, r"seed-\d+\.failed\.json")


def frame(cells: Iterable[Cell]) -> pd.DataFrame:
    """Long form: one line for each row of each cell, columns `COLUMNS`, values as they were stored."""
    import pandas as pd  # half a second that `mmbench --help` need not wait

    lines = []
    for cell in cells:
        of_cell = {
            "dataset": cell["dataset"]["name"],
            "fingerprint": cell["dataset"]["fingerprint"],
            "budget": cell["budget"],
            "protocol": protocol_hash(cell),
            "model": cell["model"]["name"],
            "hash": cell["hash"],
            "seed": cell["seed"],
        }
        lines += [of_cell | dict(row) for row in cell["rows"]]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def protocol_hash(cell: Cell) -> str:
    """Short hash of the settings of the protocol that can change a number."""
    return digest({k: v for k, v in cell["protocol"].items() if k not in DISPLAY_ONLY}, 6)


def _collect(results: Path, dataset: str | None, pattern: str) -> list[Cell]:
    paths = results.glob(f"{word(dataset) if dataset else '*'}/*/*/seed-*.json")
    found = [read(path) for path in paths if re.fullmatch(pattern, path.name)]
    return sorted(found, key=CellKey.of)


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays, paths, as JSON data."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} is not JSON data")


def _refuse_constant(name: str) -> float:
    raise json.JSONDecodeError(f"{name} is no JSON number", name, 0)


def _not_finite(value: Any, where: str) -> Iterator[str]:
    """Where the numbers are that JSON has no word for: 'rows[3].value = nan'."""
    if isinstance(value, float | np.floating) and not math.isfinite(value):
        yield f"{where.lstrip('.')} = {value}"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _not_finite(item, f"{where}.{key}")
    elif isinstance(value, list | tuple | np.ndarray):
        for number, item in enumerate(value):
            yield from _not_finite(item, f"{where}[{number}]")
