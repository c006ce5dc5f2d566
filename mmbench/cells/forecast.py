"""What a grid of cells will take, from a probe of each of its models: time, memory, operations and disk.

Only what is missing counts: complete cells, kept stages and kept samples take nothing, and a stage that several cells
share is trained once. Judges and the metrics' own work are not in it.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from .. import plugins, store
from ..errors import MmbenchError
from ..metric import Bench, Metric
from ..progress import duration
from ..store.artefacts import CARD
from .blaming import blaming
from .choosing import named
from .estimate import built, complete, disk_use, room, size
from .identity import keeper, sampler
from .measuring import KEPT, begun, groups, targets, wanted
from .plan import CellPlan
from .probe import Clock, Kind, Probe, kind, probe
from .workshop import Workshop

__all__ = ["Forecast", "Missing", "forecast", "makespan", "missing"]

LEFT_OUT = "judges and the metrics' own work are not in it"


@dataclass(frozen=True)
class Missing:
    """What a cell still has to do."""

    stages: dict[str, str]
    """To train: stage -> its artefact."""
    samples: dict[Kind, int]
    """To draw, by kind."""

    def seconds(self, found: Probe) -> tuple[float, float]:
        """Of training and of sampling."""
        training = sum(found.stages[name].seconds for name in self.stages)
        return training, sum(count * found.seconds[which] for which, count in self.samples.items())


@dataclass
class Forecast:
    """What is to be said."""

    lines: list[str] = field(default_factory=list)
    """One for each model, then one for the grid; none where nothing is to be computed."""
    broken: list[str] = field(default_factory=list)
    """Why models could not be probed."""


def forecast(plans: Sequence[CellPlan], shop: Workshop, jobs: int = 1, clock: Clock = time.perf_counter) -> Forecast:
    """Probe each model of which a cell is to be computed. Nothing is written.

    Arguments:
        jobs: cells that are computed at once.
    """
    said, seconds, shared = Forecast(), list[float](), set[str]()
    with store.only_reading():
        todo = [plan for plan in plans if not complete(plan, shop)]
        models = {(plan.key.model, plan.key.hash): plan.typed for plan in todo}
        with shop.progress.phase("probe", len(models), "model") as advance:
            for model in models:
                own = [plan for plan in todo if (plan.key.model, plan.key.hash) == model]
                try:
                    with blaming(models[model]):
                        seconds += _of_model(own, shop, shared, said, clock)
                except MmbenchError as error:
                    said.broken.append(f"{model[0]}: what it takes is not known: {error}")
                    shop.progress.say(said.broken[-1])
                advance(1)
        if seconds:
            disk = room(disk_use(plans, shop, jobs), shop.request.runs)
            said.lines.append(f"{_time(seconds, jobs)}; writes {disk}; {LEFT_OUT}")
    return said


def missing(plan: CellPlan, shop: Workshop) -> Missing:
    """What is not there of a cell that is to be computed."""
    model, bench = built(plan, shop), shop.bench(plan.protocol)
    artefacts = keeper(plan, shop, may_train=True).all(model, list(model.stages()), plan.key.seed)
    names = {stage: artefact.name for stage, artefact in artefacts.items()}
    stages = {stage: a.name for stage, a in artefacts.items() if not (a.folder / CARD).is_file()}
    shelf = sampler(plan, shop, lambda: model, names).shelf
    assert shelf is not None
    samples: dict[Kind, int] = {}
    for given, made, count in _drawn(plan, shop, bench):
        if count > shelf.count(given, made):
            samples[kind(given, made)] = samples.get(kind(given, made), 0) + count
    return Missing(stages, samples)


def makespan(seconds: Iterable[float], jobs: int) -> float:
    """Seconds until all cells are done, where each is given, in their order, to the first of `jobs` that is free."""
    free = [0.0] * jobs
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def _drawn(plan: CellPlan, shop: Workshop, bench: Bench) -> Iterable[tuple[tuple[str, ...], tuple[str, ...], int]]:
    """(given, targets, samples) of everything that a cell draws."""
    metrics = _metrics(plan, shop, bench)
    for tasks in chain(*groups(bench)):
        most = max((wanted(name, metric, tasks) for name, metric in metrics.items()), default=0)
        yield tasks[0].given, targets(tasks), min(len(bench.order), max(most, shop.request.keep, KEPT))


def _metrics(plan: CellPlan, shop: Workshop, bench: Bench) -> dict[str, Metric]:
    """Those that will be measured: they fit the data, and what they need is there."""
    found: dict[str, Metric] = {}
    for name in named(shop.request, plan.dataset.spec, new=True):
        metric = plugins.load(plugins.METRICS, name, Metric)
        if not metric.unfit(plan.dataset.spec) and not metric.lacks(bench.weights, bench.cache):
            found[name] = begun(name, metric, bench)
    return found


def _of_model(plans: Sequence[CellPlan], shop: Workshop, shared: set[str], said: Forecast, clock: Clock) -> list[float]:
    """The seconds of the cells of one model, of which a line is said; `shared` has the stages that others train."""
    lacks: list[Missing] = []
    for plan in plans:
        found = missing(plan, shop)
        own = {stage: name for stage, name in found.stages.items() if name not in shared}
        shared.update(own.values())
        lacks.append(Missing(own, found.samples))
    result = probe(plans[0], shop, {stage for each in lacks for stage in each.stages}, clock)
    longest = max(lacks, key=lambda each: sum(each.seconds(result)))
    said.lines.append(_line(plans, longest, result))
    return [sum(each.seconds(result)) for each in lacks]


def _line(plans: Sequence[CellPlan], lacks: Missing, found: Probe) -> str:
    """'mld: training about 4 min (3 stages: autoencoder.pen 40 s, ...), sampling about 30 s, 8.2 M parameters, ...'."""
    training, sampling = lacks.seconds(found)
    each = f", each of {len(plans)} cells" if len(plans) > 1 else ""
    stages = ", ".join(f"{name} {duration(found.stages[name].seconds)}" for name in lacks.stages)
    count = f"{len(lacks.stages)} stage{'s' * (len(lacks.stages) != 1)}"
    parts = [
        f"training about {duration(training)} ({count}: {stages})" if stages else "nothing to train",
        f"sampling about {duration(sampling)}",
        f"{found.parameters / 1e6:.3g} M parameters",
        f"{sum(found.stages[name].gflop for name in lacks.stages) / 1e3:.3g} TFLOP" if stages else "",
        f"about {size(1e6 * found.memory)} of memory" if found.memory else "",
    ]
    return f"{plans[0].key.model}{each}: {', '.join(filter(None, parts))}"


def _time(seconds: Sequence[float], jobs: int) -> str:
    """'6 cells: about 25 min one after the other, 14 min with --jobs 2'."""
    cells = f"{len(seconds)} cell{'s' * (len(seconds) != 1)}"
    if len(seconds) == 1:
        return f"{cells}: about {duration(seconds[0])}"
    beside = f", {duration(makespan(seconds, jobs))} with --jobs {jobs}" if jobs > 1 else ""
    return f"{cells}: about {duration(sum(seconds))} one after the other{beside}"
