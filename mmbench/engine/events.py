"""The progress of a worker as events, plain data, and events as progress: what crosses from process to process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Any

from pydantic import TypeAdapter

from ..progress import Advance, Progress
from .orders import Answer

__all__ = ["Event", "Lane", "Reporter", "Sender"]

SECONDS = 0.1
"""Between two events of one phase's advance."""
Event = dict[str, Any]


class Reporter(Progress):
    """Progress that is told as events.

    Arguments:
        tell: takes an event, from any thread.
    """

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self.tell, self._phases = tell, 0

    @contextmanager
    def phase(self, title: str, total: int, unit: str = "step", done: int = 0) -> Iterator[Advance]:
        self._phases += 1
        name, steps, noted, last, known = self._phases, 0, "", 0.0, {}

        def flush() -> None:
            nonlocal steps, last
            if steps or noted:
                self.tell({"advance": name, "steps": steps, "note": noted, **known})
            steps, last = 0, time.monotonic()

        def advance(fresh: int = 1, note: str = "", left: float | None = None) -> None:
            nonlocal steps, noted, known
            steps, noted = steps + fresh, note or noted
            known = {} if left is None else {"left": left}
            if time.monotonic() - last > SECONDS:
                flush()

        self.tell({"phase": name, "title": title, "total": total, "unit": unit, "done": done})
        try:
            yield advance
            flush()
        finally:
            self.tell({"end": name})

    def say(self, message: str) -> None:
        self.tell({"say": message})


class Sender(Reporter):
    """Events as lines of JSON on a stream; answers too. Where nobody reads them any more, nobody is told: whoever
    gives the orders is gone, and that is no error of what is done."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(self._write)
        self._stream, self._lock = stream, threading.Lock()

    def answer(self, answer: Answer) -> None:
        """Tell what came of an order."""
        self._write({"answer": TypeAdapter(Answer).dump_python(answer, mode="json")})

    def _write(self, event: Event) -> None:
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(json.dumps(event) + "\n")
            self._stream.flush()


class Lane:
    """Shows the events of one worker as the progress of what it does."""

    def __init__(self, progress: Progress, who: str) -> None:
        self._progress = progress.lane(who)
        self._open: dict[int, tuple[ExitStack, Advance]] = {}

    def show(self, event: Event) -> None:
        """Show one event; one of an unknown kind is none."""
        if "say" in event:
            self._progress.say(event["say"])
        elif "phase" in event:
            stack = ExitStack()
            phase = self._progress.phase(event["title"], event["total"], event["unit"], event["done"])
            self._open[event["phase"]] = stack, stack.enter_context(phase)
        elif event.get("advance") in self._open:
            self._open[event["advance"]][1](event["steps"], note=event["note"], left=event.get("left"))
        elif event.get("end") in self._open:
            self._open.pop(event["end"])[0].close()

    def close(self) -> None:
        """End what is open: the worker has answered, or is gone."""
        for stack, _ in reversed(self._open.values()):
            stack.close()
        self._open.clear()
