"""Ctrl-C, and the signals by which a cluster takes a machine back: one exception, which carries the signal.

SIGTERM and SIGHUP are treated as SIGINT is. A signal that is ignored stays so: `nohup` and a shell's background jobs
rely on it. In a training they wait for the end of a step, so that a checkpoint never holds half of one.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from .errors import StorageError

__all__ = ["Interrupted", "interrupt_between_steps", "interruptible"]

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
Handler = Callable[[int, FrameType | None], None]


class Interrupted(KeyboardInterrupt):
    """A signal asks the process to end.

    Arguments:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = signal.Signals(number)

    @property
    def code(self) -> int:
        """The exit code that shells give to it: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + self.signal


@contextmanager
def interruptible() -> Iterator[None]:
    """The signals raise `Interrupted` inside, wherever the main thread is; nothing changes in another thread."""
    with _handled(_strike):
        yield


@contextmanager
def interrupt_between_steps() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether an interruption was asked for; raises `Interrupted` at the end if so.

    A second Ctrl-C strikes at once, and so does another signal than the first. The same signal again does not: a
    terminal that closes sends SIGHUP twice, and SIGTERM comes from a cluster to all processes and from each to its
    workers. An error of the last step gives way to the interruption, but for a StorageError, since what was asked to be
    saved was not.
    """
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked and (number == signal.SIGINT or number != asked[0]):
            raise Interrupted(number)
        asked.append(number)

    with _handled(note):
        try:
            yield lambda: bool(asked)
        except StorageError:
            raise
        except Exception as error:
            if asked:
                raise Interrupted(asked[0]) from error
            raise
    if asked:
        raise Interrupted(asked[0])


def _strike(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


@contextmanager
def _handled(handler: Handler) -> Iterator[None]:
    """The signals that are not ignored go to `handler` inside."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in SIGNALS}
    ours = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    try:
        for number in ours:
            signal.signal(number, handler)
        yield
    finally:
        for number, old in ours.items():
            signal.signal(number, old)
