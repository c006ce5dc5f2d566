"""Results on disk: one cell of models x datasets x seeds is one JSON file, written once and whole.

    <results>/<dataset>/<model>/<budget>-<hash>/seed-<k>.json             a complete cell
    <results>/<dataset>/<model>/<budget>-<hash>/seed-<k>.failed.json      what went wrong

This module knows no model and no torch: a report can be made where neither is installed.
"""

from __future__ import annotations

import json
import math
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import from_json

from ..config import digest
from ..errors import ResultError
from .files import discard, word, write_text
from .reading import there, unreadable
from .schema import SCHEMA, Cell, fault

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS",
    "DISPLAY_ONLY",
    "CellKey",
    "deciding",
    "existing",
    "frame",
    "protocol_hash",
    "read",
    "write",
]

ROW = ("source", "metric", "plugin", "task", "modality", "value", "unit", "count", "judge", "identity", "reference",
       "higher_is_better", "note", "data")  # fmt: skip
COLUMNS = ("dataset", "fingerprint", "budget", "protocol", "model", "hash", "seed", *ROW)
"""The columns of `frame`. 'protocol' is a hash of the settings that change a number."""

LARGEST = 64 << 20
"""Bytes of a cell's file: those of long trainings have some hundred thousand."""
TOKEN = re.compile(r"\.\w{1,64}\.npz")
AGAIN = "delete it and run the cell again"

DISPLAY_ONLY = ("batch_size",)
"""Settings of the protocol that change no number."""
UNSET = ("subsets_per_size", "first_judge")
"""Settings that change no number where they are None; older cells have none of them."""


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
    path = _home(cell, results)
    text = _text_of(cell, path)
    too_large = f"its size, more than {LARGEST >> 20} MB" if len(text) > LARGEST else None
    if wrong := too_large or fault(json.loads(text)) or _strange_samples(cell):
        raise ResultError(f"the cell {path} was not written because of {wrong}: tell the author of what made it")
    write_text(path, text)
    if cell["status"] == "complete":
        discard(key.failed(results))
    return path


def read(path: Path) -> Cell:
    """One cell, complete or failed; ResultError if the file is damaged, misplaced or of another schema."""
    try:
        cell = _parsed(_content(path))
    except (ValueError, RecursionError):  # no JSON, no UTF-8, endless digits or depth
        raise ResultError(f"{path} is damaged (not valid JSON): {AGAIN}") from None
    if not isinstance(cell, dict) or "schema" not in cell:
        raise ResultError(f"{path} is not a result file of mmbench: move it out of the results folder")
    if cell["schema"] != SCHEMA:
        said = cell["schema"] if isinstance(cell["schema"], int) and cell["schema"] in range(10**6) else "unknown"
        raise ResultError(
            f"{path} has schema {said}, this mmbench reads schema {SCHEMA}: "
            f"read it with the mmbench that wrote it, or {AGAIN}"
        )
    if wrong := fault(cell):
        raise ResultError(f"{path} is damaged ({wrong}): {AGAIN}")
    _check_place(path, cast(Cell, cell))
    return cast(Cell, cell)


def existing(results: Path, key: CellKey) -> Cell | None:
    """The complete cell, None where there is none; a damaged file, or one that may not be read, is a ResultError, never
    run again in silence."""
    path = key.path(results)
    return read(path) if there(path) else None


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
    return digest(deciding(cell["protocol"]), 6)


def deciding(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a protocol, JSON data, that decide a number."""
    return {k: v for k, v in protocol.items() if k not in DISPLAY_ONLY and (v is not None or k not in UNSET)}


def _home(cell: Cell, results: Path) -> Path:
    """Where a cell's file belongs."""
    key = CellKey.of(cell)
    return key.path(results) if cell["status"] == "complete" else key.failed(results)


def _check_place(path: Path, cell: Cell) -> None:
    """ResultError where a file lies in another cell's place, or names another cell's samples."""
    home = _home(cell, Path())
    if path.absolute().parts[-4:] != home.parts:
        raise ResultError(f"{path} holds the cell {home!s:.200}: move it there, or {AGAIN}")
    if wrong := _strange_samples(cell):
        raise ResultError(f"{path} is damaged ({wrong}): {AGAIN}")


def _content(path: Path) -> bytes:
    """The bytes of a file, if it is one and no larger than a cell's can be."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ResultError(f"{path} is no file: move it out of the results folder")
        if status.st_size > LARGEST:
            raise ResultError(f"{path} is damaged (larger than {LARGEST >> 20} MB): {AGAIN}")
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None


def _strange_samples(cell: Cell) -> str | None:
    """What is wrong with the name of the sample file: no other file is opened for it."""
    key, samples = CellKey.of(cell), cell["samples"]
    stem = f"samples/{key.folder.as_posix()}/seed-{key.seed}"
    if samples is None or (samples.startswith(stem) and TOKEN.fullmatch(samples, len(stem))):
        return None
    return "samples: not the name of this cell's sample file"


def _text_of(cell: Cell, path: Path) -> str:
    """The cell as JSON; ResultError for what JSON has no word for."""
    try:
        return json.dumps(cell, indent=1, allow_nan=False, default=_plain) + "\n"
    except RecursionError:
        raise ResultError(f"the cell {path} was not written because it is nested too deep") from None
    except TypeError as error:
        raise ResultError(f"the cell {path} was not written because {error}: find what made it") from None
    except ValueError:
        where = next(_not_finite(cell, ""), "a value")
        raise ResultError(
            f"the cell {path} was not written because {where} is not a finite number: "
            "find the metric or stage that made it, then run the cell again"
        ) from None


def _parsed(content: bytes) -> Any:
    """JSON data. Python's own reader takes four times as long: it looks at what the fast one refuses, such as half a
    character, which then has a reason of its own."""
    try:
        return from_json(content, allow_inf_nan=False)
    except ValueError:
        return json.loads(content.decode(), parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> float:
    raise json.JSONDecodeError(f"{name} is no JSON number", name, 0)


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays, paths, as JSON data."""
    import numpy as np  # only where something is no plain data, and `mmbench --help` need not wait for it

    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} is not JSON data")


def _not_finite(value: Any, where: str) -> Iterator[str]:
    """Where the numbers are that JSON has no word for: 'rows[3].value = nan'."""
    import numpy as np

    if isinstance(value, float | np.floating) and not math.isfinite(value):
        yield f"{where.lstrip('.')} = {value}"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _not_finite(item, f"{where}.{key}")
    elif isinstance(value, list | tuple | np.ndarray):
        for number, item in enumerate(value):
            yield from _not_finite(item, f"{where}[{number}]")
