"""What a dry run foresees, against what a run then does; times are those of a clock of our own."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import mmbench.cells.sampling as sampling
from mmbench.cells.forecast import Forecast, forecast, makespan, missing
from mmbench.cells.plan import Planner
from mmbench.cells.rehearsal import REAL, rehearsed
from mmbench.cells.workshop import Workshop
from mmbench.data import glyphs
from mmbench.engine.engine import Engine
from mmbench.progress import Progress
from mmbench_baselines import mvae

from .conftest import TINY, Notes, asked, only

MVAE = {"models": ("mvae",), "settings": ("schedule.steps=4", *TINY)}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "COUNTS", (80, 40))


class Ticks:
    """A clock on which each look takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def shop_of(request) -> Workshop:
    return Workshop(request, torch.device("cpu"), Progress())


def foreseen(request, jobs: int = 1, clock=None) -> Forecast:
    shop = shop_of(request)
    return forecast(Planner(shop).plan(), shop, jobs, clock or Ticks())


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.lstat().st_mtime_ns, p.lstat().st_size) for p in folder.rglob("*")}


def test_a_probe_changes_no_file_and_no_random_state(home: Path, engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even with a model that draws from torch's global random state, which it should not."""
    engine(**MVAE)[0].run()  # files that a probe might touch
    prior = mvae.MVAE.prior
    monkeypatch.setattr(mvae.MVAE, "prior", lambda self, noise: prior(self, noise) + torch.randn(1))
    more = asked(home, models=("mvae", "mld"), settings=("mvae.schedule.steps=4", *TINY), seeds=(0, 1))
    shop = shop_of(more)
    plans = Planner(shop).plan()
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    before = files(home), torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[union-attr]
    assert len(forecast(plans, shop).lines) == 3
    assert files(home) == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[2:]  # type: ignore[union-attr]


def test_a_grid_is_foreseen_as_it_then_is(home: Path, engine) -> None:
    """Four steps of half a second: two of them are timed between two looks at the clock."""
    two = asked(home, **MVAE, seeds=(0, 1))
    own, grid = foreseen(two).lines
    assert own.startswith("mvae, each of 2 cells: training about 2 s (1 stage: elbo 2 s), sampling about ")
    assert grid.startswith("2 cells: about ")
    assert " one after the other; writes about " in grid
    engine(**MVAE)[0].run()
    cell = only(home)
    assert f", {cell['cost']['parameters'] / 1e6:.3g} M parameters, {cell['cost']['gflop'] / 1e3:.3g} TFLOP" in own
    one, left = foreseen(two).lines
    assert one.startswith("mvae: training about 2 s (1 stage: elbo 2 s)"), "seed 0 is complete"
    assert left.startswith("1 cell: about ")
    assert foreseen(asked(home, **MVAE)).lines == [], "nothing is missing"


def test_finished_stages_cost_nothing(home: Path, engine) -> None:
    engine(**MVAE)[0].run()
    again, _ = foreseen(asked(home, **MVAE, again=True)).lines
    assert again.startswith("mvae: nothing to train, sampling about ")
    assert "TFLOP" not in again


def test_samples_are_counted_as_they_are_drawn(home: Path, engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 are measured, 32 shown: of the joint task, six conditions, three reconstructions; kept ones not again."""
    shop = shop_of(asked(home, **MVAE, keep=36))
    (plan,) = Planner(shop).plan()
    assert missing(plan, shop).samples == {"joint": 36, "conditional": 6 * 36, "reconstruction": 3 * 36}
    shop = shop_of(asked(home, **MVAE))
    (plan,) = Planner(shop).plan()
    expected = {"joint": 32, "conditional": 6 * 32, "reconstruction": 3 * 32}
    assert missing(plan, shop).samples == expected
    drawn, draw = Counter[str](), sampling.draw

    def spied(model, given, targets, **more):
        which = "joint" if not given else "reconstruction" if tuple(given) == tuple(targets) else "conditional"
        drawn[which] += more["count"]
        return draw(model, given, targets, **more)

    monkeypatch.setattr(sampling, "draw", spied)
    engine(**MVAE, keep=32)[0].run()
    assert drawn == expected
    assert missing(plan, shop).samples == {}, "all are kept"


def test_models_that_share_a_stage_train_it_once(home: Path) -> None:
    widths = [asked(home, models=("mld",), settings=(f"width={width}", *TINY)) for width in (48, 64)]
    shop = shop_of(widths[0])
    plans = [plan for request in widths for plan in Planner(shop_of(request)).plan()]
    first, second, _ = forecast(plans, shop, clock=Ticks()).lines
    assert "(4 stages: autoencoder.pen " in first
    assert "(1 stage: score " in second


def test_cells_beside_each_other() -> None:
    assert makespan([4, 3, 3], 1) == 10
    assert makespan([4, 3, 3], 2) == 6
    assert makespan([4, 3, 3], 5) == 4


class Slow(nn.Module):
    """Takes five seconds of a clock, and twelve the first time."""

    def __init__(self, clock: list[float]) -> None:
        super().__init__()
        self.clock, self.calls, self.inner = clock, 0, nn.Identity()

    def forward(self, x):
        self.clock[0] += 5.0 if self.calls else 12.0
        self.calls += 1
        return self.inner(x) + 1


def test_a_long_walk_is_timed_from_a_few_calls() -> None:
    clock = [0.0]
    network, plain = Slow(clock), nn.Module.__call__

    def watch(work):
        start = clock[0]
        work()
        return clock[0] - start

    def walk():
        x = torch.zeros(2, 3)
        for _ in range(100):
            x = network(x)
            clock[0] += 0.5
        network(torch.zeros(1, 3))

    assert rehearsed(walk, watch) == 12 + 99 * 5 + 100 * 0.5 + 5, "one of another shape is another"
    assert network.calls == REAL + 1
    assert nn.Module.__call__ is plain


def test_a_dry_run_says_it_and_names_what_fails(engine, monkeypatch: pytest.MonkeyPatch) -> None:
    one, notes = engine(models=("mvae", "my_net:Net"))
    cells = one.plan()
    assert one.foresee(cells).count("\n") == 2
    monkeypatch.setattr(mvae.MVAE, "infer", lambda *_: 1 / 0)
    assert one.foresee(cells) == ""
    assert [reason.partition(":")[0] for reason in one.broken] == ["mvae", "my_net.Net"]
    assert any(line.startswith("mvae: what it takes is not known: ") for line in notes.said)


def test_nothing_is_asked_where_nothing_is_planned(home: Path) -> None:
    assert Engine(asked(home), Notes()).foresee([]) == ""
