"""Which metrics measure a cell, and why others do not: nothing that gave no number counts as measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from .. import plugins
from ..declared import declaration_fault
from ..errors import MmbenchError, PluginError, ResultError, UnavailableError
from ..metric import Bench, Metric
from ..modality import DatasetSpec
from ..store.provenance import changed
from ..store.schema import Cell
from .blaming import blaming
from .measuring import Measurement
from .plan import CellPlan
from .record import metric_records
from .references import lend
from .request import OWN, Request

__all__ = ["Choice", "named"]


class Choice:
    """The metrics of one cell.

    Arguments:
        say: tells the user, one sentence.
    """

    def __init__(self, plan: CellPlan, request: Request, say: Callable[[str], None]) -> None:
        self.plan, self.spec, self.request, self.say = plan, plan.dataset.spec, request, say
        self.left_out: dict[str, str] = {}
        """Metrics that could not be measured, with the reason."""
        self.faulty: dict[str, None] = {}
        """Those of them that failed, though nothing that they need is lacking."""

    def lacking(self, cell: Cell | None) -> list[str]:
        """The metrics to measure: those that a cell has not, or has from other code where that is asked for."""
        names = named(self.request, self.spec, new=cell is None)
        if cell is None or self.request.again:
            return self._fit(names)
        old = self._measured_by_other_code(cell, names)
        if old and self.request.stale == "keep":
            self.say(
                f"{self.plan.who}: other code measured {', '.join(old)}; kept as it is, "
                "`mmbench evaluate --again` measures anew"
            )
        redo = old if self.request.stale == "rerun" else []
        measured = {row["plugin"] for row in cell["rows"]} & set(cell["metrics"])
        return self._fit(name for name in names if name not in measured or name in redo)

    def _fit(self, names: Iterable[str]) -> list[str]:
        """Those that can measure something of the dataset; the others are left out."""
        reasons = {name: _why_unfit(name, self.spec) for name in names}
        for name, reason in reasons.items():
            if reason:
                self._leave_out(name, f"it measures nothing on {self.spec.title}: {reason}")
        return [name for name, reason in reasons.items() if not reason]

    def _leave_out(self, name: str, reason: str) -> None:
        self.left_out[name] = reason
        self.say(f"{name} is left out: {reason}")

    def _failed(self, name: str, error: MmbenchError) -> None:
        if not isinstance(error, UnavailableError):
            self.faulty[name] = None
        self._leave_out(name, str(error))

    def _measured_by_other_code(self, cell: Cell, names: Sequence[str]) -> list[str]:
        now = metric_records({n: _metric(n) for n in names if n in cell["metrics"]}, {})
        return [name for name, record in now.items() if changed(cell["metrics"][name]["code"], record["code"])]

    def heard(self, result: Measurement, metrics: Mapping[str, type[Metric]]) -> dict[str, type[Metric]]:
        """The metrics that gave numbers of the model; one that gave none is left out, never counted as measured."""
        own = {row["plugin"] for row in result.rows if row["source"] in ("model", "reconstruction")}
        for name in metrics:
            if name in result.failed:
                self._failed(name, result.failed[name])
            elif name not in own:
                self._leave_out(name, f"it gave no number on {self.spec.title}; tell its author")
        result.rows = [row for row in result.rows if row["plugin"] in own]
        return {name: metric for name, metric in metrics.items() if name in own}

    def ready(self, bench: Bench, names: Sequence[str]) -> dict[str, type[Metric]]:
        """The metrics that can be measured here, prepared; and why the others cannot. Where all of them fail, for want
        of something better than weights, the first one's error is raised."""
        metrics: dict[str, type[Metric]] = {}
        failed: list[MmbenchError] = []
        for name in names:
            try:
                metrics[name] = _prepared(name, bench)
            except ResultError:  # nothing can be kept, whatever the metric
                raise
            except MmbenchError as error:
                failed += [] if isinstance(error, UnavailableError) else [error]
                self._failed(name, error)
        if failed and len(failed) == len(names):
            raise failed[0]
        return metrics


def _prepared(name: str, bench: Bench) -> type[Metric]:
    metric = _metric(name)
    if wrong := declaration_fault(metric):
        raise PluginError(f"{name}: {wrong}")
    with blaming(name):
        metric.prepare(lend(bench, metric))
    return metric


def named(request: Request, spec: DatasetSpec, *, new: bool) -> list[str]:
    """The metrics that are asked for, 'default' replaced by the dataset's own; of a new cell for which none are named
    also those that are on by default."""
    if not request.metrics:
        return [*spec.metrics, *(_defaults(spec.metrics) if new else ())]
    every = (spec.metrics if name == OWN else (name,) for name in request.metrics)
    return list(dict.fromkeys(name for names in every for name in names))


def _defaults(names: Sequence[str]) -> list[str]:
    """The installed metrics that are on by default, beside those of a dataset; one that cannot be loaded is none."""
    found = []
    for name in plugins.available(plugins.METRICS):
        try:
            found += [name] if name not in names and _metric(name).default else []
        except PluginError:
            continue
    return found


def _metric(name: str) -> type[Metric]:
    return plugins.load(plugins.METRICS, name, Metric)


def _why_unfit(name: str, spec: DatasetSpec) -> str:
    metric = _metric(name)
    with blaming(name):
        return metric.unfit(spec)
