"""Files that are written whole or not at all, and locks that only one process holds.

A file is filled beside its place, brought to the disk and renamed: whoever reads finds the old one or the new one,
never half of it. Its permissions are the user's (umask), so that a colleague on a shared folder can read it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import BusyError, StorageError

__all__ = ["check_writable", "exclusive", "set_aside", "whole", "word", "write_text"]


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to fill, which takes the place of `path` at the end; StorageError if that cannot be."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _to_disk(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(_cannot_write(path, error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text whole, in UTF-8, half characters (lone surrogates) as escapes; StorageError if that fails."""
    with whole(path) as temporary:
        temporary.write_bytes(text.encode(errors="backslashreplace"))


def check_writable(folder: Path) -> None:
    """Make the folder and try to write to it, before hours of training; raises StorageError if that fails."""
    path = folder / ".writable"
    write_text(path, "ok")
    with contextlib.suppress(OSError):
        path.unlink()


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder, so that nothing of it is lost; returns its new name."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    try:
        path.rename(aside)
    except OSError as error:
        raise StorageError(_cannot_write(path, error)) from error
    return aside


@contextmanager
def exclusive(path: Path, say: Callable[[], None] | None = None) -> Iterator[None]:
    """Only one process at a time is inside for `path`.

    Where another one is, `say` is called and it is waited for; without `say`, a BusyError is raised at once.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if say is None:
                raise BusyError(f"another process holds {path}") from None
            say()
            lock.acquire()
    except OSError as error:
        raise StorageError(_cannot_write(path, error)) from error
    try:
        yield
    finally:
        lock.release()


def word(name: str) -> str:
    """A name as one part of a path."""
    return re.sub(r"[^\w+.-]", ".", name).lstrip(".") or "_"


def _to_disk(path: Path) -> None:
    """Bring the bytes to the disk and give the file the permissions that the user's other files have."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _cannot_write(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {path.parent} is full: free some space and run the same command again to resume"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{path.parent} cannot be made, a file is in the way: move the file or name another folder"
    reason = error.strerror or str(error)
    return f"{path.parent} cannot be written to ({reason}): name another folder or change its permissions"
