"""One cell: its model trained or loaded, its samples drawn and measured, its record written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

from .. import store
from ..errors import DamagedError, ResultError
from ..metric import Bench, Metric
from ..model import Model
from ..store.commands import rerun
from ..store.schema import Cell
from ..tensors import finished
from ..training import StageRecord, train
from .choosing import Choice
from .cost import cost_record
from .estimate import build
from .identity import keeper, sampler
from .measuring import groups, measure, targets
from .memory import Peak
from .plan import CellPlan
from .record import cell_record, metric_records
from .sampling import Sampler, title
from .shown import keep_shown, labelled, shown_lack, shown_name
from .workshop import Workshop

__all__ = ["CellWork", "Fate"]

Fate = Literal["complete", "extended", "skipped", "stale"]
"""What became of a cell that did not fail."""


class CellWork:
    """What is done for one cell.

    Arguments:
        may_train: whether stages that are not there are trained.
    """

    def __init__(self, plan: CellPlan, shop: Workshop, *, may_train: bool) -> None:
        self.plan, self.shop, self.may_train = plan, shop, may_train
        self.request, self._said, self.work = shop.request, set[str](), ""
        """What has to be written, half a sentence, known after `settled`."""
        self.choice = Choice(plan, shop.request, self.say)
        self.left_out: Mapping[str, str] = self.choice.left_out
        """Metrics that could not be measured, with the reason."""

    def say(self, message: str) -> None:
        """Tell the user, once."""
        if message not in self._said:
            self._said.add(message)
            self.shop.progress.say(message)

    def settled(self) -> Fate | None:
        """What becomes of a cell of which nothing has to be written, seen by reading alone; None where there is work.

        Raises ResultError as `compute` does.
        """
        with store.only_reading():
            return self._looked_at()[0]

    def compute(self) -> Fate:
        """Compute what is missing of the cell and write it; no other process may be at it."""
        fate, cell, lacking = self._looked_at()
        if fate:
            return fate
        plan, bench = self.plan, self.shop.bench(self.plan.protocol)
        self.say(f"{plan.what} on {plan.dataset.spec.title}, seed {plan.key.seed}, {plan.key.budget}")
        if cell is None:
            build(plan)  # a model that cannot be made is told of before any judge is trained
        metrics, redraw = self.choice.ready(bench, lacking), bool(cell and shown_lack(plan, self.shop, cell))
        if cell and not metrics and not redraw and not self._samples_lack(cell):
            self.say(f"{plan.who}: nothing more can be measured, skipped")
            return "skipped"
        if cell:
            return self._extend(cell, bench, metrics, redraw)
        self._whole(bench, metrics)
        return "complete"

    def _looked_at(self) -> tuple[Fate | None, Cell | None, list[str]]:
        """What becomes of the cell where there is nothing to do; else the cell to go on from, and what it lacks."""
        plan, cell = self.plan, store.existing(self.request.results, self.plan.key)
        stale = plan.stale(cell) if cell else []
        if cell and stale and not self._anew(cell, stale):
            return "stale", cell, []
        if cell and (stale or (self.may_train and self.request.again)):
            cell = None
        lacking = self.choice.lacking(cell)
        self.work = self._work_at(cell, lacking)
        if cell and not self.work:
            self.say(f"{plan.who}: complete already, skipped")
            return "skipped", cell, []
        return None, cell, lacking

    def _work_at(self, cell: Cell | None, lacking: Sequence[str]) -> str:
        """What has to be written of a cell, half a sentence; '' where nothing has."""
        if cell is None:
            return "it has to be computed"
        if lacking:
            return f"{', '.join(lacking)} has to be measured"
        wrong = shown_lack(self.plan, self.shop, cell)
        return f"{wrong} and have to be drawn anew" if wrong else self._samples_lack(cell)

    def trained(self) -> tuple[Model, dict[str, StageRecord]]:
        """The cell's model, from its kept stages where they are there."""
        plan, shop = self.plan, self.shop
        model = build(plan).to(shop.device)
        records = train(
            model,
            plan.train.to(shop.device),
            plan.dataset.validation,
            seed=plan.key.seed,
            keeper=keeper(plan, shop, may_train=self.may_train),
            progress=shop.progress,
            on_collapse=self.request.on_collapse,
        )
        return model, records

    def _anew(self, cell: Cell, stale: Sequence[str]) -> bool:
        """Say that a cell is stale; whether it is to be computed anew."""
        how = f"stale, other code made it ({'; '.join(stale)})"
        if not self.may_train:
            raise ResultError(f"{how}: compute it anew with `{rerun([cell])}`, or go back to that code")
        told = f"{self.plan.who}: {how}"
        anew = self.request.stale == "rerun"
        self.say(f"{told}; {'it is computed anew' if anew else 'kept as it is, --stale rerun computes it anew'}")
        return anew

    def _whole(self, bench: Bench, metrics: Mapping[str, type[Metric]]) -> None:
        """Train, measure and write the cell."""
        plan, peak = self.plan, Peak(self.shop.device)
        model, records = self.trained()
        for record in records.values():
            for reason in record.collapsed:
                self.say(f"{plan.who}: {reason}; it is measured and marked")
        result = measure(sampler(plan, self.shop, lambda: model, _artefacts(records)), bench, metrics)
        metrics = self.choice.heard(result, metrics)
        name = shown_name(plan, _artefacts(records))
        keep_shown(self.shop, name, labelled(result.samples, bench))
        cell = cell_record(
            plan,
            self.shop.device,
            stages=records,
            result=result,
            metrics=metrics,
            left_out=self.left_out,
            samples=name if result.samples else None,
        )
        cell["cost"] = cost_record(model, records, result, peak)
        store.write(self.request.results, cell)

    def _extend(self, cell: Cell, bench: Bench, metrics: Mapping[str, type[Metric]], redraw: bool) -> Fate:
        """Measure more of a complete cell, and draw the figures' samples anew; nothing else in its file changes."""
        more, model = bool(self._samples_lack(cell)) or redraw, lru_cache(lambda: self.trained()[0])
        result = measure(sampler(self.plan, self.shop, model, _kept(cell)), bench, metrics, figures=redraw)
        metrics = self.choice.heard(result, metrics)
        if redraw:
            keep_shown(self.shop, str(cell["samples"]), labelled(result.samples, bench))
        cell["rows"] = [row for row in cell["rows"] if row["plugin"] not in metrics] + result.rows  # type: ignore[operator]
        cell["metrics"] |= metric_records(metrics, result.metric_seconds)
        cell["left_out"] = {n: reason for n, reason in cell["left_out"].items() if n not in metrics}
        if metrics:
            store.write(self.request.results, cell)
        return "extended" if metrics or more else "skipped"

    def _samples_lack(self, cell: Cell) -> str:
        """Which samples shall be kept that are not yet, half a sentence; '' for none."""
        if not self.request.keep:
            return ""
        bench = self.shop.bench(self.plan.protocol)
        source, (made, own) = sampler(self.plan, self.shop, _no_model, _kept(cell)), groups(bench)
        wanted = ((group[0].given, targets(group)) for group in [*made, *own])
        return next((_lack(source, *names) for names in wanted if source.lacks(bench, *names)), "")


def _lack(source: Sampler, given: Sequence[str], wanted: Sequence[str]) -> str:
    """What has to be done for the samples of a condition, half a sentence that names a damaged file."""
    assert source.shelf
    try:
        finished(source.shelf.artefact(given, wanted))
    except DamagedError as error:
        return f"{error} and its samples have to be kept anew"
    return f"more samples ({title(given, wanted)}) have to be kept as {source.format}"


def _no_model() -> Model:
    raise AssertionError("only the samples on disk are counted")


def _artefacts(records: Mapping[str, StageRecord]) -> dict[str, str]:
    return {name: record.artefact for name, record in records.items()}


def _kept(cell: Cell) -> dict[str, str]:
    return {name: record["artefact"] for name, record in cell["stages"].items()}
