"""mmbench doctor: is this machine well, is what lies on disk what was written, what is left behind?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ResultError
from .options import DataRoot, Results, Runs, path_option
from .terminal import say, tell

if TYPE_CHECKING:  # at run time only where it is used, so that `mmbench --help` does not wait for it
    from ..store import BadFile
    from ..store.stale import Left

__all__ = ["doctor"]

Weights = Annotated[
    Path | None,
    path_option("--weights-root", envvar="MMBENCH_WEIGHTS", help="Folder of pretrained weights for metrics."),
]


def doctor(
    results: Results = Path("results"),
    runs: Runs = Path("runs"),
    data_root: DataRoot = Path("data"),
    weights: Weights = None,
    aside: Annotated[
        bool,
        typer.Option(
            "--set-aside", help="Rename bad files of cells to NAME.damaged-N, so that the next run computes them anew."
        ),
    ] = False,
    clean: Annotated[
        bool,
        typer.Option(
            "--clean",
            help="Remove stale locks, files that were half-written more than a day ago, and what was set aside more "
            "than 30 days ago.",
        ),
    ] = False,
    orphans: Annotated[
        bool,
        typer.Option(
            "--orphans",
            help="With --clean also artefacts that no cell needs, if they are older than a day and no cell is being "
            "computed.",
        ),
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Do not read the datasets' files.")] = False,
) -> None:
    """Look at the machine, the data, the weights and all that lies in the folders of results and runs.

    What is installed; on which devices kernels run; free memory and disk; which datasets are whole under the data root
    (each is read for a minute at most); which metrics find their weights; bad files of cells, damaged artefacts and
    sample files; what was left behind: locks of processes that are gone, half-written files, what was set aside, and
    artefacts that no cell needs.

    Nothing is changed without --set-aside or --clean, and nothing that a living process uses is removed. The exit code
    is 1 if a device does not compute, or if something is damaged that was not set aside. What may not be read is named
    and stays where it is. A damaged artefact is set aside and made again when it is next asked for.

    \b
    mmbench doctor                              before a long run
    mmbench doctor --set-aside                  bad files of cells go out of the way
    mmbench doctor --clean --orphans            make room
    """
    from ..health.damage import damaged
    from ..store import gather, stale

    _versions()
    sick = _machine([results, runs])
    _data(data_root, quick)
    _metrics(weights, runs)
    bad = gather(results).bad
    _told("bad files of cells", _bad_cells(bad, aside))
    wrong = sum(not (file.damaged and aside) for file in bad)
    wrong += _told("damaged artefacts and sample files", damaged(runs))
    _left("stale locks", stale.stale_locks(runs), clean)
    _left("left behind", stale.left_behind(results, runs), clean)
    _orphans(results, runs, clean and orphans)
    if wrong:
        movable = not aside and any(file.damaged for file in bad)
        moves = "; --set-aside moves bad files of cells out of the way" if movable else ""
        say(f"{wrong} damaged or not to be read{moves}")
    if wrong or sick:
        raise typer.Exit(1)


def _versions() -> None:
    from ..health.versions import extras, installed

    tell(", ".join(f"{name} {version}" for name, version in installed().items()))
    for extra, missing in extras().items():
        absent = f"lacks {', '.join(missing)}: pip install 'mmbench[{extra}]'"
        tell(f"extra {extra}: {absent if missing else 'installed'}")


def _machine(folders: Sequence[Path]) -> int:
    """How many kernels failed."""
    from ..health.machine import devices, free_memory, kernels, name

    failed = 0
    for device in devices():
        tell(f"device {name(device)}")
        for kind in kernels(device):
            failed += bool(kind.fault)
            note = f" ({kind.note})" if kind.note else ""
            tell(f"  {kind.dtype}: {f'FAILS: {kind.fault}' if kind.fault else f'runs{note}'}")
    if memory := free_memory():
        tell(f"memory: {memory[0]:.1f} of {memory[1]:.1f} GB free")
    for folder in folders:
        tell(f"{folder}: {_free(folder):.1f} GB free")
    return failed


def _free(folder: Path) -> float:
    """Gigabytes that are free where a folder is, or would be made."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free / 1e9


def _data(root: Path, quick: bool) -> None:
    if not root.is_dir():
        tell(f"data: there is no folder {root}; glyphs need none, name another with --data-root or MMBENCH_DATA")
        return
    if quick:
        tell(f"data under {root}: not read")
        return
    from ..health.data import look_at_all

    tell(f"data under {root}:")
    for found in look_at_all(root):
        tell(f"  {found.name}: {found.state}: {found.said}")


def _metrics(weights: Path | None, runs: Path) -> None:
    from ..health.metrics import lacking

    tell("metrics:")
    for name, lack in lacking(weights, runs / "cache").items():
        tell(f"  {name}: {lack or 'can be measured'}")


def _told(title: str, found: Iterator[str]) -> int:
    """Print what was found under its title; returns how much it was."""
    lines = list(found)
    tell(f"{title}: {len(lines) or 'none'}")
    for line in lines:
        tell(f"  {line}")
    return len(lines)


def _left(title: str, found: Sequence[Left], clean: bool) -> None:
    """Print what was left behind, and remove what may go where that is asked for."""
    from ..store.stale import remove

    total = f", {_bytes(sum(left.size for left in found))}" if found else ""
    tell(f"{title}: {len(found) or 'none'}{total}")
    for left in found:
        fate = "" if not clean else "; removed" if left.ripe and remove(left) else "; kept"
        tell(f"  {left.path} ({left.what}, {_bytes(left.size)}){fate}")


def _orphans(results: Path, runs: Path, clean: bool) -> None:
    from ..store.stale import orphans

    try:
        found = orphans(runs, [results])
    except ResultError as error:
        tell(f"artefacts that no cell needs: not known: {error}")
    else:
        _left("artefacts that no cell needs", found, clean)


def _bytes(size: int) -> str:
    """'3.1 MB', '12 bytes'."""
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size:,} bytes"


def _bad_cells(bad: Sequence[BadFile], aside: bool) -> Iterator[str]:
    from ..store.files import set_aside

    for file in bad:
        moved = f"; it was set aside as {set_aside(file.path).name}" if aside and file.damaged else ""
        yield file.reason + moved
