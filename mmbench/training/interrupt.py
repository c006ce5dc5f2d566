"""Ctrl-C waits for the end of a step, so that a checkpoint never holds half of one; a second one strikes at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interrupt_between_steps"]


@contextmanager
def interrupt_between_steps() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether an interruption was asked for; raises KeyboardInterrupt at the end if so."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt
