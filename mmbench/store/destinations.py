"""Where a user says to write: looked at before hours of work, so that a slip costs a sentence and not the work.

Nothing is made or changed here; `files.whole` writes.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import StorageError
from .files import written_in_place

__all__ = ["check_file", "check_folder"]


def check_file(path: Path) -> None:
    """Raise StorageError where no file can be written to a path: a folder, a socket, below a file, not permitted."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = 0
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror}): name another file") from None
    if stat.S_ISDIR(mode):
        raise StorageError(f"{path} is a folder: name a file in it")
    if stat.S_ISSOCK(mode):
        raise StorageError(f"{path} is a socket, which cannot be opened as a file is: name a file or a pipe")
    if not written_in_place(path):
        check_folder(Path(os.path.realpath(path)).parent, path)
    elif not os.access(path, os.W_OK):
        raise StorageError(f"{path} does not permit to be written to: name another file")


def check_folder(folder: Path, wanted: Path | None = None) -> None:
    """Raise StorageError where files cannot be written into a folder, or it cannot be made; `wanted` is its name in
    print."""
    target = Path(os.path.realpath(folder))
    there = next(place for place in (target, *target.parents) if os.path.lexists(place))
    if not there.is_dir():
        raise StorageError(
            f"{wanted or folder} cannot be written, {there} is a file in the way: move it or name another folder"
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise StorageError(
            f"{wanted or folder} cannot be written to, {there} does not permit it: name another folder or change its "
            "permissions"
        )
