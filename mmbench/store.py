"""Results on disk: one cell of models x datasets x seeds is one JSON file, written once and whole.

    <results>/<dataset>/<model>/<budget>-<hash>/seed-<k>.json             a complete cell
    <results>/<dataset>/<model>/<budget>-<hash>/seed-<k>.failed.json      what went wrong
    <runs>/samples/<dataset>/<model>/<budget>-<hash>/seed-<k>.npz         a few samples of each task

A file is written beside its place and renamed, so it is either the old one or the new one, never half of it.
This module knows no model and no torch: a report can be made where neither is installed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypedDict, cast

import numpy as np

from .config import digest
from .errors import ResultError, StorageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS",
    "DISPLAY_ONLY",
    "SCHEMA",
    "Cell",
    "CellKey",
    "DatasetRecord",
    "Environment",
    "MetricRecord",
    "ModelRecord",
    "RowRecord",
    "StageRecord",
    "cells",
    "check_writable",
    "existing",
    "failures",
    "frame",
    "protocol_hash",
    "read",
    "read_samples",
    "sample_key",
    "write",
    "write_samples",
    "write_text",
]

SCHEMA = 2
"""Version of the file format; a file of another version is refused, never guessed at."""


class _Dataset(TypedDict):
    name: str  # the word typed after --dataset
    title: str  # the name in print
    fingerprint: str  # hash over every byte of the data
    train: int  # tuples in the training split
    test: int  # tuples in the test split
    modalities: list[str]  # names, in the dataset's order


class DatasetRecord(_Dataset, total=False):
    titles: dict[str, str]  # modality -> its name in print
    classes: int  # classes of the shared label; 0 where there is none


ModelRecord = TypedDict(
    "ModelRecord",
    {
        "name": str,  # the word typed after --model
        "class": str,  # 'module:Class'
        "distribution": str,  # who brought it: 'mmbench 0.1.0'
    },
)


class RowRecord(TypedDict):
    metric: str  # 'coherence', 'fmd', ...
    task: str  # 'joint', 'mnist->svhn'; 'mnist->mnist' is a reconstruction
    modality: str  # the judged one; 'mnist+svhn' where the number belongs to several
    value: float
    count: int  # samples behind the number
    judge: str  # the frozen network that judged, with its accuracy; 'exact' where none was needed
    higher_is_better: bool | None  # None for a number that is only described
    unit: str  # '%', 'nats', '' ...
    interval: list[float] | None  # 95 % confidence interval [low, high] of the value over its samples
    note: str  # a warning that belongs beside the number
    source: Literal["model", "real", "shuffled", "reconstruction"]  # whose samples were measured


class MetricRecord(TypedDict):
    distribution: str  # who brought the metric: 'mmbench 0.1.0'
    seconds: float  # wall time of its own work, drawing the samples not counted
    commit: str | None  # git commit of the code that measured


class StageRecord(TypedDict):
    steps: int  # optimiser steps
    seconds: float  # wall time
    skill: dict[str, float]  # what the stage said of itself on held-out tuples
    history: dict[str, list[float | None]]  # 'step' and every loss term, equally long; None where it was not computed


class Environment(TypedDict, total=False):
    python: str
    torch: str
    mmbench: str
    platform: str
    device: str
    commit: str | None  # git commit of the code, with '-dirty' where files were changed


class Cell(TypedDict):
    schema: int  # SCHEMA
    dataset: DatasetRecord
    model: ModelRecord
    budget: str  # 'smoke', 'laptop', 'paper'
    hash: str  # of what was run; the folder carries it too
    training: str  # hash of what the trained model depends on; names its folder of checkpoints
    seed: int  # training seed
    config: dict[str, Any]  # the model's full configuration
    protocol: dict[str, Any]  # how it was measured: mmbench.config.Protocol
    status: Literal["complete", "failed"]
    reason: str | None  # of a failure, one sentence
    metrics: dict[str, MetricRecord]  # the metrics that were measured
    left_out: dict[str, str]  # metric -> why it could not be measured; `mmbench evaluate` adds it when it can
    rows: list[RowRecord]
    stages: dict[str, StageRecord]
    time: dict[str, float]  # phase -> wall seconds
    calls: dict[str, dict[str, int]]  # phase -> module -> number of forward calls
    environment: Environment
    samples: str | None  # the sample file, relative to the runs folder; None where none was kept


COLUMNS = (
    *("dataset", "fingerprint", "budget", "protocol", "model", "hash", "seed"),
    *("source", "metric", "task", "modality", "value", "unit", "count", "judge", "higher_is_better", "note"),
)
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
        return Path(_word(self.dataset), _word(self.model), f"{_word(self.budget)}-{_word(self.hash)}")

    def path(self, results: Path) -> Path:
        """The file of the complete cell."""
        return results / self.folder / f"seed-{self.seed}.json"

    def failed(self, results: Path) -> Path:
        """The file that is there instead if the cell failed."""
        return results / self.folder / f"seed-{self.seed}.failed.json"

    def samples(self, runs: Path = Path()) -> Path:
        """The sample file; without `runs`, the name that a cell records."""
        return runs / "samples" / self.folder / f"seed-{self.seed}.npz"

    def kept(self, runs: Path) -> Path:
        """The folder of samples that were kept for other tools and later metrics."""
        return runs / "samples" / self.folder / f"seed-{self.seed}"


def write(results: Path, cell: Cell) -> Path:
    """Write a cell whole and return its path; a complete one removes the record of an earlier failure.

    Raises ResultError for a number that is not finite and for a disk that is full or cannot be written to.
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
    _atomic(path, lambda file: file.write(text.encode()))
    if complete:
        key.failed(results).unlink(missing_ok=True)
    return path


def read(path: Path) -> Cell:
    """One cell, complete or failed; ResultError if the file is damaged, misplaced or of another schema."""
    again = "delete it and run the cell again"
    try:
        cell = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ResultError(f"{path} is damaged (not valid JSON): {again}") from None
    except OSError as error:
        raise ResultError(f"{path} cannot be read ({error.strerror}): check the path and its permissions") from None
    if not isinstance(cell, dict) or "schema" not in cell:
        raise ResultError(f"{path} is not a result file of mmbench: move it out of the results folder")
    if cell["schema"] != SCHEMA:
        raise ResultError(
            f"{path} has schema {cell['schema']}, this mmbench reads schema {SCHEMA}: "
            f"read it with the mmbench that wrote it, or {again}"
        )
    missing = _missing(cell)
    if missing:
        raise ResultError(f"{path} is damaged (no {missing}): {again}")
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


def write_text(path: Path, text: str) -> None:
    """Write a report whole, in UTF-8; raises ResultError if that fails."""
    _atomic(path, lambda file: file.write(text.encode()))


def check_writable(results: Path) -> None:
    """Make the folder and try to write to it, before hours of training; raises ResultError if that fails."""
    path = results / ".writable"
    _atomic(path, lambda file: file.write(b"ok"))
    with contextlib.suppress(OSError):
        path.unlink()


def sample_key(task: str, role: Literal["given", "target"], modality: str) -> str:
    """The name of one array of a sample file: 'mnist->svhn/given/mnist', 'joint/target/svhn'."""
    return f"{task}/{role}/{modality}"


def write_samples(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a sample file: images (n, C, H, W) uint8 or float32, texts (n,) unicode, by `sample_key`."""
    for name, array in arrays.items():
        if array.dtype.kind not in "uifU":
            raise ResultError(f"samples {name!r} have dtype {array.dtype}: give numbers or unicode strings")
    _atomic(path, lambda file: np.savez_compressed(file, allow_pickle=False, **dict(arrays)))


def read_samples(path: Path) -> dict[str, np.ndarray]:
    """The inverse of `write_samples`; raises ResultError if the file is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise ResultError(f"there are no samples at {path}: run the cell again to draw them") from None
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise ResultError(
            f"the samples {path} are damaged ({type(error).__name__}): delete the file and run its cell again"
        ) from None


def _collect(results: Path, dataset: str | None, pattern: str) -> list[Cell]:
    paths = results.glob(f"{_word(dataset) if dataset else '*'}/*/*/seed-*.json")
    found = [read(path) for path in paths if re.fullmatch(pattern, path.name)]
    return sorted(found, key=CellKey.of)


def _atomic(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Fill a hidden file beside `path` and rename it; OSError becomes a sentence, the hidden file goes."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(_cannot_write(path, error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {path.parent} is full: free some space and run the same command again to resume"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{path.parent} cannot be made, a file is in the way: move the file or name another folder"
    reason = error.strerror or str(error)
    return f"{path.parent} cannot be written to ({reason}): name another folder or change its permissions"


def _word(name: str) -> str:
    """A name as one part of a path."""
    return re.sub(r"[^\w+.-]", ".", name).lstrip(".") or "_"


def _missing(cell: dict[str, Any]) -> str | None:
    """The first key that a cell's file lacks, in words."""
    for key in sorted(Cell.__required_keys__):
        if key not in cell:
            return repr(key)
    for part, record in (("dataset", DatasetRecord), ("model", ModelRecord)):
        for key in sorted(record.__required_keys__):
            if not isinstance(cell[part], dict) or key not in cell[part]:
                return f"{key!r} in {part!r}"
    for number, row in enumerate(cell["rows"]):
        for key in sorted(RowRecord.__required_keys__):
            if key not in row:
                return f"{key!r} in row {number}"
    return None


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
