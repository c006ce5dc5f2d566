"""What lies in a runs folder, and which cells need it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BusyError, ResultError, StorageError, UnreadableError
from . import artefacts
from .artefacts import CARD, Artefacts, Card, read_card
from .destinations import check_folder
from .files import check_writable, write_text
from .found import BadFile, gather
from .locks import exclusive
from .reading import unreadable
from .results import CellKey
from .schema import Cell

__all__ = ["Entry", "Inventory", "check_places", "inventory", "note_results", "removable", "remove"]

KNOWN = "results.txt"
"""In the runs folder: the results folders that were used with it, one a line; as JSON where a name has characters
that end a line, or that UTF-8 cannot hold."""
SHARED = ("judge", "reference-autoencoder", "caption-heads", "statistics")
"""Kinds that belong to data, so to every cell on them."""


@dataclass(frozen=True)
class Entry:
    """One artefact."""

    folder: Path
    card: Card | None
    """None where it is unfinished or may not be read."""
    size: int
    """Bytes."""
    cells: list[str] = field(default_factory=list)
    """The cells that need it: 'glyphs/mld/smoke-0123456789/seed-0'."""
    unreadable: str = ""
    """Why its card cannot be read, one sentence: nobody knows what it is, and it stays."""

    @property
    def kind(self) -> str:
        return self.folder.parent.name.replace("-", " ")


@dataclass(frozen=True)
class Inventory:
    """What lies in a runs folder."""

    entries: list[Entry]
    bad: list[BadFile]
    """Files of results that cannot be read: nobody knows what their cells need."""


def inventory(runs: Path, results: Sequence[Path]) -> Inventory:
    """Every artefact of a runs folder, with the cells of these results (and of those used before) that need it."""
    folders = dict.fromkeys(path.absolute() for path in [*results, *_known(runs)])
    found = [gather(folder) for folder in folders]
    cells = [cell for each in found for cell in each.cells]
    entries = [_entry(folder, cells) for folder in Artefacts(runs / "artefacts").folders()]
    return Inventory(entries, [bad for each in found for bad in each.bad])


def removable(found: Inventory, *, unfinished: bool, everything: bool) -> list[Entry]:
    """Those that no cell needs; unfinished ones only where that is asked for.

    Raises ResultError where a file of results cannot be read, unless `everything` may go.
    """
    if found.bad and not everything:
        raise ResultError(
            f"nothing is removed, since what {found.bad[0].path} needs is not known ({len(found.bad)} bad file"
            f"{'s' * (len(found.bad) != 1)} of results): see `mmbench doctor`, set it aside, or clear --all"
        )
    known = [entry for entry in found.entries if not entry.unreadable]
    return [entry for entry in known if (entry.card or unfinished) and (everything or not entry.cells)]


def remove(entry: Entry) -> bool:
    """Remove an artefact; False where a process is making it just now."""
    kind, key = entry.folder.parts[-2:]
    try:
        with exclusive(entry.folder.parents[1] / "locks" / f"{kind}-{key}"):
            artefacts.remove(entry.folder)
    except BusyError:
        return False
    return True


def check_places(results: Path, runs: Path) -> None:
    """Raise StorageError unless both folders can be written to, and leave none behind then that was not there;
    remember that they were used together."""
    check_folder(results)
    check_folder(runs)
    made = [folder for folder in (results, *results.parents) if not folder.exists()]
    check_writable(results)
    try:
        check_writable(runs)
    except StorageError:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise
    note_results(runs, results)


def note_results(runs: Path, results: Path) -> None:
    """Remember that a results folder was used with a runs folder."""
    known = _known(runs)
    if results.absolute() not in known:
        with suppress(StorageError):
            write_text(runs / KNOWN, "".join(f"{_line(path)}\n" for path in [*known, results.absolute()]))


def _known(runs: Path) -> list[Path]:
    try:
        lines = (runs / KNOWN).read_text(encoding="utf-8").split("\n")
        return [Path(json.loads(line) if line.startswith('"') else line) for line in lines if line]
    except FileNotFoundError:
        return []
    except ValueError:
        raise ResultError(f"{runs / KNOWN} is damaged: write the folders of results there anew, one a line") from None
    except OSError as error:
        raise unreadable(runs / KNOWN, error) from None


def _line(path: Path) -> str:
    return str(path) if str(path).isprintable() else json.dumps(str(path))


def _entry(folder: Path, cells: Sequence[Cell]) -> Entry:
    card, reason = None, ""
    try:
        card = read_card(folder / CARD)
    except UnreadableError as error:
        reason = str(error)
    except ResultError:
        pass  # damaged: as if unfinished
    needed = [_name(cell) for cell in cells if _needs(cell, folder, card)]
    return Entry(folder, card, artefacts.size(folder), needed, reason)


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
