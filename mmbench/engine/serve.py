"""A worker of another process: `python -m mmbench.engine.serve` reads orders, a line of JSON each, and writes events.

What a model prints goes into its cell's log and cannot be mistaken for an event. The worker ends when its orders do: if
who gives them is killed, what is being trained is saved first, as for SIGTERM.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pydantic import TypeAdapter

from ..interrupt import Interrupted, interruptible
from .events import Sender
from .orders import Answer, Order, Start, logs

if TYPE_CHECKING:
    from .hand import Hand

__all__ = ["main"]

Orders = Iterator[str]


def main() -> int:
    """Serve until there are no more orders; returns the exit code."""
    incoming, outgoing = os.fdopen(os.dup(0), "r", encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    _plug(0, os.devnull, os.O_RDONLY)
    os.dup2(2, 1)
    faulthandler.enable()
    sender = Sender(outgoing)
    try:
        with interruptible():
            _serve(_lines(incoming), sender)
    except Interrupted as asked:
        return asked.code
    except BrokenPipeError:  # nobody listens any more
        return 1
    return 0


def _serve(lines: Orders, sender: Sender) -> None:
    start = TypeAdapter(Start).validate_json(next(lines, ""))
    sys.path[:] = start.path
    hand = None
    for line in lines:
        order = TypeAdapter(Order).validate_json(line)
        with _logged(start.request.runs, order):
            if hand is None:
                hand = _hand(start, sender)
            answer = hand if isinstance(hand, Answer) else hand.do(order)
        sender.answer(answer)


def _hand(start: Start, sender: Sender) -> Hand | Answer:
    """Who does the work; or, where nothing can be done at all, the answer that says why."""
    import torch

    from ..errors import MmbenchError
    from .hand import Hand

    if start.threads:
        torch.set_num_threads(start.threads)
    try:
        return Hand(start.request, sender)
    except MmbenchError as error:
        return Answer(error=(type(error).__name__, str(error)))


def _lines(incoming: IO[str]) -> Orders:
    """The lines as they come. At their end the process asks itself to end."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        with suppress(OSError, ValueError):
            for line in incoming:
                lines.put(line)
        lines.put(None)
        if busy.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    busy = threading.Event()
    threading.Thread(target=read, daemon=True).start()
    while line := lines.get():
        busy.set()
        yield line
        busy.clear()


@contextmanager
def _logged(runs: Path, order: Order) -> Iterator[None]:
    """What is printed inside goes into the cell's log; one that stays empty is removed."""
    if order.cell is None:
        yield
        return
    path, before = logs(runs, order.cell.key), os.dup(2)
    try:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            _plug(2, path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
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


def _plug(descriptor: int, path: Path | str, flags: int) -> None:
    opened = os.open(path, flags, 0o666)
    os.dup2(opened, descriptor)
    os.close(opened)


if __name__ == "__main__":
    sys.exit(main())
