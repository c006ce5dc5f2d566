"""The samples that a table's cells kept, for its grids: of one training seed, as far as all models have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ...errors import ResultError
from ...progress import Progress
from ...store import Cell, read_samples, there
from ..comparison import Group, Line
from .plates import Kept

__all__ = ["load_samples", "tasks_of"]


def load_samples(group: Group, runs: Path, progress: Progress) -> dict[Line, Kept]:
    """Each line's samples of the seed that most lines have samples of (the lowest of them), or of its own first one;
    `progress` is told which are missing or damaged."""
    present = {line: [cell for cell in group.of(line) if _there(cell, runs)] for line in group.lines}
    counts = Counter(cell["seed"] for cells in present.values() for cell in cells)
    common = min(counts, key=lambda seed: (-counts[seed], seed), default=None)
    found: dict[Line, Kept] = {}
    for line, cells in present.items():
        cell = next((cell for cell in cells if cell["seed"] == common), cells[0] if cells else None)
        if cell is None:
            progress.say(f"{group.title(line)} on {group.heading}: no samples in {runs}, left out of the grids")
            continue
        try:
            found[line] = Kept(cell["seed"], read_samples(runs / str(cell["samples"])))
        except ResultError as error:
            progress.say(f"{error}; left out of the grids")
    return found


def tasks_of(samples: Iterable[Kept]) -> list[str]:
    """The tasks that some model has samples of, in the order of the files."""
    return list(dict.fromkeys(key.split("/")[0] for kept in samples for key in kept.arrays if "/" in key))


def _there(cell: Cell, runs: Path) -> bool:
    try:
        return bool(cell["samples"]) and there(runs / str(cell["samples"]))
    except ResultError:  # a folder on the way may not be read: reading it says so
        return True
