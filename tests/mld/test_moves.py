"""Which times the samplers of few calls visit, what they cost, and how they are written down."""

import json
from itertools import pairwise

import numpy as np
import pytest

from mmbench.cells.plan import _refuse_idle
from mmbench.config import from_json, override, to_json
from mmbench.data.glyphs import SPEC
from mmbench.errors import ConfigError
from mmbench.settings import check_settings
from mmbench_mld.config import MLDConfig
from mmbench_mld.moves import FEW_CALLS, Langevin, Move, Restart, Sampler
from mmbench_mld.schedule import VPSDE, TimePath

SDE = VPSDE()


def log_snr(t):
    """log(m / sigma) with m^2 = exp(-B), sigma^2 = 1 - exp(-B), B = 0.1 t + 9.95 t^2."""
    return -0.5 * np.log(np.expm1(0.1 * np.asarray(t) + 9.95 * np.asarray(t) ** 2))


def visited(sampler):
    moves = sampler.moves(SDE)
    assert all(a.end == b.start for a, b in pairwise(moves)), "each move begins where the one before ended"
    return [moves[0].start, *(move.end for move in moves)]


@pytest.mark.parametrize(("steps", "end"), [(2, 0.004), (5, 0.01), (20, 0.001)])
def test_the_plain_walk_is_uniform_in_log_snr(steps, end):
    times = visited(Sampler(kind="dpm2m", steps=steps, end=end))
    assert (times[0], times[-2], times[-1]) == (1.0, end, 0.0)
    assert len(times) == steps + 1
    lengths = np.diff(log_snr(times[:-1]))
    np.testing.assert_allclose(lengths, (log_snr(end) - log_snr(1.0)) / (steps - 1), rtol=1e-9)


def test_restarts_stand_where_the_walk_comes_to_their_time():
    """In the order given; up at once, down uniformly in log-SNR; the walk itself visits both times exactly."""
    first, second = Restart(low=0.1, high=0.3, steps=3, times=2), Restart(low=0.02, high=0.15, steps=1, times=1)
    third = Restart(low=0.1, high=0.2, steps=1, times=1)
    times = visited(Sampler(kind="sde", steps=9, restarts=(second, first, third)))
    ups = [(a, b) for a, b in pairwise(times) if b > a]
    assert ups == [(0.1, 0.3), (0.1, 0.3), (0.1, 0.2), (0.02, 0.15)]
    at = times.index(0.1)
    assert (times[at + 1], times[at + 4], times[at + 5], times[at + 8 :][:3]) == (0.3, 0.1, 0.3, [0.1, 0.2, 0.1])
    lengths = np.diff(log_snr(times[at + 1 : at + 5]))
    np.testing.assert_allclose(lengths, lengths[0], rtol=1e-9)
    main = [t for k, t in enumerate(times) if k <= at or k > at + 10]
    assert main[main.index(0.02) :][1:3] == [0.15, 0.02]


def test_the_longest_step_is_as_short_as_it_can_be():
    """Ten steps over stretches of the main walk: no step could be taken from one stretch to another with profit."""
    restarts = tuple(Restart(low=low, high=0.5, steps=1, times=1) for low in (0.2, 0.15, 0.02))
    grid = Sampler(kind="sde", steps=11, restarts=restarts).grid(SDE)
    assert len(grid) == 11
    assert grid == sorted(grid, reverse=True)
    lengths = np.diff(log_snr(grid))
    knots = [grid.index(t) for t in (1.0, 0.2, 0.15, 0.02, 0.004)]
    counts = np.diff(knots)
    spans = np.add.reduceat(lengths, knots[:-1])
    for poorest, donor in ((p, d) for p in range(4) for d in range(4) if p != d and counts[d] > 1):
        other = counts + np.eye(4, dtype=int)[poorest] - np.eye(4, dtype=int)[donor]
        assert (spans / other).max() >= (spans / counts).max() - 1e-12


def test_churn_raises_sigma_over_m_before_each_step():
    """By a fifth, and not above the beginning: no move up from 1."""
    times = visited(Sampler(kind="heun", steps=6, churn=0.2))
    ups = [(a, b) for a, b in pairwise(times) if b > a]
    assert len(ups) == 5
    np.testing.assert_allclose([log_snr(a) - log_snr(b) for a, b in ups], np.log(1.2), rtol=1e-9)
    near = visited(Sampler(kind="heun", steps=60, churn=1.0))
    assert max(near) == near[0] == 1.0


def test_langevin_steps_stand_at_the_times_of_their_interval():
    sampler = Sampler(kind="sde2m", steps=12, langevin=(Langevin(low=0.03, high=0.3, steps=2, size=0.2),))
    moves, grid = sampler.moves(SDE), sampler.grid(SDE)
    stays = [move for move in moves if move.start == move.end]
    inside = [t for t in grid if 0.03 <= t <= 0.3]
    assert 2 < len(inside) < 10
    assert stays == [Move(t, t, 0.2) for t in inside for _ in range(2)]


R = (Restart(low=0.12, high=0.25, steps=2, times=6), Restart(low=0.03, high=0.12, steps=4, times=5))


@pytest.mark.parametrize(
    ("sampler", "calls"),
    [
        (Sampler(kind="ddim", steps=20), 20),
        (Sampler(kind="sde2m", steps=20), 20),
        (Sampler(kind="heun", steps=20), 39),  # two a step, one for the last
        (Sampler(kind="heun", steps=20, churn=0.3), 39),
        (Sampler(kind="dpm2m", steps=8, restarts=R), 8 + 6 * 2 + 5 * 4),
        (Sampler(kind="heun", steps=8, restarts=R), 15 + 2 * (6 * 2 + 5 * 4)),
        (Sampler(kind="ddim", steps=3, langevin=(Langevin(low=0.001, high=0.9, steps=5, size=0.1),)), 3 + 2 * 5),
        (FEW_CALLS, 40),
    ],
)
def test_calls(sampler, calls):
    assert sampler.calls == calls
    assert MLDConfig.recipe(SPEC).calls == 2410
    assert override(MLDConfig.recipe(SPEC), [f"sampler={json.dumps(to_json(sampler))}"]).calls == calls


# --------------------------------------------------------------------------------- as settings


def test_the_papers_path_is_the_default_of_its_budget_alone():
    assert [MLDConfig.recipe(SPEC, budget).calls for budget in ("smoke", "laptop")] == [35, 40]
    config = MLDConfig.recipe(SPEC)
    assert config.sampler == Sampler() == Sampler(kind="path")
    assert config.calls == config.path.calls
    assert config.path == TimePath(steps=250, jump=10, resample=10)


def test_settings_that_do_nothing_are_known_and_refused():
    """At every budget: the path's, where another sampler draws, and the other samplers', where the path is gone."""
    for budget in ("paper", "laptop", "smoke"):
        recipe = MLDConfig.recipe(SPEC, budget)
        for kind, vain in (("path", "sampler.steps=30"), ("sde", "path.steps=30"), ("heun", "path.resample=2")):
            config = override(recipe, [f"sampler.kind={kind}", vain])
            with pytest.raises(ConfigError, match=f"{vain.split('=')[0]} does nothing here, since sampler.kind is"):
                _refuse_idle(config, [f"sampler.kind={kind}", vain])
        _refuse_idle(recipe, [f"sampler.kind={recipe.sampler.kind}", "width=64"])


def test_a_sampler_is_chosen_by_settings():
    restarts = '[{"low": 0.03, "high": 0.12, "steps": 4, "times": 5}]'
    settings = ["sampler.kind=sde2m", "sampler.steps=12", f"sampler.restarts={restarts}"]
    check_settings(MLDConfig, settings)
    config = override(MLDConfig.recipe(SPEC, "laptop"), settings)
    assert config.sampler == Sampler(kind="sde2m", steps=12, restarts=(Restart(low=0.03, high=0.12, steps=4, times=5),))
    assert from_json(MLDConfig, json.loads(json.dumps(to_json(config)))) == config
    assert to_json(config)["sampler"]["restarts"] == json.loads(restarts)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["sampler.kind=ddmi"], "sampler.kind = 'ddmi' will not do"),
        (["sampler.kind=ddim", "sampler.end=0"], r"sampler.end must lie in \(0, 1\), got 0"),
        (["sampler.kind=ddim", "sampler.end=1"], r"sampler.end must lie in \(0, 1\)"),
        (["sampler.kind=ddim", "sampler.steps=1"], "sampler.steps = 1 is too few"),
        (["sampler.kind=ddim", "sampler.churn=0.1"], "belongs to the kind 'heun'"),
        (["sampler.kind=heun", "sampler.churn=-0.1"], "must be >= 0"),
        (["sampler.kind=heun", "sampler.churn=1e400"], "churn"),
        (["sampler.kind=sde", 'sampler.restarts=[{"low": 0.1, "high": 0.3, "steps": 2}]'], "restarts.0.times"),
        (["sampler.kind=sde", 'sampler.restarts=[{"low":0.1,"high":0.3,"steps":2,"times":1,"k":2}]'], "restarts.0.k"),
        (["sampler.kind=sde", 'sampler.restarts=[{"low":0.3,"high":0.1,"steps":2,"times":1}]'], "low < high"),
        (["sampler.kind=sde", 'sampler.restarts=[{"low":0.3,"high":1.1,"steps":2,"times":1}]'], "high <= 1"),
        (["sampler.kind=sde", 'sampler.restarts=[{"low":0.1,"high":0.3,"steps":0,"times":1}]'], "steps >= 1"),
        (["sampler.kind=sde", 'sampler.restarts=[{"low":0.1,"high":0.3,"steps":2,"times":0}]'], "times >= 1"),
        (
            ["sampler.kind=sde", 'sampler.restarts=[{"low":0.004,"high":0.3,"steps":2,"times":1}]'],
            r"a restart must begin above sampler.end \(0.004\)",
        ),
        (
            ["sampler.kind=sde", "sampler.steps=2", 'sampler.restarts=[{"low":0.1,"high":0.3,"steps":2,"times":1}]'],
            "sampler.steps = 2 is too few",
        ),
        (["sampler.kind=sde", 'sampler.langevin=[{"low":0.1,"high":0.3,"steps":2,"size":1}]'], "size < 1"),
        (["sampler.kind=sde", 'sampler.langevin=[{"low":0.1,"high":1,"steps":2,"size":0.1}]'], "high < 1"),
    ],
)
def test_bad_samplers_are_refused_in_a_sentence(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        override(MLDConfig.recipe(SPEC, "laptop"), settings)
