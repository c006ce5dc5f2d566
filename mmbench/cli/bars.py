"""Bars of progress that fit their terminal: what they count, how fast, for how long and how much longer is told at 60
columns too; the words before and after make room."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import Task, TaskID
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..progress import Advance, one_line

__all__ = ["Count", "Display", "clock", "pace"]

GRID = "cell"
"""The unit of whole grids: their bar says where it is in words."""
LEAST, MOST = 6, 24
"""Columns of a bar."""
TITLE, SHORT = 28, 14
"""Columns of what is done: those that it gets before its bar grows, and before facts are left out."""


@dataclass
class Count:
    """How far a phase has come."""

    total: int
    unit: str
    done: int = 0
    fresh: int = 0
    """Of them by us."""
    note: str = ""
    left: float | None = None
    """Seconds, where somebody knows better than the pace says it."""
    started: float = field(default_factory=lambda: time.monotonic())
    told: float = 0.0
    """When `left` was."""

    def add(self, steps: int, note: str, left: float | None) -> None:
        self.done, self.fresh, self.note = self.done + steps, self.fresh + steps, note or self.note
        if left is not None:
            self.left, self.told = left, time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds."""
        return time.monotonic() - self.started

    @property
    def pace(self) -> float:
        """Steps a second; 0 before the first."""
        return self.fresh / max(self.elapsed, 1e-9)

    @property
    def remaining(self) -> float | None:
        """Seconds; None where it is not known."""
        if self.done >= self.total:
            return 0.0
        if self.unit == GRID:
            return None if self.left is None else max(0.0, self.left - (time.monotonic() - self.told))
        return (self.total - self.done) / self.pace if self.fresh else None

    @property
    def place(self) -> str:
        """'12/400'; of a grid the cell that is computed, 'cell 3 of 6'."""
        if self.unit == GRID:
            return f"{GRID} {min(self.done + 1, self.total)} of {self.total}"
        return f"{self.done}/{self.total}"


def pace(per_second: float, what: str = "") -> str:
    """'312 samples/s', '4.2/s', '3.0 images/min', '1.2 steps/h'; '' for nothing yet."""
    for seconds, word in ((1, "s"), (60, "min"), (3600, "h")):
        if (rate := per_second * seconds) >= 1:
            return f"{rate:.{0 if rate >= 10 else 1}f}{what}/{word}"
    return ""


def clock(seconds: float | None) -> str:
    """'4:05', '1:04:05', '2 d 03 h'; '-:--' for None."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24:02} h"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Display:
    """Bars that come and go in one display, which is there while a bar is."""

    def __init__(self, console: Console) -> None:
        self.console, self._bars, self._open = console, _Fitting(console=console), 0

    @contextmanager
    def bar(self, title: str, total: int, unit: str, done: int) -> Iterator[Advance]:
        count = Count(total, unit, done)
        task = self._enter(title, count)

        def advance(steps: int = 1, note: str = "", left: float | None = None) -> None:
            count.add(steps, note, left)
            self._bars.update(task, completed=count.done)

        try:
            yield advance
        finally:
            self._leave(task)

    def _enter(self, title: str, count: Count) -> TaskID:
        self._open += 1
        if self._open == 1:
            self._bars = _Fitting(console=self.console)
            self._bars.start()
        return self._bars.add_task(title, total=count.total, completed=count.done, count=count)

    def _leave(self, task: TaskID) -> None:
        """The last bar stays in print, as the record of what was done; others make room."""
        self._open -= 1
        if self._open:
            self._bars.remove_task(task)
        else:
            self._bars.stop()


class _Fitting(Bars):
    """Bars whose columns are chosen by the width that there is."""

    def make_tasks_table(self, tasks: Iterable[Task]) -> Table:
        tasks = [task for task in tasks if task.visible]
        if not tasks:
            return Table.grid()
        titles, counts = [one_line(task.description) for task in tasks], [task.fields["count"] for task in tasks]
        facts, room = _fitting(counts, min(TITLE, _widest(titles)), self.console.width)
        bar = max(LEAST, min(MOST, room - min(TITLE, _widest(titles)) - 1))
        title = max(1, min(_widest(titles), room - bar - 1))
        if (free := room - bar - title - 2) >= LEAST:
            facts = [*facts, [_cut(one_line(count.note), free) for count in counts]]
        table = Table.grid(padding=(0, 1))
        for task, name, *said in zip(tasks, titles, *facts, strict=True):
            words = (Text(word, no_wrap=True) for word in said)
            table.add_row(
                Text(f"  {_cut(name, title)}", no_wrap=True), ProgressBar(task.total, task.completed, bar), *words
            )
        return table


FACTS: Mapping[str, Callable[[Count], str]] = {
    "place": lambda count: count.place,
    "pace": lambda count: "" if count.unit == GRID else pace(count.pace, f" {count.unit}s"),
    "rate": lambda count: "" if count.unit == GRID else pace(count.pace),
    "elapsed": lambda count: clock(count.elapsed),
    "remaining": lambda count: f"left {clock(count.remaining)}",
}
SHAPES = (("place", "pace", "elapsed", "remaining"), ("place", "rate", "elapsed", "remaining"),
          ("place", "elapsed", "remaining"), ("place", "remaining"), ("place",), ())  # fmt: skip
"""The facts of a wide terminal, and of narrower ones."""


def _fitting(counts: Sequence[Count], title: int, width: int) -> tuple[list[list[str]], int]:
    """The facts that fit beside a short title and a bar, a list for each, and the columns that they leave."""
    for shape in SHAPES:
        facts = [[FACTS[name](count) for count in counts] for name in shape]
        room = width - 2 - sum(_widest(said) + 1 for said in facts)
        if room > LEAST + min(title, SHORT):
            return facts, room
    return [], width - 2


def _widest(texts: Iterable[str]) -> int:
    return max(map(cell_len, texts), default=0)


def _cut(text: str, columns: int) -> str:
    """A text with its middle left out where it is too long: its ends tell it from others."""
    if cell_len(text) <= columns:
        return text
    half = max(0, columns - 1) // 2
    return f"{text[: columns - 1 - half]}…{text[-half:] if half else ''}" if columns > 0 else ""
