"""What a cell's process prints goes into a file of the cell's."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .orders import Order, logs

__all__ = ["logged", "plug"]


@contextmanager
def logged(runs: Path, order: Order) -> Iterator[Callable[[], None]]:
    """What is printed inside goes into the cell's log; one that stays empty is removed.

    To measure begins with a look at what is there, which writes nothing: the log is opened when what is yielded is
    called.
    """
    if order.cell is None:
        yield lambda: None
        return
    path, before = logs(runs, order.cell.key), os.dup(2)

    def begin() -> None:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            plug(2, path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(2, 1)

    try:
        if order.kind != "measure":
            begin()
        yield begin
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os.dup2(before, 2)
        os.dup2(2, 1)
        os.close(before)
        with suppress(OSError):
            if not path.stat().st_size:
                path.unlink()


def plug(descriptor: int, path: Path | str, flags: int) -> None:
    """Let a descriptor of this process lead to a file."""
    opened = os.open(path, flags, 0o666)
    os.dup2(opened, descriptor)
    os.close(opened)
