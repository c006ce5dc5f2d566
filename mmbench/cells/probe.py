"""What one model takes, from a probe: of each stage one step to warm up and two timed ones, and a few samples.

The probe trains a model of its own, which is thrown away: nothing is kept or written, and no random state changes. The
earlier stages of a probed one are as untrained as it is, which changes no time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from .. import store
from ..data.dataset import Split
from ..metric import Bench
from ..modality import Task
from ..model import Model, Stage
from ..seeding import derive, generator, seeded_globally
from ..training import prepared, stage_trainer
from .cost import parameters
from .estimate import build
from .measuring import groups, targets
from .memory import Peak
from .plan import CellPlan
from .rehearsal import rehearsed
from .workshop import Workshop

__all__ = ["Kind", "Probe", "StageCost", "kind", "probe"]

Clock = Callable[[], float]
"""Seconds from some moment on."""
Kind = str
"""Of what is sampled: 'joint', 'conditional' or 'reconstruction'."""
SAMPLES = 64
"""Drawn at once on a CPU, where more take in proportion more time; a GPU is shown a whole batch."""
TIMED = 2
"""Steps."""


@dataclass(frozen=True)
class StageCost:
    """What a stage's whole training takes."""

    seconds: float
    gflop: float


@dataclass(frozen=True)
class Probe:
    """What a model takes."""

    stages: dict[str, StageCost]
    """Those that were asked for."""
    seconds: dict[Kind, float]
    """Of drawing one sample with all its targets, in large batches."""
    parameters: int
    memory: float | None
    """MB (10^6 bytes) at most, with the data, torch and the program; None where the system does not say it."""


def probe(plan: CellPlan, shop: Workshop, stages: Collection[str], clock: Clock = time.perf_counter) -> Probe:
    """Probe a cell's model.

    Arguments:
        stages: names of those that are to be trained.
    """
    seed, peak = plan.key.seed, Peak(shop.device)
    with store.only_reading(), seeded_globally(derive(seed, "probe"), shop.device):
        model, watch = build(plan).to(shop.device), _Watch(shop.device, clock)
        split = plan.train.to(shop.device)
        costs = {s.name: _stage(model, s, split, seed, watch) for s in model.stages() if s.name in stages}
        drawn = _sampling(model, shop.bench(plan.protocol), seed, watch)
    return Probe(costs, drawn, parameters(model), peak.megabytes())


def kind(given: Sequence[str], made: Sequence[str]) -> Kind:
    """Of the samples of `made`, given `given`."""
    return "joint" if not given else "reconstruction" if set(made) <= set(given) else "conditional"


class _Watch:
    """Times work on a device."""

    def __init__(self, device: torch.device, clock: Clock) -> None:
        self.device, self.clock = device, clock

    def __call__(self, work: Callable[[], object]) -> float:
        """Seconds until all of it is done."""
        start = self._now()
        work()
        return self._now() - start

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return self.clock()


def _stage(model: Model, stage: Stage, split: Split, seed: int, watch: _Watch) -> StageCost:
    """A stage on as many tuples as one batch holds; what is done once for each item is scaled to all of them."""
    model.eval()
    few = split.take(split.spread(_enough(stage, split)))
    tuples: list[Split] = []
    once = watch(lambda: tuples.append(prepared(stage, few)))
    preparing = once * _items(split) / _items(few) if stage.prepare else 0.0
    trainer = stage_trainer(model, stage, tuples[0], seed)
    trainer.total = stage.schedule.total_steps(round(len(split) * len(tuples[0]) / len(few)))
    stage.module.train()
    trainer.counted(0)
    step = watch(lambda: [trainer.step(n) for n in range(1, 1 + TIMED)]) / TIMED
    model.eval()
    assert trainer.gflop is not None
    return StageCost(preparing + step * trainer.total, trainer.gflop)


def _enough(stage: Stage, split: Split) -> int:
    """Tuples of which some fill a batch of every modality."""
    least = 1.0 if split.present is None else float(split.present.double().mean(0).min())
    return math.ceil(stage.schedule.batch_size / least)


def _items(split: Split) -> int:
    """Distinct items of all modalities."""
    return sum(len(split.used(name)) for name in split.names)


def _sampling(model: Model, bench: Bench, seed: int, watch: _Watch) -> dict[Kind, float]:
    """Seconds a sample, by kind: of each the first condition."""
    made, own = groups(bench)
    firsts = {kind(tasks[0].given, targets(tasks)): tasks for tasks in reversed([*made, *own])}
    return {which: _per_sample(model, bench, tasks, seed, watch) for which, tasks in firsts.items()}


@torch.no_grad()
def _per_sample(model: Model, bench: Bench, tasks: Sequence[Task], seed: int, watch: _Watch) -> float:
    """Seconds of one of the samples that are drawn at once; what an untrained model draws is not looked at."""
    most = bench.protocol.batch_size if bench.device.type == "cuda" else min(SAMPLES, bench.protocol.batch_size)
    rows, given = bench.order[:most], tasks[0].given
    conditions = {n: x.to(model.device) for n, x in bench.dataset.test.gather(rows, given).items()} if given else {}
    draws = generator(seed, "probe", *given)
    work = partial(model.generate, conditions, targets(tasks), count=len(rows), generator=draws)
    return rehearsed(work, watch) / len(rows)
