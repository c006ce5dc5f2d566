"""A folder of results, read whole: the cells, those that failed, and the files that are bad, each with a sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

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
    """The cells whose last attempt failed."""
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
    return found


def cells(results: Path, dataset: str | None = None) -> list[Cell]:
    """The good files of complete cells."""
    return gather(results, dataset).cells


def failures(results: Path, dataset: str | None = None) -> list[Cell]:
    """The good files of cells whose last attempt failed."""
    return gather(results, dataset).failures


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
