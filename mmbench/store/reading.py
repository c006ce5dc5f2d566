"""Reading what lies on disk. What may not be read is never taken for absent or damaged: a colleague's file stays, and
the user is told its name. And commands that only read: what they would write is refused before it is opened.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from ..errors import DamagedError, StorageError, UnreadableError

__all__ = [
    "check_regular",
    "children",
    "only_reading",
    "readable",
    "reading",
    "refuse_to_write",
    "there",
    "unreadable",
]

_READING: ContextVar[bool] = ContextVar("reading", default=False)


@contextmanager
def only_reading() -> Iterator[None]:
    """Nothing is written, renamed or made inside by this package: what would be is refused with a sentence."""
    token = _READING.set(True)
    try:
        yield
    finally:
        _READING.reset(token)


def reading() -> bool:
    """Whether the command at hand only reads."""
    return _READING.get()


def refuse_to_write(path: Path) -> None:
    """Raise StorageError where the command at hand only reads."""
    if reading():
        raise StorageError(f"{path} was not written: this command changes nothing on disk")


def there(path: Path) -> bool:
    """Whether something lies at a path, be it a link to itself. Raises UnreadableError where that is not to be seen."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:
            return True
        raise unreadable(path, error) from None
    return True


def readable(path: Path) -> bool:
    """Whether a file can be opened; False where there is none. Raises UnreadableError where it may not be read,
    DamagedError where something else is in its place."""
    try:
        check_regular(path)
        with path.open("rb"):
            return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unreadable(path, error) from None


def check_regular(path: Path) -> None:
    """Raise DamagedError where a folder, a pipe or a device is in a file's place: to open a pipe may never end.

    Raises OSError where nothing is there.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise DamagedError(f"{path} is damaged (a link to itself is in its place)") from None
        raise
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device"
        raise DamagedError(f"{path} is damaged ({what} is in its place)")


def children(folder: Path) -> list[Path]:
    """What lies in a folder, sorted; nothing where there is no folder. Raises UnreadableError where it may not be
    listed."""
    try:
        return sorted(folder / name for name in os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise unreadable(folder, error) from None


def unreadable(path: Path, error: OSError) -> UnreadableError:
    """The sentence of a file or folder that may not be read."""
    return UnreadableError(f"{path} cannot be read ({error.strerror or error}): check the path and its permissions")
