"""What is left behind in folders of results and runs: locks whose owner is gone, half-written files, what was set
aside, artefacts that no cell needs; and what of it may go.

Nothing goes that a living process uses: a lock is taken before it is removed, a half-written file is a day old, and no
artefact goes while a cell is computed, or within a day of its making, since the cell that it was made for may have been
interrupted.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from filelock import SoftFileLease

from ..errors import StorageError
from .artefacts import size
from .files import DAY, leftovers
from .inventory import Entry, inventory, removable
from .inventory import remove as remove_entry
from .locks import LEASE, Watch

__all__ = ["ASIDE", "Left", "left_behind", "orphans", "remove", "stale_locks"]

ASIDE = 30 * DAY
"""Seconds for which what was set aside is kept."""


@dataclass(frozen=True)
class Left:
    """Something that was left behind."""

    path: Path
    what: str
    """'half-written', 'set aside 3 days ago', 'lock of process 12 of host'."""
    size: int
    """Bytes."""
    ripe: bool
    """Whether it may go."""
    entry: Entry | None = None
    """The artefact that it is."""


def stale_locks(runs: Path) -> list[Left]:
    """Locks of a runs folder whose owner is gone: a process of this host that does not live, or one of another host
    that has not renewed it for five minutes."""
    found = []
    for path in sorted(runs.rglob("*.lease")):
        with suppress(OSError):
            if who := _gone_owner(path):
                found.append(Left(path, f"lock of {who}", path.lstat().st_size, True))
    return found


def left_behind(*folders: Path) -> list[Left]:
    """Half-written files, and what was set aside; each may go when it is old enough."""
    found: dict[Path, Left] = {}
    for folder in dict.fromkeys(path.absolute() for path in folders):
        ripe = set(leftovers(folder))
        for path in sorted(ripe.union(folder.rglob(".*.tmp"), folder.rglob("*.damaged-*"))):
            if not any(parent in found for parent in path.parents):
                with suppress(OSError):
                    found[path] = _aside(path) if ".damaged-" in path.name else _half(path, path in ripe)
    return list(found.values())


def orphans(runs: Path, results: Sequence[Path]) -> list[Left]:
    """Finished artefacts that no cell needs. Raises ResultError where a file of results cannot be read."""
    found = removable(inventory(runs, results), unfinished=False, everything=False)
    busy = any(not _gone_owner(path) for path in (runs / "locks").rglob("*.lease"))
    return [Left(e.folder, _titled(e), e.size, not busy and _age(e) > DAY, e) for e in found]


def remove(left: Left) -> bool:
    """Remove what may go; False where it is used after all."""
    if left.entry:
        return remove_entry(left.entry)
    if left.path.suffix == ".lease":
        return _remove_lock(left.path)
    try:
        if left.path.is_dir() and not left.path.is_symlink():
            shutil.rmtree(left.path)
        else:
            left.path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{left.path} cannot be removed ({error.strerror}): change its permissions") from None
    return True


def _gone_owner(path: Path, now: float | None = None) -> str:
    """Who held a lock and is gone, by our clock if no other is given; '' where its owner may live."""
    owner = SoftFileLease(path).owner
    if owner and owner.hostname == _host():
        return "" if _lives(owner.pid) else f"process {owner.pid} of this host"
    if (time.time() if now is None else now) - path.lstat().st_mtime < LEASE:
        return ""
    return f"process {owner.pid} of {owner.hostname}" if owner else "nobody"


def _remove_lock(path: Path) -> bool:
    """One of this host's dead is taken over and let go; another host's silent one is removed as it is."""
    owner, watch = SoftFileLease(path).owner, Watch(path.with_suffix(""))
    if owner and owner.hostname == _host():
        return watch.free()
    with suppress(OSError):
        if _gone_owner(path, _now(path.parent)):
            path.unlink()
            return True
    return False


@cache
def _host() -> str:
    """This host's name as locks say it."""
    with tempfile.TemporaryDirectory(prefix="mmbench-") as folder, SoftFileLease(Path(folder) / "own.lease") as lease:
        return lease.owner.hostname if lease.owner else ""


def _lives(pid: int) -> bool:
    """Whether a process of this host lives, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _now(folder: Path) -> float:
    """The time by the clock that dates the files of a folder: a server's may differ from ours."""
    with suppress(OSError), tempfile.NamedTemporaryFile(dir=folder, prefix=".now-") as file:
        return os.stat(file.name).st_mtime
    return time.time()


def _half(path: Path, ripe: bool) -> Left:
    return Left(path, "half-written" + ("" if ripe else " within a day"), path.lstat().st_size, ripe)


def _aside(path: Path) -> Left:
    age = time.time() - path.lstat().st_ctime  # of the renaming; the content may be older
    days = int(age // DAY)
    what = f"set aside {f'{days} days ago' if days > 1 else 'within two days'}"
    return Left(path, what, size(path) if path.is_dir() else path.lstat().st_size, age > ASIDE)


def _titled(entry: Entry) -> str:
    return f"{entry.card.title}, which no cell needs" if entry.card else "unfinished"


def _age(entry: Entry) -> float:
    """Seconds since an artefact was finished; 0 where its card does not say."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(entry.card.finished if entry.card else "")).total_seconds()
    except (TypeError, ValueError):
        return 0.0
