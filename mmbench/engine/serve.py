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
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from pydantic import TypeAdapter

from ..interrupt import Interrupted, interruptible
from ..progress import Progress
from .events import Sender
from .logs import logged, plug
from .orders import Answer, Order, Start

if TYPE_CHECKING:
    from .hand import Hand

__all__ = ["hand", "main"]

Orders = Iterator[str]


def main() -> int:
    """Serve until there are no more orders; returns the exit code."""
    incoming, outgoing = os.fdopen(os.dup(0), "r", encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    plug(0, os.devnull, os.O_RDONLY)
    os.dup2(2, 1)
    faulthandler.enable()
    sender = Sender(outgoing)
    try:
        with interruptible():
            _serve(_lines(incoming), sender)
    except Interrupted as asked:
        return asked.code
    return 0


def _serve(lines: Orders, sender: Sender) -> None:
    start = TypeAdapter(Start).validate_json(next(lines, ""))
    sys.path[:] = start.path
    worker = hand(start, sender)  # before there is an order: what it loads takes a while
    for line in lines:
        order = TypeAdapter(Order).validate_json(line)
        with logged(start.request.runs, order) as begin:
            answer = worker if isinstance(worker, Answer) else worker.do(order, begin)
        sender.answer(answer)


def hand(start: Start, progress: Progress) -> Hand | Answer:
    """Who does the work; or, where nothing can be done at all, the answer that says why."""
    import torch

    from ..errors import MmbenchError
    from .hand import Hand

    if start.threads:
        torch.set_num_threads(start.threads)
    try:
        return Hand(start.request, progress)
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


if __name__ == "__main__":
    sys.exit(main())
