"""Files that are written whole or not at all.

A file is filled beside its place, brought to the disk and renamed: whoever reads finds the old one or the new one,
never half of it. Its permissions are those of the file that was there, else the user's (umask), so that a colleague on
a shared folder can read it. A link stays and what it points to is written; other names of the old file (hard links)
keep the old content. What is no regular file (a device, a pipe) is written in place and never renamed over.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StorageError
from .reading import refuse_to_write

__all__ = [
    "cannot_write",
    "check_writable",
    "discard",
    "leftovers",
    "make_way",
    "move",
    "set_aside",
    "sweep",
    "whole",
    "word",
    "write_text",
    "written_in_place",
]

DAY = 86_400.0
"""Seconds after which nobody writes to a temporary file any more."""
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
"""Names that `whole` gives."""
OLD = re.compile(rf"{TEMPORARY.pattern}|tmp[a-z0-9_]{{8}}")
"""In a cache also those that the first edition gave."""


@contextmanager
def whole(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """A path to fill, which takes the place of `path` at the end; StorageError if that cannot be.

    `synced` brings the bytes to the disk first; not needed for one of many small files that are checked when read.
    """
    refuse_to_write(path)
    try:
        target = Path(os.path.realpath(path))
        with _in_place(path) if written_in_place(path) else _renamed(target, synced) as temporary:
            yield temporary
    except OSError as error:
        raise StorageError(cannot_write(path, error)) from error


def written_in_place(path: Path) -> bool:
    """Whether a path leads to a device, a pipe or a socket, or to what this process holds open (/dev/stdout)."""
    opened = path.absolute().parts[1:2] in (("dev",), ("proc",)) and "shm" not in path.parts[:3]
    return os.path.exists(path) and not os.path.isdir(path) and (opened or not os.path.isfile(path))


def write_text(path: Path, text: str) -> None:
    """Write a text whole, in UTF-8, half characters (lone surrogates) as escapes; StorageError if that fails."""
    with whole(path) as temporary:
        temporary.write_bytes(text.encode(errors="backslashreplace"))


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written in a folder; only for who alone may write there."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            path.unlink()


def leftovers(root: Path) -> list[Path]:
    """Half-written files below a folder that no living process can be at: they are more than a day old."""
    found = []
    for path in root.rglob("*tmp*"):
        with contextlib.suppress(OSError):
            ours = OLD if path.parent.name == "cache" else TEMPORARY
            if ours.fullmatch(path.name) and path.is_file() and time.time() - path.stat().st_mtime > DAY:
                found.append(path)
    return sorted(found)


def check_writable(folder: Path) -> None:
    """Make the folder and try to write to it, before hours of training; raises StorageError if that fails."""
    path = folder / ".writable"
    write_text(path, "ok")
    with contextlib.suppress(OSError):
        path.unlink()


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder, so that nothing of it is lost; returns its new name."""
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.damaged-{number}")):
        number += 1
    move(path, aside)
    return aside


def move(path: Path, to: Path) -> None:
    """Rename a file or folder, over a file that is there; StorageError if that fails."""
    refuse_to_write(path)
    try:
        os.replace(path, to)
    except OSError as error:
        raise StorageError(cannot_write(path, error)) from error


def discard(path: Path) -> None:
    """Remove a file where there is one; StorageError if that is not permitted."""
    refuse_to_write(path)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(cannot_write(path, error)) from error


def make_way(path: Path, say: Callable[[str], None]) -> None:
    """Set aside what is no file and in the place of one that is to be written, with a sentence to `say`."""
    if os.path.lexists(path) and not path.is_file():
        say(f"{path} is no file; it was set aside as {set_aside(path).name}")


def word(name: str) -> str:
    """A name as one part of a path."""
    return re.sub(r"[^\w+.-]", ".", name).lstrip(".") or "_"


@contextmanager
def _renamed(path: Path, synced: bool) -> Iterator[Path]:
    """A file beside `path`, which is renamed to it."""
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        permissions = _permissions(path, temporary)
        yield temporary
        if synced:
            _to_disk(temporary)
        if stat.S_IMODE(temporary.stat().st_mode) != permissions:  # of an older file, or a library made it anew
            temporary.chmod(permissions)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def _in_place(path: Path) -> Iterator[Path]:
    """A file elsewhere, whose bytes are poured into `path`; a reader that has gone away had enough of them."""
    with tempfile.TemporaryDirectory(prefix="mmbench-") as folder:
        yield (temporary := Path(folder) / "content")
        place = os.open(path, os.O_WRONLY | os.O_APPEND)
        with contextlib.suppress(BrokenPipeError), open(place, "wb") as file, temporary.open("rb") as content:
            shutil.copyfileobj(content, file)


def _permissions(path: Path, new: Path) -> int:
    """Those of the file that is there, else what the system gave a new one (by the umask, the folder's access list)."""
    try:
        return stat.S_IMODE(path.stat().st_mode) & 0o777
    except FileNotFoundError:
        return stat.S_IMODE(new.stat().st_mode)


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def cannot_write(path: Path, error: OSError) -> str:
    """Why a file cannot be written, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {path.parent} is full: free some space and run the same command again to resume"
    if isinstance(error, IsADirectoryError):
        return f"{path} is a folder: name a file in it"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{path.parent} cannot be made, a file is in the way: move the file or name another folder"
    reason = error.strerror or str(error)
    return f"{path.parent} cannot be written to ({reason}): name another folder or change its permissions"
