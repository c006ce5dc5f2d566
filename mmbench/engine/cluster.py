"""A crew on a cluster of machines, by Ray: one task a cell, with its part of the cores and of a GPU.

All machines must see the same runs, results and data under the same paths and have the same code installed, which is
checked at the start. A cell whose machine is lost goes on elsewhere from its last checkpoint. Ray's own documentation
says how clusters are started; 'ray' starts one on this machine.
"""

from __future__ import annotations

import logging
import math
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from .. import store
from ..cells.request import Request
from ..errors import ConfigError, ResultError, UnavailableError
from ..interrupt import interruptible
from ..progress import Progress
from .events import Event, Lane, Reporter
from .logs import logged
from .orders import Answer, Order, Report, Start

__all__ = ["Cluster"]

LOOK = 0.3
"""Seconds between two looks at what the tasks tell."""
GRACE = 60.0
"""Seconds that tasks have to save what they train, once they are asked to end."""
HUNG = 10.0
"""The same for one that took too long."""


class Cluster:
    """Workers wherever the cluster has room.

    Arguments:
        address: 'ray' for a cluster of this machine alone, 'auto', 'HOST:PORT' or 'ray://HOST:PORT'.
        jobs: tasks at once; None for as many as there is room for.
        cpus, gpus: of each task; None for one GPU where the cluster has any and the request may use it.
        timeout: seconds that a cell may take.

    Raises UnavailableError where Ray is not installed, ConfigError where the cluster cannot be reached, ResultError
    where its machines do not share what they must.
    """

    tries = 5
    """How often a cell may lose its worker: machines are taken back."""

    def __init__(
        self,
        request: Request,
        progress: Progress,
        address: str,
        *,
        jobs: int | None = None,
        cpus: int = 1,
        gpus: float | None = None,
        timeout: float | None = None,
    ) -> None:
        self.ray = _connected(address)
        self.progress, self.timeout, self.jobs = progress, timeout, jobs or sys.maxsize
        request = _absolute(request)
        self.start = Start(request=request, path=tuple(sys.path), threads=cpus)
        self.resources = {"num_cpus": cpus, "num_gpus": self._gpus(request, gpus)}
        self.tasks: dict[Any, _Task] = {}
        self.number = 0
        try:
            self._check_sharing(request)
            self.board = self.ray.remote(_Board).options(num_cpus=0, **self._here()).remote()
        except BaseException:
            self.ray.shutdown()
            raise

    def free(self) -> bool:
        return len(self.tasks) < self.jobs

    def give(self, order: Order) -> None:
        self.number += 1
        task = self.ray.remote(_carry_out).options(max_retries=0, **self.resources)
        ref = task.remote(_json(Start, self.start), _json(Order, order), self.board, self.number)
        self.tasks[ref] = _Task(self.number, order, Lane(self.progress, order.who))

    def next(self, seconds: float | None = None) -> tuple[Order, Answer] | None:
        until = math.inf if seconds is None else time.monotonic() + seconds
        while self.tasks:
            done, _ = self.ray.wait(list(self.tasks), timeout=max(0.0, min(LOOK, until - time.monotonic())))
            self._show()
            for ref in done:
                return self._done(ref)
            for ref, task in self.tasks.items():
                self._press(ref, task)
            if time.monotonic() >= until:
                return None
        return None

    def stop(self) -> None:
        """Let all tasks save and end, then leave the cluster; one that was started here ends with it."""
        try:
            if self.tasks:
                self.progress.say(f"saving {', '.join(task.order.who for task in self.tasks.values())} ...")
            for ref in self.tasks:
                self.ray.cancel(ref, force=False)
            self.ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=GRACE) if self.tasks else None
        finally:
            self.tasks.clear()
            self.ray.shutdown()

    def _done(self, ref: Any) -> tuple[Order, Answer]:
        task = self.tasks.pop(ref)
        task.lane.close()
        try:
            return task.order, TypeAdapter(Answer).validate_json(self.ray.get(ref))
        except self.ray.exceptions.RayError as error:
            if task.asked:
                reason = f"it took longer than {self.timeout:g} s (--timeout); what was trained is kept"
                return task.order, Answer(report=Report(fate="hung", reason=reason))
            reason = f"its worker was lost ({type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]})"
            return task.order, Answer(report=Report(fate="crashed", reason=reason))

    def _show(self) -> None:
        """Show what the tasks told since the last look; a board that is lost shows nothing more."""
        with suppress(self.ray.exceptions.RayError):
            tasks = {task.number: task for task in self.tasks.values()}
            for number, event in self.ray.get(self.board.take.remote()):
                if number in tasks:
                    tasks[number].hear(event, self.timeout)

    def _press(self, ref: Any, task: _Task) -> None:
        """Past its time, ask a task to end; if it does not, end it."""
        if time.monotonic() >= task.deadline:
            self.ray.cancel(ref, force=task.asked)
            task.asked, task.deadline = True, time.monotonic() + HUNG

    def _gpus(self, request: Request, asked: float | None) -> float:
        there = self.ray.cluster_resources().get("GPU", 0)
        if asked is not None:
            return asked
        return 1.0 if there and request.device != "cpu" else 0.0

    def _here(self) -> dict[str, Any]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node = self.ray.get_runtime_context().get_node_id()
        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=True)}

    def _check_sharing(self, request: Request) -> None:
        """ResultError where a machine does not see what this one sees."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in self.ray.nodes() if node["Alive"]}
        harness, data = store.provenance.harness(), str(request.data_root if request.data_root.exists() else "/")
        with _marked(request) as marks:
            for node, host in nodes.items():
                where = NodeAffinitySchedulingStrategy(node, soft=False)
                look = self.ray.remote(_look).options(num_cpus=0, scheduling_strategy=where, max_retries=0)
                found = self.ray.get(look.remote(marks, data, harness))
                if found:
                    raise ResultError(f"{host}, a machine of the cluster, {found}")


class _Task:
    def __init__(self, number: int, order: Order, lane: Lane) -> None:
        self.number, self.order, self.lane = number, order, lane
        self.asked, self.deadline = False, math.inf

    def hear(self, event: Event, timeout: float | None) -> None:
        """Its time begins when it does."""
        if "begun" in event and timeout and self.order.cell:
            self.deadline = time.monotonic() + timeout
        self.lane.show(event)


class _Board:
    """Where tasks put events, for the one who shows them."""

    def __init__(self) -> None:
        self.events: list[tuple[int, Event]] = []

    def add(self, number: int, event: Event) -> None:
        self.events.append((number, event))

    def take(self) -> list[tuple[int, Event]]:
        events, self.events = self.events, []
        return events


_kept: dict[str, tuple[Reporter, Any]] = {}
"""Of this process, which may be given many cells of one request."""


def _carry_out(start: str, order: str, board: Any, number: int) -> str:
    """One order, in a worker of Ray."""
    begun, asked = TypeAdapter(Start).validate_json(start), TypeAdapter(Order).validate_json(order)
    with interruptible(), logged(begun.request.runs, asked) as begin:
        reporter, worker = _kept.get(start) or _prepared(start, begun)
        reporter.tell = lambda event: board.add.remote(number, event)
        reporter.tell({"begun": number})
        return _json(Answer, worker if isinstance(worker, Answer) else worker.do(asked, begin))


def _prepared(start: str, begun: Start) -> tuple[Reporter, Any]:
    from .serve import hand

    sys.path.extend(path for path in begun.path if path not in sys.path)
    reporter = Reporter(lambda event: None)
    _kept[start] = reporter, hand(begun, reporter)
    return _kept[start]


def _look(marks: list[str], data_root: str, harness: dict[str, str]) -> str:
    """What is wrong with this machine, in the end of a sentence; '' if nothing is."""
    for mark in marks:
        if not Path(mark).exists():
            return f"does not see {Path(mark).parent}: the folders of runs and results must be on a shared file system"
    if not Path(data_root).exists():
        return f"does not see {data_root}: the data must be there under the same path"
    if store.provenance.harness() != harness:
        return "has other code of mmbench: install the same version everywhere"
    return ""


@contextmanager
def _marked(request: Request) -> Iterator[list[str]]:
    """Files that all machines should see in what they share."""
    marks = [folder / f".shared-{secrets.token_hex(4)}" for folder in (request.runs, request.results)]
    try:
        for mark in marks:
            store.write_text(mark, "seen")
        yield [str(mark) for mark in marks]
    finally:
        for mark in marks:
            mark.unlink(missing_ok=True)


def _connected(address: str) -> Any:
    try:
        import ray
    except ImportError:
        raise UnavailableError("--on ray needs the package ray: pip install 'mmbench[ray]'") from None
    where: dict[str, Any] = {"include_dashboard": False} if address == "ray" else {"address": address}
    try:
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        said = (str(error).splitlines() or [""])[0]
        raise ConfigError(
            f"no cluster answers at {address} ({said:.200}): see `ray status`, or --on ray for this machine alone"
        ) from None
    return ray


def _absolute(request: Request) -> Request:
    """Other machines have other working directories."""
    names = ("data_root", "results", "runs", "weights")
    return replace(request, **{name: path.absolute() for name in names if (path := getattr(request, name))})


def _json(kind: type, value: Any) -> str:
    return TypeAdapter(kind).dump_json(value).decode()
