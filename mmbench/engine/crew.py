"""Crews: those who do what an engine orders, one worker or several, here or elsewhere."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from ..cells.request import Request
from ..progress import Progress
from .orders import Answer, Order

__all__ = ["Crew", "Here"]


class Crew(Protocol):
    """Workers. An answer whose report is 'crashed' says that the worker died of the order; another takes its place."""

    tries: int
    """How often a cell may lose its worker."""
    jobs: int
    """Cells at once, at most."""

    def free(self) -> bool:
        """Whether one more order can be given."""
        ...

    def give(self, order: Order) -> None:
        """Give an order to a free worker."""
        ...

    def next(self, seconds: float | None = None) -> tuple[Order, Answer] | None:
        """The next order that was carried out, with its answer; None after so many seconds, or where none is."""
        ...

    def stop(self) -> None:
        """Let all workers save what they can and end."""
        ...


class Here:
    """This process, which does what it is given at once; a crash is a crash of all, as a debugger wants it."""

    tries, jobs = 1, 1

    def __init__(self, request: Request, progress: Progress, threads: int | None = None) -> None:
        from .hand import Hand

        if threads:
            import torch

            torch.set_num_threads(threads)
        self.hand = Hand(request, progress)
        self._done: deque[tuple[Order, Answer]] = deque()

    def free(self) -> bool:
        return not self._done

    def give(self, order: Order) -> None:
        self._done.append((order, self.hand.do(order)))

    def next(self, seconds: float | None = None) -> tuple[Order, Answer] | None:
        return self._done.popleft() if self._done else None

    def stop(self) -> None:
        return None
