"""mmbench doctor: is what lies on disk what was written? What is left behind, and what this machine is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from .. import store
from ..errors import ResultError, UnreadableError
from ..store.artefacts import CARD, TENSORS, Artefacts, read_card
from ..store.files import set_aside
from .options import Results, Runs
from .terminal import say

__all__ = ["doctor"]


def doctor(
    results: Results = Path("results"),
    runs: Runs = Path("runs"),
    aside: Annotated[
        bool,
        typer.Option(
            "--set-aside", help="Rename bad files of cells to NAME.damaged-N, so that the next run computes them anew."
        ),
    ] = False,
) -> None:
    """Read every cell's file and check every artefact; say what is wrong, what was left behind, and where this runs.

    The exit code is 1 if something is wrong that was not set aside. What may not be read is named and stays where it
    is. Leftovers (temporary files of processes that were killed, what was set aside before) are listed only. A damaged
    artefact is made again when it is asked for.
    """
    _about_machine(results, runs)
    bad = store.gather(results).bad
    _told("bad files of cells", _bad_cells(bad, aside))
    wrong = sum(not (file.damaged and aside) for file in bad)
    wrong += _told("damaged artefacts and sample files", _damaged(runs))
    _told("left behind", _leftovers(results, runs))
    if wrong:
        moves = (
            ""
            if aside or not any(file.damaged for file in bad)
            else ("; --set-aside moves bad files of cells out of the way")
        )
        say(f"{wrong} damaged or not to be read{moves}")
        raise typer.Exit(1)


def _about_machine(results: Path, runs: Path) -> None:
    from ..cells.workshop import device_name
    from ..engine.device import resolve_device

    versions = store.provenance.versions("mmbench", "torch", "numpy", "pydantic")
    typer.echo(", ".join(f"{name} {version}" for name, version in versions.items()))
    typer.echo(f"device {device_name(resolve_device('auto'))}")
    for folder in (results, runs):
        typer.echo(f"{folder}: {_free(folder):.1f} GB free")


def _free(folder: Path) -> float:
    """Gigabytes that are free where a folder is, or would be made."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free / 1e9


def _told(title: str, found: Iterator[str]) -> int:
    """Print what was found under its title; returns how much it was."""
    lines = list(found)
    typer.echo(f"{title}: {len(lines) or 'none'}")
    for line in lines:
        typer.echo(f"  {line}")
    return len(lines)


def _bad_cells(bad: Sequence[store.BadFile], aside: bool) -> Iterator[str]:
    for file in bad:
        moved = f"; it was set aside as {set_aside(file.path).name}" if aside and file.damaged else ""
        yield file.reason + moved


def _damaged(runs: Path) -> Iterator[str]:
    """A sentence for each card, tensor file and sample file that is not what was written."""
    try:
        for folder in Artefacts(runs / "artefacts").folders():
            yield from _wrong_with(folder)
    except UnreadableError as error:
        yield str(error)
    for path in sorted((runs / "samples").rglob("*.npz")):
        try:
            store.read_samples(path)
        except ResultError as error:
            yield str(error)


def _wrong_with(folder: Path) -> Iterator[str]:
    """What is wrong with an artefact, or with the checkpoints of an unfinished one."""
    from ..tensors import load_tensors

    try:
        files = [path for path in store.children(folder) if path.suffix == ".safetensors"]
    except UnreadableError as error:
        yield str(error)
        return
    checks = [lambda: _check_card(folder), *(lambda path=path: load_tensors(path) for path in files)]
    for check in checks:
        try:
            check()
        except ResultError as error:
            yield str(error)


def _check_card(folder: Path) -> None:
    if read_card(folder / CARD) and not store.there(folder / TENSORS):
        raise ResultError(f"{folder} is damaged (its card is there and no {TENSORS})")


def _leftovers(results: Path, runs: Path) -> Iterator[str]:
    """Temporary files, and what was set aside."""
    for folder in dict.fromkeys((results, runs)):
        for pattern in (".*.tmp", "*.damaged-*"):
            yield from (str(path) for path in sorted(folder.rglob(pattern)))
