"""The engine: from a request to complete cells, whoever computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..cells.request import Request, expanded
from ..errors import PluginError
from ..progress import Progress
from ..store.inventory import check_places
from .crew import Crew, Here
from .grid import Grid
from .orders import Answer, Order, PlannedCell
from .outcome import Outcome

if TYPE_CHECKING:
    from ..cells.given_samples import Sampled

__all__ = ["Engine"]


class Engine:
    """Runs the cells of a request. Names and settings are checked at once, before any data are loaded.

    Arguments:
        crew: who does the work; this process, if none is given.

    Raises ConfigError or PluginError for what is not there; a model that cannot be loaded is told of and left out,
    unless it is the only one.
    """

    def __init__(self, request: Request, progress: Progress | None = None, crew: Crew | None = None) -> None:
        self.request, self.progress = request, progress or Progress()
        names = expanded(request.models)
        self.crew = crew or Here(request, self.progress)
        self.broken: list[str] = []
        self.models = [name for name in names if not self._ask(Order(kind="check", model=name)).broken]
        if self.broken and not self.models:
            raise PluginError("; ".join(self.broken))

    def plan(self) -> list[PlannedCell]:
        """Every cell of the request; a model that fails here is told of and left out, the others are planned.

        Raises ConfigError for a setting that will not do.
        """
        return [cell for name in self.models for cell in self._ask(Order(kind="plan", model=name)).cells]

    def foresee(self, cells: Sequence[PlannedCell]) -> str:
        """What the planned cells will take, from a probe of their models: lines for the user, '' where nothing is to be
        computed. A model that cannot be probed is told of. Nothing is written."""
        return self._ask(Order(kind="foresee", jobs=self.crew.jobs)).said if cells else ""

    def run(self) -> Outcome:
        """Compute the cells that are not complete yet, and of the others the metrics that they lack.

        Raises StorageError if nothing can be written.
        """
        check_places(self.request.results, self.request.runs)
        outcome = Outcome(broken=self.broken)
        cells = self.plan()
        self._weigh(cells)
        Grid(cells, "compute", self.request, self.crew, self.progress).run(outcome)
        return outcome

    def evaluate(self) -> Outcome:
        """Measure what complete cells lack (or, with `again`, what is asked for), from their trained models.

        Nothing is touched where there is nothing to write: the folders may be somebody else's.
        """
        outcome = Outcome(broken=self.broken)
        Grid(self._ask(Order(kind="stored")).cells, "measure", self.request, self.crew, self.progress).run(outcome)
        return outcome

    def sample(self, given: tuple[str, ...], targets: tuple[str, ...], count: int, noise: int) -> Sampled:
        """See `cells.given_samples`; in this process, whatever the crew."""
        from .hand import Hand

        return Hand(self.request, self.progress).sample(given, targets, count, noise)

    def _weigh(self, cells: Sequence[PlannedCell]) -> None:
        """Say how much may be written; a worker that dies of it will die of its cell, too, which is told then."""
        if any(cell.state == "to compute" for cell in cells):
            self.crew.give(Order(kind="weigh", jobs=min(self.crew.jobs, len(cells))))
            while (found := self.crew.next()) is None:
                continue
            if found[1].said:
                self.progress.say(found[1].said)

    def _ask(self, order: Order) -> Answer:
        """The answer to one order, while nothing else is done."""
        self.crew.give(order)
        while (found := self.crew.next()) is None:
            continue
        answer = found[1].checked()
        if answer.report:
            reason = f"{order.who or 'the cells'}: left out: {answer.report.reason} as it was planned"
            self.progress.say(reason)
            answer = Answer(broken=(reason,))
        self.broken += [reason for reason in answer.broken if reason not in self.broken]
        return answer
