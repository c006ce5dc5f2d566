"""mmbench cache: what was computed once and is kept, and making room."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Runs, path_option
from .terminal import refuse, say, show, tell

if TYPE_CHECKING:
    from ..store.inventory import Entry

__all__ = ["cache_app"]

cache_app = typer.Typer(
    help="What was computed once and is kept: trained stages, judges, reference autoencoders, statistics, samples.",
    no_args_is_help=True,
)
Results = Annotated[
    list[Path] | None,
    path_option(
        "--results", help="Folder of results whose cells need it; may be given several times. Folders that were used "
        "with these runs before count as well."
    ),
]  # fmt: skip


@cache_app.command(name="list")
def list_(results: Results = None, runs: Runs = Path("runs")) -> None:
    """List what is kept: what it is, how large, when it was made, and which cells need it."""
    from ..store.inventory import inventory

    found = inventory(runs, results or [Path("results")])
    entries = found.entries
    show(("kind", "what", "key", "MB", "made", "needed by"), map(_row, entries))
    total = sum(entry.size for entry in entries) / 1e6
    tell(f"{len(entries)} artefacts, {total:.1f} MB under {runs / 'artefacts'}")
    if found.bad:
        refuse(found.bad)


def _row(entry: Entry) -> tuple[str, ...]:
    needed = f"{len(entry.cells)} cell{'s' * (len(entry.cells) != 1)}" if entry.cells else "no cell"
    made = entry.card.finished[:16].replace("T", " ") if entry.card else "" if entry.unreadable else "unfinished"
    what = entry.card.title if entry.card else entry.unreadable or "an interrupted training"
    return entry.kind, what, entry.folder.name, f"{entry.size / 1e6:.1f}", made, needed


@cache_app.command()
def clear(
    results: Results = None,
    runs: Runs = Path("runs"),
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also the checkpoints of trainings that were interrupted.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what cells need: it is computed again when it is asked for.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, remove nothing.")] = False,
) -> None:
    """Remove what no cell needs, and what killed processes left half-written more than a day ago.

    Nothing that another process is making is touched. Refused where a file of results cannot be read, for nobody knows
    what its cell needs.
    """
    from ..store.files import discard, leftovers
    from ..store.inventory import inventory, removable, remove

    results = results or [Path("results")]
    entries = removable(inventory(runs, results), unfinished=unfinished, everything=everything)
    gone = [entry for entry in entries if dry_run or remove(entry)]
    for entry in gone:
        tell(f"{entry.kind} {entry.folder.name}  {entry.card.title if entry.card else 'unfinished'}")
    busy = f", {len(entries) - len(gone)} left to the process that makes them" if len(gone) < len(entries) else ""
    word = "would be removed" if dry_run else "removed"
    say(f"{len(gone)} artefacts {word}, {sum(e.size for e in gone) / 1e6:.1f} MB{busy}")
    if half := {path: path.stat().st_size for folder in (runs, *results) for path in leftovers(folder)}:
        for path in () if dry_run else half:
            discard(path)
        say(f"{len(half)} half-written files {word}, {sum(half.values()) / 1e6:.1f} MB")
