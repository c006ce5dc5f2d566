"""A crew of processes on this machine: one that crashes, exits, hangs or is killed takes nobody with it."""

from __future__ import annotations

import json
import math
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Any

from pydantic import TypeAdapter

from ..cells.request import Request
from ..progress import Progress
from .events import Event, Lane
from .orders import Answer, Order, Report, Start

__all__ = ["Processes", "environment"]

GRACE = 60.0
"""Seconds that a worker has to save what it trains, once it is asked to end."""
HUNG = 10.0
"""The same for one that took too long."""
PLANNING = 600.0
"""Seconds that a timeout leaves at least for planning."""
LOOK = 1.0
"""Between two looks at workers that say nothing."""
Ended = tuple["Worker", Event | None]
"""An event of a worker; None when it has ended."""


class Processes:
    """`jobs` workers, begun with the first order: what one plans, the others need not wait for to load what they need.

    Arguments:
        timeout: seconds that a worker may take for a cell; None for as long as it takes.
        threads: of each worker; None for the cores that there are, divided by the jobs.
    """

    tries = 2

    def __init__(
        self, request: Request, progress: Progress, jobs: int, timeout: float | None = None, threads: int | None = None
    ) -> None:
        self.progress, self.timeout, self.jobs = progress, timeout, jobs
        self.threads = threads or (max(1, cores() // jobs) if jobs > 1 else None)
        self.start = Start(request=request, path=tuple(sys.path), threads=self.threads)
        self.workers: list[Worker] = []
        self.events: queue.Queue[Ended] = queue.Queue()

    def free(self) -> bool:
        return sum(worker.order is not None for worker in self.workers) < self.jobs

    def give(self, order: Order) -> None:
        while len(self.workers) < self.jobs:
            self._begin()
        worker = next(w for w in self.workers if w.order is None)
        worker.take(order, self._limit(order), self.progress)

    def next(self, seconds: float | None = None) -> tuple[Order, Answer] | None:
        until = math.inf if seconds is None else time.monotonic() + seconds
        while any(worker.order for worker in self.workers):
            for worker in self.workers:
                worker.press()
            wait = min(until, *(w.deadline for w in self.workers)) - time.monotonic()
            if found := self._heard(*self._event(max(0.0, min(wait, LOOK)))):
                return found
            if time.monotonic() >= until:
                return None
        return None

    def stop(self) -> None:
        """Ask all to end, and wait until they have saved; a second interruption ends them at once."""
        busy = [worker for worker in self.workers if worker.order]
        if busy:
            self.progress.say(f"saving {', '.join(worker.order.who for worker in busy if worker.order)} ...")
        try:
            for worker in self.workers:
                worker.ask_to_end()
            for worker in self.workers:
                worker.wait(GRACE)
        finally:
            for worker in self.workers:
                worker.kill()
            self.workers.clear()

    def _limit(self, order: Order) -> float | None:
        """Seconds for an order; what plans may also have to load torch and data, or to download them."""
        return self.timeout if order.cell or not self.timeout else max(self.timeout, PLANNING)

    def _begin(self) -> None:
        taken = {worker.number for worker in self.workers}
        number = next(n for n in range(self.jobs) if n not in taken)
        worker = Worker(number, self.start, environment(os.environ, number, self.jobs, self.threads), self.events.put)
        self.workers.append(worker)

    def _event(self, seconds: float) -> Ended | tuple[None, None]:
        """The next event; the end of a worker too of which children live on that hold its events open."""
        with suppress(queue.Empty):
            return self.events.get(timeout=seconds)
        return next(((w, None) for w in self.workers if w.process.poll() is not None), (None, None))

    def _heard(self, worker: Worker | None, event: Event | None) -> tuple[Order, Answer] | None:
        """An order that is done with, by an answer or by the worker's end."""
        if worker not in self.workers or worker is None:
            return None
        if event is None:
            self.workers.remove(worker)
            return worker.done(Answer(report=worker.fate()))
        if "answer" in event:
            if worker.asked:  # it had the answer as its time was up, and ends now: it is given nothing more
                self.workers.remove(worker)
                worker.kill()
            return worker.done(TypeAdapter(Answer).validate_python(event["answer"]))
        worker.show(event)
        return None


class Worker:
    """One process and what it does at the moment.

    Arguments:
        tell: takes the worker and each of its events, and None at the end; called from another thread.
    """

    def __init__(
        self, number: int, start: Start, environment: Mapping[str, str], tell: Callable[[Ended], None]
    ) -> None:
        self.number, self.order, self.deadline = number, None, math.inf
        self.asked = 0
        self._lane: Lane | None = None
        self._printed: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mmbench.engine.serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
            env=environment,
            start_new_session=True,  # Ctrl-C is for us, who ask the workers to end
        )
        self._send(TypeAdapter(Start).dump_json(start))
        threading.Thread(target=self._listen, args=(tell,), daemon=True).start()

    def take(self, order: Order, timeout: float | None, progress: Progress) -> None:
        """Begin with an order."""
        self.order, self.deadline = order, time.monotonic() + timeout if timeout else math.inf
        self._timeout = timeout
        self._lane = Lane(progress, order.who)
        self._send(TypeAdapter(Order).dump_json(order))

    def done(self, answer: Answer) -> tuple[Order, Answer] | None:
        """Be done with the order, and give it back with its answer."""
        order, self.order, self.deadline = self.order, None, math.inf
        if self._lane:
            self._lane.close()
        return (order, answer) if order else None

    def show(self, event: Event) -> None:
        """Show an event of progress."""
        if self._lane:
            self._lane.show(event)

    def press(self) -> None:
        """Past its time, ask it to end; if it does not, end it."""
        if time.monotonic() < self.deadline:
            return
        if self.asked:
            self.kill()
            self.deadline = math.inf
        else:
            self.ask_to_end()
            self.deadline = time.monotonic() + HUNG

    def ask_to_end(self) -> None:
        """It saves what it trains, and ends."""
        self.asked += 1
        with suppress(OSError):
            self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        """Until it has ended, or for so long."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def kill(self) -> None:
        """End it and what it has begun, at once."""
        with suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def fate(self) -> Report:
        """What became of its order, now that it has ended."""
        self.wait(LOOK)
        self.kill()
        code = self.process.wait()
        if self.asked:
            limit = f"{self._timeout:g} s (--timeout)" if self._timeout else "its time"
            return Report(fate="hung", reason=f"it took longer than {limit}; what was trained is kept")
        return Report(fate="crashed", reason=f"its process {_end(code)}{self._last_words()}")

    def _last_words(self) -> str:
        """What it printed last outside a cell."""
        with suppress(OSError, ValueError):
            self._printed.seek(0)
            lines = self._printed.read().decode(errors="replace").split("\n")
            words = [line.strip() for line in lines if line.strip()]
            return f": {words[-1][:300]}" if words else ""
        return ""

    def _send(self, line: bytes) -> None:
        with suppress(OSError):  # it has ended, which is heard of
            assert self.process.stdin
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()

    def _listen(self, tell: Callable[[Ended], None]) -> None:
        assert self.process.stdout
        with suppress(ValueError, OSError):
            for line in self.process.stdout:
                event: Any = json.loads(line)
                tell((self, event))
        tell((self, None))


def cores() -> int:
    """Those that this process may use; fewer where OMP_NUM_THREADS says so."""
    known = os.environ.get("OMP_NUM_THREADS", "")
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(known) if known.isdigit() and int(known) else here


def environment(ours: Mapping[str, str], number: int, jobs: int, threads: int | None) -> dict[str, str]:
    """The environment of a worker: its threads, and of several GPUs one for each worker in turn."""
    theirs = dict(ours)
    if threads:
        theirs |= {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    gpus = _gpus(ours)
    if jobs > 1 and len(gpus) > 1:
        theirs["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
    return theirs


def _gpus(ours: Mapping[str, str]) -> list[str]:
    named = ours.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name.strip()]
    return [str(n) for n in range(64) if os.path.exists(f"/dev/nvidia{n}")]


def _end(code: int) -> str:
    """'was ended by SIGKILL (for want of memory, perhaps)', 'ended by itself with exit code 3'."""
    if code >= 0:
        return f"ended by itself with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}" + (" (for want of memory, perhaps)" if name == "SIGKILL" else "")
