"""Where cells run: in this process, one after the other. A cell that fails is recorded and the others go on."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from .. import plugins, store
from ..cells.blaming import blaming
from ..cells.cell import CellWork
from ..cells.given_samples import Sampled, sample_for
from ..cells.plan import CellPlan, Planner
from ..cells.record import cell_record
from ..cells.request import Request
from ..cells.stored import stored
from ..cells.workshop import Workshop
from ..errors import BusyError, MmbenchError, ResultError, StorageError
from ..progress import Progress
from ..store.files import exclusive
from ..store.inventory import note_results
from .device import resolve_device, tune

__all__ = ["Engine", "Outcome"]


@dataclass
class Outcome:
    """What became of the cells."""

    complete: list[store.CellKey] = field(default_factory=list)
    extended: list[store.CellKey] = field(default_factory=list)
    """Cells that were complete and got further metrics or samples."""
    skipped: list[store.CellKey] = field(default_factory=list)
    stale: list[store.CellKey] = field(default_factory=list)
    """Cells that other code made, kept as they are."""
    failed: list[tuple[store.CellKey, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Why models of 'all', or cells, were left out."""
    left_out: list[str] = field(default_factory=list)
    """Why metrics that were asked for by name could not be measured."""


class Engine:
    """Runs the cells of a request. Names and settings are checked at once, before any data are loaded."""

    def __init__(self, request: Request, progress: Progress | None = None) -> None:
        self.request, self.progress = request, progress or Progress()
        _look_at_code()
        self.shop = Workshop(request, resolve_device(request.device), self.progress)
        self.planner = Planner(self.shop)

    def run(self) -> Outcome:
        """Compute the cells that are not complete yet, and of the others the metrics that they lack.

        Raises StorageError if nothing can be written.
        """
        return self._all(self.planner.plan, may_train=True)

    def evaluate(self) -> Outcome:
        """Measure what complete cells lack (or, with `again`, what is asked for), from their trained models."""
        return self._all(lambda: stored(self.planner), may_train=False)

    def sample(self, given: tuple[str, ...], targets: tuple[str, ...], count: int, noise: int) -> Sampled:
        """See `cells.given_samples`."""
        tune(self.shop.device)
        return sample_for(self.planner, given, targets, count, noise)

    def _all(self, plans: Callable[[], list[CellPlan]], *, may_train: bool) -> Outcome:
        tune(self.shop.device)
        if may_train:
            self._look_at_places()
        outcome = Outcome(broken=self.planner.broken)
        for plan in plans():
            self._one(CellWork(plan, self.shop, may_train=may_train), outcome)
        return outcome

    def _look_at_places(self) -> None:
        """Whether results can be kept, before hours of work; nothing is touched where there is nothing to write."""
        store.check_writable(self.request.results)
        store.check_writable(self.request.runs)
        note_results(self.request.runs, self.request.results)

    def _one(self, work: CellWork, outcome: Outcome) -> None:
        plan, started = work.plan, time.monotonic()
        lock = self.request.runs / "locks" / "-".join(plan.key.folder.parts) / f"seed-{plan.key.seed}"
        try:
            with blaming(plan.typed):
                fate = work.settled()
            if fate is None:
                self._look_at_places()
                with exclusive(lock), blaming(plan.typed):
                    fate = work.compute()
        except StorageError:
            raise
        except BusyError:
            reason = f"{plan.who}: another process is computing it; run again when it has ended"
            outcome.failed.append((plan.key, reason))
            self.progress.say(reason)
        except MmbenchError as error:
            self._record_failure(plan, self._explain(plan, error), outcome)
        else:
            if fate in ("complete", "extended"):
                self.progress.say(f"{plan.who}: done in {time.monotonic() - started:.0f} s")
            getattr(outcome, fate).append(plan.key)
        if self.request.metrics:
            outcome.left_out += [f"{name}: {reason}" for name, reason in work.left_out.items()]

    def _explain(self, plan: CellPlan, error: MmbenchError) -> str:
        """One line for the record; the whole traceback of what was not foreseen goes into a file."""
        if error.__cause__ is None:
            return str(error)
        path = self.request.runs / "logs" / plan.key.folder / f"seed-{plan.key.seed}.error.txt"
        store.write_text(path, "".join(traceback.format_exception(error)))
        return f"{error} (the traceback is in {path})"

    def _record_failure(self, plan: CellPlan, reason: str, outcome: Outcome) -> None:
        outcome.failed.append((plan.key, reason))
        self.progress.say(f"{plan.who}: FAILED: {reason}")
        if plan.key.path(self.request.results).exists():
            return  # a complete cell, or a bad file, stays as it is
        try:
            store.write(self.request.results, cell_record(plan, self.shop.device, reason=reason))
        except StorageError:
            raise
        except ResultError as error:
            self.progress.say(f"{plan.who}: {error}")


def _look_at_code() -> None:
    """Take the identities of all code that is installed now, as it is imported: hours later the files may be others."""
    store.provenance.commit()
    store.provenance.harness()
    for group in (plugins.MODELS, plugins.DATASETS, plugins.METRICS):
        for plugin in plugins.available(group).values():
            store.provenance.code_of_module(plugin.value.partition(":")[0].partition(".")[0])
