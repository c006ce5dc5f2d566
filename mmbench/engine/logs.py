"""What a cell's process prints goes into a file of the cell's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .orders import Order, logs

__all__ = ["logged", "plug"]


@contextmanager
def logged(runs: Path, order: Order) -> Iterator[None]:
    """What is printed inside goes into the cell's log; one that stays empty is removed."""
    if order.cell is None:
        yield
        return
    path, before = logs(runs, order.cell.key), os.dup(2)
    try:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            plug(2, path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(2, 1)
        yield
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
