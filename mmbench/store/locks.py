"""Locks that only one process holds, on this host or on another that sees the same folder.

A lock is a file that names its owner, host and process, and whose time is renewed while the owner lives (filelock's
`SoftFileLease`). No kernel lock is relied on, which network file systems refuse or keep to one host. One whose owner is
gone is taken over: at once where the owner was a process of this host, after `LEASE` seconds without a renewal where it
was another host's. An owner that was frozen for longer may come back beside its successor; what both write is whole
and the same, since a seed decides it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import SoftFileLease, Timeout

from ..errors import BusyError, StorageError
from .files import cannot_write
from .reading import refuse_to_write

__all__ = ["Watch", "exclusive"]

LEASE, HEARTBEAT = 300.0, 30.0
"""Seconds without a renewal after which another host's lock is taken over, and between two renewals."""
TORN = 10.0
"""Seconds after which a lock file that names nobody was left by a process that died in making it."""
POLL = 0.5
"""Seconds between two looks at a lock that another process holds."""


class Watch:
    """A lock as somebody sees it who would have it; it must be kept to notice that another host's owner is gone.

    Arguments:
        path: what the lock is for; the lock is the file '<path>.lease'.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, Path(f"{path}.lease")
        self._lease = SoftFileLease(self.file, timeout=0, lease_duration=LEASE, heartbeat_interval=HEARTBEAT)
        self._empty: tuple[tuple[int, int], float] | None = None

    @property
    def owner(self) -> str:
        """'process 123 of host', or '' where nobody holds it."""
        found = self._lease.owner
        return f"process {found.pid} of {found.hostname}" if found else ""

    def take(self) -> None:
        """Hold the lock; BusyError if another process does, StorageError where no file can be made."""
        refuse_to_write(self.file)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._mend()
            self._lease.acquire()
        except Timeout:
            raise BusyError(f"{self.owner or 'another process'} holds {self.path}") from None
        except OSError as error:
            raise StorageError(cannot_write(self.file, error)) from error

    def release(self) -> None:
        with suppress(OSError):
            self._lease.release()

    def free(self) -> bool:
        """Whether nobody holds it, or nobody who lives."""
        try:
            self.take()
        except BusyError:
            return False
        self.release()
        return True

    def _mend(self) -> None:
        """Remove a lock file that has named nobody for a while: filelock holds it for that of an old version."""
        try:
            status = os.lstat(self.file)
        except FileNotFoundError:
            return
        seen = (status.st_ino, status.st_mtime_ns)
        if status.st_size or self._empty is None or self._empty[0] != seen:
            self._empty = None if status.st_size else (seen, time.monotonic())
        elif time.monotonic() - self._empty[1] > TORN:
            self.file.unlink(missing_ok=True)


@contextmanager
def exclusive(path: Path, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Only one process at a time is inside for `path`.

    Where another one is, `say` is called with its name ('process 123 of host') and it is waited for; without `say`, a
    BusyError is raised at once.
    """
    watch, told = Watch(path), False
    while True:
        try:
            watch.take()
            break
        except BusyError:
            if say is None:
                raise
            if not told:
                say(watch.owner or "another process")
            told = True
            time.sleep(POLL)
    try:
        yield
    finally:
        watch.release()
