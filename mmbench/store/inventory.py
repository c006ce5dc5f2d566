"""What lies in a runs folder, and which cells need it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BusyError, ResultError, StorageError
from . import artefacts
from .artefacts import Artefacts, Card
from .files import exclusive, write_text
from .results import CellKey, cells
from .schema import Cell

__all__ = ["Entry", "inventory", "note_results", "removable", "remove"]

KNOWN = "results.txt"
"""In the runs folder: the results folders that were used with it, one a line."""
SHARED = ("judge", "reference-autoencoder", "caption-heads", "statistics")
"""Kinds that belong to data, so to every cell on them."""


@dataclass(frozen=True)
class Entry:
    """One artefact."""

    folder: Path
    card: Card | None
    """None where it is unfinished."""
    size: int
    """Bytes."""
    cells: list[str] = field(default_factory=list)
    """The cells that need it: 'glyphs/mld/smoke-0123456789/seed-0'."""

    @property
    def kind(self) -> str:
        return self.folder.parent.name.replace("-", " ")


def inventory(runs: Path, results: Sequence[Path]) -> list[Entry]:
    """Every artefact of a runs folder, with the cells of these results (and of those used before) that need it."""
    known = [*results, *_known(runs)]
    found = [cell for folder in dict.fromkeys(path.absolute() for path in known) for cell in cells(folder)]
    return [
        Entry(folder, card, artefacts.size(folder), [_name(cell) for cell in found if _needs(cell, folder, card)])
        for folder, card in Artefacts(runs / "artefacts").cards()
    ]


def removable(entries: Iterable[Entry], *, unfinished: bool, everything: bool) -> list[Entry]:
    """Those that no cell needs; unfinished ones only where that is asked for."""
    return [entry for entry in entries if (entry.card or unfinished) and (everything or not entry.cells)]


def remove(entry: Entry) -> bool:
    """Remove an artefact; False where a process is making it just now."""
    kind, key = entry.folder.parts[-2:]
    try:
        with exclusive(entry.folder.parents[1] / "locks" / f"{kind}-{key}"):
            artefacts.remove(entry.folder)
    except BusyError:
        return False
    return True


def note_results(runs: Path, results: Path) -> None:
    """Remember that a results folder was used with a runs folder."""
    known = _known(runs)
    if results.absolute() not in known:
        with suppress(StorageError):
            write_text(runs / KNOWN, "".join(f"{path}\n" for path in [*known, results.absolute()]))


def _known(runs: Path) -> list[Path]:
    try:
        return [Path(line) for line in (runs / KNOWN).read_text().splitlines() if line]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ResultError(f"{runs / KNOWN} cannot be read ({error.strerror}): check its permissions") from None


def _needs(cell: Cell, folder: Path, card: Card | None) -> bool:
    kind, key = folder.parts[-2:]
    if kind == "stage":
        return any(record["artefact"] == f"{kind}/{key}" for record in cell["stages"].values())
    if card is None or card.identity.get("data") != cell["dataset"]["fingerprint"]:
        return False
    if kind == "samples":
        return card.identity.get("stages") == {n: r["artefact"] for n, r in cell["stages"].items()}
    return kind in SHARED


def _name(cell: Cell) -> str:
    key = CellKey.of(cell)
    return f"{key.folder.as_posix()}/seed-{key.seed}"
