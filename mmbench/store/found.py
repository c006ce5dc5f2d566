"""A folder of results, read whole: the cells, those that failed, and the files that are bad, each with a sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ResultError
from .files import word
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


@dataclass(frozen=True)
class Found:
    """What a folder of results holds, in the order of keys and paths."""

    cells: list[Cell] = field(default_factory=list)
    failures: list[Cell] = field(default_factory=list)
    """The cells whose last attempt failed."""
    bad: list[BadFile] = field(default_factory=list)


def gather(results: Path, dataset: str | None = None) -> Found:
    """All cells (of one dataset); a bad file keeps none of the others from being read."""
    found = Found()
    for path in sorted(results.glob(f"{word(dataset) if dataset else '*'}/*/*/seed-*.json")):
        if NAME.fullmatch(path.name):
            _add(path, found)
    found.cells.sort(key=CellKey.of)
    found.failures.sort(key=CellKey.of)
    return found


def cells(results: Path, dataset: str | None = None) -> list[Cell]:
    """The good files of complete cells."""
    return gather(results, dataset).cells


def failures(results: Path, dataset: str | None = None) -> list[Cell]:
    """The good files of cells whose last attempt failed."""
    return gather(results, dataset).failures


def _add(path: Path, found: Found) -> None:
    try:
        cell = read(path)
    except ResultError as error:
        found.bad.append(BadFile(path, str(error)))
    else:
        (found.cells if cell["status"] == "complete" else found.failures).append(cell)
