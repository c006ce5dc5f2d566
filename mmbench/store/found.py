"""A folder of results, read whole: the cells, those that failed, and the files that are bad, each with a sentence."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..config import canonical
from ..errors import ResultError, UnreadableError
from .files import word
from .reading import children
from .results import CellKey, read
from .schema import Cell

__all__ = ["BadFile", "Found", "cells", "failures", "gather"]

NAME = re.compile(r"seed-\d+(\.failed)?\.json", re.ASCII)


@dataclass(frozen=True)
class BadFile:
    """A file in the place of a cell that holds none."""

    path: Path
    reason: str
    """One sentence, which names the file."""
    damaged: bool = True
    """Whether it was read and is no cell; False for a file or folder that may not be read."""


@dataclass(frozen=True)
class Found:
    """What a folder of results holds, in the order of keys and paths."""

    cells: list[Cell] = field(default_factory=list)
    failures: list[Cell] = field(default_factory=list)
    """The cells whose last attempt failed: not those that were made good since, under whatever hash (`_made_good`)."""
    bad: list[BadFile] = field(default_factory=list)


def gather(results: Path, dataset: str | None = None, *, histories: bool = True) -> Found:
    """All cells (of one dataset); a bad file keeps none of the others from being read.

    Without `histories` the stages' losses over the steps are left out, which are most of a cell's size in memory.
    """
    found = Found()
    folders = [results / word(dataset)] if dataset else _listed(results, found)
    for _ in ("models", "runs"):
        folders = [path for folder in folders for path in _listed(folder, found)]
    for path in [path for folder in folders for path in _listed(folder, found)]:
        if NAME.fullmatch(path.name):
            _add(path, found, histories)
    found.cells.sort(key=CellKey.of)
    found.failures.sort(key=CellKey.of)
    return replace(found, failures=_lasting(found.failures, found.cells))


def cells(results: Path, dataset: str | None = None) -> list[Cell]:
    """The good files of complete cells."""
    return gather(results, dataset).cells


def failures(results: Path, dataset: str | None = None) -> list[Cell]:
    """The good files of cells whose last attempt failed."""
    return gather(results, dataset).failures


def _lasting(failures: Sequence[Cell], cells: Sequence[Cell]) -> list[Cell]:
    """The failures that no cell has made good."""
    answers = defaultdict(list)
    for cell in cells if failures else ():
        answers[_asked(cell)].append(cell)
    return [lost for lost in failures if not any(_made_good(lost, cell) for cell in answers[_asked(lost)])]


def _asked(cell: Cell) -> Hashable:
    """What was asked for, whatever the recipe, data and code behind it were then."""
    data, model = cell["dataset"], cell["model"]
    return data["name"], data["split"], model["typed"], cell["budget"], cell["seed"], canonical(cell["overrides"])


def _made_good(lost: Cell, cell: Cell) -> bool:
    """Whether the same was asked for later and came about. Networks and latents of other modalities are another
    question (--network), but where the dataset's code was changed meanwhile."""
    same = lost["dataset"]["modalities"] == cell["dataset"]["modalities"]
    edited = lost["code"]["dataset"] != cell["code"]["dataset"]
    earlier = lost["environment"].get("finished", "") <= cell["environment"].get("finished", "")
    return earlier and (same or edited)


def _listed(folder: Path, found: Found) -> list[Path]:
    try:
        return children(folder)
    except UnreadableError as error:
        found.bad.append(BadFile(folder, str(error), damaged=False))
        return []


def _add(path: Path, found: Found, histories: bool) -> None:
    try:
        cell = read(path)
    except ResultError as error:
        found.bad.append(BadFile(path, str(error), damaged=not isinstance(error, UnreadableError)))
    else:
        for stage in cell["stages"].values() if not histories else ():
            stage["history"] = {}
        (found.cells if cell["status"] == "complete" else found.failures).append(cell)
