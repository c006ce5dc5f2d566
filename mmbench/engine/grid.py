"""The grid of cells, shared by all who work on one results folder: each cell is handed out until it is done."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from .. import store
from ..cells.request import Request
from ..errors import ResultError
from ..progress import Advance, Progress, duration
from ..store.locks import Watch
from .crew import Crew
from .orders import Answer, Order, PlannedCell, Report, logs, place
from .outcome import Outcome

__all__ = ["Grid"]

Kind = Literal["compute", "measure"]
POLL = 2.0
"""Seconds between two looks at the cells that other processes compute."""


class Grid:
    """Hands out cells until each is done.

    A cell that another process computes is left to it and looked at again when the others are done. One whose worker
    dies is tried again from its checkpoint, and at last recorded as failed.

    Arguments:
        kind: 'compute' or 'measure'.
    """

    def __init__(
        self,
        cells: Sequence[PlannedCell],
        kind: Kind,
        request: Request,
        crew: Crew,
        progress: Progress,
    ) -> None:
        self.kind: Kind = kind
        self.request, self.crew, self.progress = request, crew, progress
        self.waiting = deque(map(self._order, cells))
        self.total, self.started = len(cells), time.monotonic()
        self.busy: dict[store.CellKey, _Busy] = {}
        self.crashes: dict[store.CellKey, int] = {}
        self.done = self.computed = self.running = 0

    def run(self, outcome: Outcome) -> None:
        """Fills the outcome. Raises StorageError where nothing can be written."""
        shown = self.progress if self.total > 1 else Progress()
        with shown.phase("all cells", self.total, "cell") as advance:
            self.settle = partial(self._settle, outcome, advance)
            while self.waiting or self.busy or self.running:
                self._hand_out()
                if found := self.crew.next(POLL if self.busy else None) if self.running else self._rest():
                    self.running -= 1
                    self._take(*found)

    def _hand_out(self) -> None:
        if not self.waiting:
            self._return_to_busy()
        while self.waiting and self.crew.free():
            self.running += 1
            self.crew.give(self.waiting.popleft())

    def _return_to_busy(self) -> None:
        """Cells whose other process has ended: one that failed a moment ago is not tried again."""
        for busy in [busy for busy in self.busy.values() if busy.watch.free()]:
            del self.busy[busy.cell.key]
            if reason := busy.failure(self.request.results):
                self.settle(busy.cell, Report(fate="failed", reason=reason))
            else:
                self.waiting.append(self._order(busy.cell))

    def _rest(self) -> None:
        """Only cells of other processes are left."""
        for busy in self.busy.values():
            busy.tell(self.progress)
        time.sleep(POLL if self.busy else 0.0)

    def _order(self, cell: PlannedCell) -> Order:
        return Order(kind=self.kind, cell=cell)

    def _take(self, order: Order, answer: Answer) -> None:
        cell, report = order.cell, answer.checked().report
        assert cell is not None
        assert report is not None
        if report.fate == "busy":
            self.busy[cell.key] = _Busy(cell, Watch(self.request.runs / "locks" / place(cell.key)))
        elif report.fate not in ("crashed", "hung"):
            self.settle(cell, report)
        elif order.kind == "fail":
            self.settle(cell, Report(fate="failed", reason=order.reason))
        else:
            self._lost(cell, report)

    def _lost(self, cell: PlannedCell, report: Report) -> None:
        """Its worker is gone."""
        tries = self.crashes[cell.key] = self.crashes.get(cell.key, 0) + 1
        if report.fate == "crashed" and tries < self.crew.tries:
            self.progress.say(f"{cell.who}: {report.reason}; it is tried again, from where it was")
            self.waiting.appendleft(self._order(cell))
            return
        log, times = logs(self.request.runs, cell.key), f", {tries} times" if tries > 1 else ""
        printed = f" (what it printed is in {log})" if _size(log) else ""
        self.waiting.appendleft(Order(kind="fail", cell=cell, reason=f"{report.reason}{times}{printed}"))

    def _settle(self, outcome: Outcome, advance: Advance, cell: PlannedCell, report: Report) -> None:
        self.done += 1
        outcome.add(cell.key, report, metrics_by_name=bool(self.request.metrics))
        if report.fate == "failed":
            self.progress.say(f"{cell.who}: FAILED: {report.reason}")
        elif report.fate in ("complete", "extended"):
            self.computed += 1
            self.progress.say(f"{cell.who}: done in {report.seconds:.0f} s{self._where()}")
        advance(1, left=self._left())

    def _where(self) -> str:
        """' (cell 3 of 12, about 4 min left)'."""
        if self.total == 1:
            return ""
        left = self._left()
        return f" (cell {self.done} of {self.total}{f', about {duration(left)} left' if left else ''})"

    def _left(self) -> float | None:
        """Seconds for the cells that are left, if each takes as long as those that were computed; None before the
        first of them."""
        passed = time.monotonic() - self.started
        return passed / self.computed * (self.total - self.done) if self.computed else None


class _Busy:
    """A cell that another process computes."""

    def __init__(self, cell: PlannedCell, watch: Watch) -> None:
        self.cell, self.watch, self.told, self.since = cell, watch, False, time.time()

    def tell(self, progress: Progress) -> None:
        """Say once that it is waited for."""
        if not self.told:
            progress.say(f"{self.cell.who}: waiting for {self.watch.owner or 'another process'}, which computes it")
        self.told = True

    def failure(self, results: Path) -> str:
        """Why that process failed; '' where it did not."""
        path = self.cell.key.failed(results)
        try:
            if path.stat().st_mtime < self.since:
                return ""
            return store.read(path)["reason"] or ""
        except (OSError, ResultError):
            return ""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
