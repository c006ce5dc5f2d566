"""The terminal: bars where there is one, now and then a line elsewhere; what users typed is printed as it is, whatever
the streams are."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

import typer
from rich.console import Console
from rich.table import Table

from ..progress import Advance, Progress, duration, one_line
from .bars import Count, Display, pace

if TYPE_CHECKING:
    from ..store import BadFile

__all__ = ["Terminal", "columns", "console", "hold_open", "lead_nowhere", "refuse", "say", "show", "tell"]

WIDEST = 10_000
"""Columns of a table at most."""


class _Stderr:
    """The standard error as it is when it is written to. One that is gone, a terminal that was closed, takes nothing
    more, and is no reason for a run to fail or for another exit code."""

    @property
    def stream(self) -> IO[str]:
        """Not the one that bars put in its place, which would come back here."""
        return getattr(sys.stderr, "rich_proxied_file", sys.stderr)

    @property
    def rich_proxied_file(self) -> _Stderr:
        return self

    def write(self, text: str) -> int:
        try:
            return self.stream.write(text)
        except (OSError, ValueError, AttributeError):  # closed while we wrote, before, or from the beginning
            lead_nowhere(self.stream)
            return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except (OSError, ValueError, AttributeError):
            lead_nowhere(self.stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


console = Console(file=cast(IO[str], _Stderr()), soft_wrap=True, highlight=False, emoji=False)


def say(message: str) -> None:
    """A sentence for the user, on standard error, as it is: brackets and colons in paths are no markup, and nothing in
    it controls the terminal."""
    console.print(_tame(message), markup=False)


def tell(text: str) -> None:
    """What a verb was asked for, on standard output, in the same way."""
    print(_tame(text), flush=True)


def show(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output, in full: a terminal that is narrower breaks its lines."""
    table = Table(*head, box=None, pad_edge=False, header_style="")
    for row in rows:
        table.add_row(*map(one_line, row))
    out = Console(width=WIDEST, height=WIDEST, markup=False, emoji=False, highlight=False)
    out.width = max(out.measure(table).maximum, 1)
    out.print(table)


def columns() -> int | None:
    """Of the terminal that standard output is; None where it is none, and lines may be of any length."""
    out = Console(markup=False)
    return max(1, out.width) if out.is_terminal else None


def _tame(text: str) -> str:
    return "\n".join(map(one_line, text.split("\n")))


def hold_open() -> None:
    """Let each of the three streams that is closed lead nowhere: what is opened next would take its number, and
    whatever a library prints would land in that file."""
    while (place := os.open(os.devnull, os.O_RDWR)) <= 2:  # the lowest number that is free
        os.set_inheritable(place, True)
    os.close(place)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115


def lead_nowhere(stream: IO[str]) -> None:
    """What is written to a stream that takes no more, or waits to be, is lost without a word."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def refuse(bad: Sequence[BadFile]) -> NoReturn:
    """Name the files that were left out, and end with exit code 1."""
    for file in bad:
        say(file.reason)
    say(f"{len(bad)} bad file{'s' * (len(bad) != 1)} left out; `mmbench doctor --set-aside` moves them out of the way")
    raise typer.Exit(1)


class Terminal(Progress):
    """Bars with rate and time left on a terminal; now and then a line elsewhere. Several workers share one display.

    Arguments:
        who: whose phases these are, in print before each.
    """

    SECONDS = 30.0
    """Between two lines where there is no terminal."""

    def __init__(self, who: str = "", display: Display | None = None) -> None:
        self.who, self.display = who, display or Display(console)

    def lane(self, who: str) -> Terminal:
        return Terminal(who, self.display)

    @contextmanager
    def phase(self, title: str, total: int, unit: str = "step", done: int = 0) -> Iterator[Advance]:
        show = self.display.bar if console.is_terminal else self._lines
        with show(f"{self.who}: {title}" if self.who else title, total, unit, done) as advance:
            yield advance

    def say(self, message: str) -> None:
        say(message)

    @contextmanager
    def _lines(self, title: str, total: int, unit: str, done: int) -> Iterator[Advance]:
        count, last = Count(total, unit, done), time.monotonic()

        def advance(steps: int = 1, note: str = "", left: float | None = None) -> None:
            nonlocal last
            count.add(steps, note, left)
            now = time.monotonic()
            if now - last > self.SECONDS and count.done < total:
                last = now
                say(_line(title, count))

        yield advance
        say(_line(title, count))


def _line(title: str, count: Count) -> str:
    """'  train score: 120/400 steps, 4.2 steps/s, 29 s, 67 s left loss 0.31'."""
    facts = [f"{count.done}/{count.total} {count.unit}s", pace(count.pace, f" {count.unit}s"), duration(count.elapsed)]
    left = count.remaining
    facts += [f"{duration(left)} left"] if left else []
    return f"  {title}: {', '.join(filter(None, facts))} {count.note}".rstrip()
