"""One who does the work: plans cells and computes them, in whatever process it is. A cell that fails is recorded."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable

from .. import plugins, store
from ..cells.blaming import blaming
from ..cells.cell import CellWork
from ..cells.estimate import disk_use, words
from ..cells.forecast import forecast
from ..cells.given_samples import Sampled, sample_for
from ..cells.plan import CellPlan, Planner
from ..cells.record import cell_record
from ..cells.request import Request
from ..cells.stored import stored
from ..cells.workshop import Workshop
from ..config import to_json
from ..errors import BusyError, MmbenchError, ResultError, StorageError, UnreadableError
from ..progress import Progress
from ..store.inventory import check_places
from .device import resolve_device, tune
from .orders import Answer, Order, PlannedCell, Report, place

__all__ = ["Hand"]


class Hand:
    """Does what is ordered, one thing after the other.

    Arguments:
        progress: told of phases and, in sentences, of what becomes of cells.

    Raises ConfigError or PluginError for a dataset, device or metric that is not there.
    """

    def __init__(self, request: Request, progress: Progress) -> None:
        self.request, self.progress = request, progress
        _look_at_code()
        device = resolve_device(request.device)
        tune(device)
        self.shop = Workshop(request, device, progress)
        self._planners: dict[str, Planner] = {}
        self._plans: dict[store.CellKey, CellPlan] = {}

    def do(self, order: Order, begin: Callable[[], None] = lambda: None) -> Answer:
        """What comes of an order; our own errors are part of the answer. `begin` is called when a cell is to be
        measured and there is something to write."""
        self._begin = begin
        try:
            return getattr(self, f"_{order.kind}")(order)
        except MmbenchError as error:
            return Answer(error=(type(error).__name__, str(error)))

    def sample(self, given: tuple[str, ...], targets: tuple[str, ...], count: int, noise: int) -> Sampled:
        """See `cells.given_samples`."""
        return sample_for(Planner(self.shop), given, targets, count, noise)

    def _check(self, order: Order) -> Answer:
        return Answer(broken=tuple(self._planner(order.model).broken))

    def _plan(self, order: Order) -> Answer:
        planner = self._planner(order.model)
        return self._planned(planner.plan(), planner)

    def _stored(self, order: Order) -> Answer:
        planner = Planner(self.shop)
        return self._planned(stored(planner), planner)

    def _weigh(self, order: Order) -> Answer:
        use = disk_use(list(self._plans.values()), self.shop, order.jobs)
        return Answer(said=words(use, self.request.runs))

    def _foresee(self, order: Order) -> Answer:
        found = forecast(list(self._plans.values()), self.shop, order.jobs)
        return Answer(said="\n".join(found.lines), broken=tuple(found.broken))

    def _compute(self, order: Order) -> Answer:
        return self._work(order, may_train=True)

    def _measure(self, order: Order) -> Answer:
        return self._work(order, may_train=False)

    def _fail(self, order: Order) -> Answer:
        plan = self._plan_of(order)
        with store.exclusive(self.request.runs / "locks" / place(plan.key)):
            return Answer(report=self._failed(plan, order.reason))

    def _planner(self, model: str) -> Planner:
        if model not in self._planners:
            self._planners[model] = Planner(self.shop, (model,))
        return self._planners[model]

    def _planned(self, plans: list[CellPlan], planner: Planner) -> Answer:
        self._plans |= {plan.key: plan for plan in plans}
        return Answer(cells=tuple(map(self._seen, plans)), broken=tuple(planner.broken))

    def _seen(self, plan: CellPlan) -> PlannedCell:
        given = {"missing": plan.missing} if plan.missing else {}
        settings = json.dumps({"config": to_json(plan.config), **given, "eval": to_json(plan.protocol)})
        known = {"key": plan.key, "who": plan.who, "typed": plan.typed, "varied": plan.varied}
        return PlannedCell(**known, state=self._state(plan), settings=settings)

    def _state(self, plan: CellPlan) -> str:
        try:
            cell = store.existing(self.request.results, plan.key)
        except ResultError:
            return "damaged"
        return "to compute" if cell is None else "stale" if plan.stale(cell) else "complete"

    def _plan_of(self, order: Order) -> CellPlan:
        """The plan of a cell, which may have been made by another worker."""
        assert order.cell is not None
        key = order.cell.key
        if key not in self._plans:
            again = Order(kind="stored") if order.kind == "measure" else Order(kind="plan", model=order.cell.typed)
            self.do(again, self._begin)
        if key not in self._plans:
            raise ResultError(f"{order.who} cannot be planned here as it was before: did its code or data change?")
        return self._plans[key]

    def _work(self, order: Order, *, may_train: bool) -> Answer:
        plan, started = self._plan_of(order), time.monotonic()
        work = CellWork(plan, self.shop, may_train=may_train)
        if seen := self._settled(work):
            return Answer(report=seen)
        if not may_train:
            _check_places(self.request, work)
            self._begin()
        try:
            with store.exclusive(self.request.runs / "locks" / place(plan.key)):
                try:
                    with blaming(plan.typed):
                        fate, seconds = work.compute(), time.monotonic() - started
                        left_out, faulty = dict(work.left_out), tuple(work.choice.faulty)
                        report = Report(fate=fate, seconds=seconds, left_out=left_out, faulty=faulty)
                except StorageError:
                    raise
                except MmbenchError as error:
                    report = self._failed(plan, self._explain(plan, error))
        except BusyError as error:
            report = Report(fate="busy", reason=str(error))
        return Answer(report=report)

    def _settled(self, work: CellWork) -> Report | None:
        """What is to be said of a cell at which nothing has to be written, seen by reading alone; None where there is
        work. Nothing is locked, the folders may be somebody else's."""
        try:
            with blaming(work.plan.typed):
                fate = work.settled()
        except StorageError:
            return None
        except MmbenchError as error:
            there = os.path.lexists(work.plan.key.path(self.request.results))
            return Report(fate="failed", reason=str(error)) if there or isinstance(error, UnreadableError) else None
        return Report(fate=fate, left_out=dict(work.left_out)) if fate else None

    def _explain(self, plan: CellPlan, error: MmbenchError) -> str:
        """One line for the record; the whole traceback of what was not foreseen goes into a file."""
        if error.__cause__ is None:
            return str(error)
        path = self.request.runs / "logs" / f"{place(plan.key)}.error.txt"
        store.write_text(path, "".join(traceback.format_exception(error)))
        return f"{error} (the traceback is in {path})"

    def _failed(self, plan: CellPlan, reason: str) -> Report:
        """Record a failure; a complete cell, or a bad file, stays as it is."""
        if not os.path.lexists(plan.key.path(self.request.results)):
            try:
                store.write(self.request.results, cell_record(plan, self.shop.device, reason=reason))
            except StorageError:
                raise
            except ResultError as error:
                self.progress.say(f"{plan.who}: {error}")
        return Report(fate="failed", reason=reason)


def _check_places(request: Request, work: CellWork) -> None:
    """Raise StorageError, saying what there is to write, where nothing can be written."""
    try:
        check_places(request.results, request.runs)
    except StorageError as error:
        raise StorageError(f"{work.plan.who}: {work.work or 'it has to be measured'}, but {error}") from None


def _look_at_code() -> None:
    """Take the identities of all code that is installed now, as it is imported: hours later the files may be others."""
    store.provenance.commit()
    store.provenance.harness()
    for group in (plugins.MODELS, plugins.DATASETS, plugins.METRICS):
        for plugin in plugins.available(group).values():
            store.provenance.code_of_module(plugin.value.partition(":")[0].partition(".")[0])
