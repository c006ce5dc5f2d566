"""The solvers of few calls: the exact law of Gaussians, their order, and their moves one by one."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from mmbench.seeding import Noise
from mmbench_mld.moves import FEW_CALLS, Langevin, Move, Restart, Sampler
from mmbench_mld.recipes import FORTY
from mmbench_mld.schedule import VPSDE
from mmbench_mld.solvers import walk

from .gaussians import COVARIANCE, MEAN, conditional, exact_law, law, score_of

SDE = VPSDE()
KINDS = ("ddim", "sde", "dpm2m", "sde2m", "heun")
NOISY = {"sde", "sde2m"}


def noise(count, seed=0):
    return Noise(torch.Generator().manual_seed(seed), count)


def drawn(sampler, count, dim):
    """The noise that a sampler uses, (draws, count, dim)."""
    source, moves = noise(count), sampler.moves(SDE)
    draws = 1 + sum(m.end >= m.start or (sampler.kind in NOISY and m.end > 0) for m in moves)
    return np.stack([source.normal(dim).double().numpy() for _ in range(draws)])


def moments(sampler, mean=MEAN, covariance=COVARIANCE):
    """Mean and covariance of the sampler's answer with the exact score, up to rounding."""
    dim = len(mean)
    count = 2 * dim * len(drawn(sampler, 1, dim)) + 20
    z = torch.zeros(count, dim, dtype=torch.float64)
    made = walk(score_of(mean, covariance), z, torch.ones(dim), sampler=sampler, sde=SDE, noise=noise(count))
    return law(made.numpy(), drawn(sampler, count, dim))[:2]


def times(sampler):
    """The times that a sampler's moves visit."""
    moves = sampler.moves(SDE)
    return [moves[0].start, *(move.end for move in moves)]


def errors(samplers, visited=times):
    """The largest error of the mean and of the covariance of each, against a walk over the same ends without error."""
    found = []
    for sampler in samplers:
        mean, covariance = moments(sampler)
        true_mean, true_covariance = exact_law(visited(sampler), MEAN, COVARIANCE, noisy=sampler.kind in NOISY)
        found.append((np.abs(mean - true_mean).max(), np.abs(covariance - true_covariance).max()))
    return np.array(found)


# --------------------------------------------------------------------------------- the exact law


@pytest.mark.parametrize(
    ("kind", "order", "finest"),
    [("ddim", 1, 0.03), ("sde", 1, 0.06), ("dpm2m", 2, 4e-4), ("sde2m", 2, 1e-3), ("heun", 2, 8e-4)],
)
def test_order_of_convergence(kind, order, finest):
    """From 41 to 161 steps the error of the covariance falls as steps^-order; the mean's too, where it has an error:
    along the SDE it is forgotten from one step to the next."""
    found = errors([Sampler(kind=kind, steps=steps + 1) for steps in (40, 80, 160)])
    assert found[-1, 1] < finest
    means, covariances = np.log2(found[:-1] / found[1:]).T
    np.testing.assert_allclose(covariances, order, atol=0.2)
    if kind in NOISY:
        assert found[:, 0].max() < 1e-6
    else:
        np.testing.assert_allclose(means, order, atol=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_restarts_and_churn_end_in_the_law_of_their_walk(kind):
    """Four times the steps: the error of what is walked up and down again goes to 0, too."""

    def sampler(k):
        restarts = (
            Restart(low=0.12, high=0.25, steps=3 * k, times=2),
            Restart(low=0.03, high=0.12, steps=4 * k, times=1),
        )
        return Sampler(kind=kind, steps=8 * k + 1, restarts=restarts, churn=0.1 / k if kind == "heun" else 0.0)

    (_, coarse), (mean, fine) = errors([sampler(2), sampler(8)])
    assert mean < 2e-4
    assert fine < coarse / 2.5
    assert fine < {"ddim": 0.04, "sde": 0.07, "dpm2m": 2e-3, "sde2m": 5e-3, "heun": 5e-3}[kind]


def test_langevin_steps_settle_in_the_law_of_their_time():
    """N(m mu, V), whatever went before, but for the step's own error: V / (1 - size sigma^2 / (2 V))."""
    mean, covariance, t = np.array([1.5]), np.array([[4.0]]), 0.5
    m, s2 = np.exp(-0.025 - 19.9 / 16), -np.expm1(-0.05 - 19.9 / 8)
    moves = (Move(1.0, t), *[Move(t, t, 0.3)] * 40)
    found_mean, found_covariance = moments(Script("ddim", moves), mean, covariance)
    variance = m**2 * 4 + s2
    assert found_mean[0] == pytest.approx(m * 1.5, abs=1e-4)
    assert found_covariance[0, 0] == pytest.approx(variance / (1 - 0.3 * s2 / (2 * variance)), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_given_latents_steer_the_rest_to_the_conditional_law(kind):
    """z_a | z_b of the correlated Gaussian: no mean or slope is left beside Schur's, the covariance is that of an
    undisturbed walk over the same times, the given latents stay bit-equal."""
    count = 500
    given = MEAN[2] + np.sqrt(COVARIANCE[2, 2]) * np.random.default_rng(0).normal(size=count)
    centres, covariance = conditional(MEAN, COVARIANCE, given)
    z = torch.from_numpy(np.column_stack((np.full((count, 2), 123.0), given)))
    inner, asked = score_of(centres, covariance), []

    def score(x, t):
        assert torch.equal(x[:, 2], z[:, 2]), "the network must see the clean conditioning latents"
        asked.append(float(t))
        return torch.cat((inner(x[:, :2], t), torch.full((count, 1), torch.nan, dtype=torch.float64)), 1)

    sampler = Sampler(kind=kind, steps=40, restarts=(Restart(low=0.05, high=0.2, steps=10, times=2),))
    x = walk(score, z, torch.tensor([1.0, 1.0, 0.0]), sampler=sampler, sde=SDE, noise=noise(count))
    assert torch.equal(x[:, 2], z[:, 2])
    assert len(asked) == sampler.calls
    mean, found, slope = law(x[:, :2].numpy() - centres, drawn(sampler, count, 3), given - MEAN[2])
    assert np.abs(mean).max() < 3e-3, "the ODE remembers that it began at N(0, I), m(1) = 0.0066 beside the law"
    assert np.abs(slope).max() < 3e-3
    _, walked = exact_law(times(sampler), MEAN[:2], covariance, noisy=kind in NOISY)
    assert np.abs(found - walked).max() < {"ddim": 0.15, "sde": 0.25}.get(kind, 0.02) * walked.max()


# --------------------------------------------------------------------------------- its moves, one by one


@dataclass(frozen=True)
class Script:
    """A sampler of the given moves."""

    kind: str
    visited: tuple[Move, ...]

    def moves(self, sde):
        return list(self.visited)


def wavy(x, t):
    """A score that is no score of anything: it depends on x and t and differs from one latent to the next."""
    return np.sin(3 * x) * (1 + t) / 10 + np.arange(x.shape[1]) - x


def by_hand(kind, moves, given, z, draws):
    """In float64 and in Karras et al.'s variables y = x / m, w = sigma / m = sqrt(exp(B) - 1), B = 0.1 t + 9.95 t^2,
    where D = y + w^2 m s(x, t), and with r = w' / w for a step from w to w':

    ddim  y' = D + r (y - D);   sde  y' = D + r^2 (y - D) + w' sqrt(1 - r^2) xi;   2m: D + (D - D_before) log r /
    (2 log r_before) for D;   heun: the mean of both slopes (y - D) / w;   up  y + sqrt(w'^2 - w^2) xi;   Langevin  y +
    a w^2 m s + w sqrt(2 a) xi.   Returns the latents and the times at which the score was asked.
    """
    asked, before = [], None

    def at(t):
        big = 0.1 * t + 9.95 * t**2
        return np.exp(-big / 2), np.sqrt(np.expm1(big))

    def seen(y, t):
        asked.append(t)
        m, w = at(t)
        return w**2 * m * wavy(np.where(given, z, m * y), t)

    x = np.where(given, z, next(draws))
    for move in moves:
        (m, w), (n, v), r = at(move.start), at(move.end), at(move.end)[1] / at(move.start)[1]
        y = x / m
        if move.end > move.start:
            y, before = y + np.sqrt(v**2 - w**2) * next(draws), None
        elif move.end == move.start:
            y, before = y + move.size * seen(y, move.start) + w * np.sqrt(2 * move.size) * next(draws), None
        else:
            D = used = y + seen(y, move.start)
            if kind.endswith("2m") and before is not None and move.end > 0:
                used = D + (D - before[0]) * np.log(r) / (2 * before[1])
            before = D, np.log(r) if move.end > 0 else np.nan
            if move.end == 0:
                y = D
            elif kind == "heun":
                slope, euler = (y - D) / w, y + (v - w) * (y - D) / w
                y = y + (v - w) / 2 * (slope - seen(euler, move.end) / v)
            else:
                power = 2 if kind in NOISY else 1
                y = used + r**power * (y - used)
                y = y + v * np.sqrt(1 - r**2) * next(draws) if kind in NOISY else y
        x = np.where(given, z, n * y)
    return x, asked


SCRIPTS = {
    "the start": (),
    "one step": (Move(1.0, 0.7),),
    "uneven steps": (Move(1.0, 0.7), Move(0.7, 0.2), Move(0.2, 0.15), Move(0.15, 0.02)),
    "to the end": (Move(0.3, 0.1), Move(0.1, 0.004), Move(0.004, 0.0)),
    "up": (Move(0.1, 0.4),),
    "up between steps": (Move(0.4, 0.2), Move(0.2, 0.1), Move(0.1, 0.3), Move(0.3, 0.15), Move(0.15, 0.1)),
    "Langevin": (Move(0.2, 0.2, 0.1),),
    "Langevin between steps": (Move(0.4, 0.2), Move(0.2, 0.2, 0.3), Move(0.2, 0.1), Move(0.1, 0.03)),
    "up to the top": (Move(0.9, 1.0), Move(1.0, 0.5)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("moves", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize("given", [(False,) * 4, (False, True, True, False)], ids=["joint", "conditional"])
def test_each_kind_of_move_is_its_formula(kind, moves, given):
    """With the very noise that `Noise` gives, move after move, and the times at which the score is asked."""
    count, dim, asked = 5, 4, []
    z = np.random.default_rng(0).normal(size=(count, dim))
    source = noise(count, seed=3)
    draws = (source.normal(dim).double().numpy() for _ in range(99))

    def score(x, t):
        asked.append(float(t))
        return torch.from_numpy(np.where(given, np.nan, wavy(x.numpy(), float(t))))

    mask = torch.tensor([0.0 if g else 1.0 for g in given])
    x = walk(score, torch.from_numpy(z), mask, sampler=Script(kind, moves), sde=SDE, noise=noise(count, seed=3))
    expected, times_asked = by_hand(kind, moves, np.array(given), z, draws)
    np.testing.assert_allclose(x.numpy(), expected, rtol=2e-6, atol=2e-6)
    assert np.array_equal(x.numpy()[:, given], z[:, given])
    assert asked == pytest.approx(times_asked, abs=1e-7)


# --------------------------------------------------------------------------------- samples and batches

CORRECTED = (
    *(Sampler(kind=kind, steps=6) for kind in KINDS),
    *(replace(FEW_CALLS, kind=kind) for kind in KINDS),
    Sampler(kind="heun", steps=6, churn=0.3),
    Sampler(kind="dpm2m", steps=9, langevin=(Langevin(low=0.01, high=0.4, steps=2, size=0.1),)),
)


@pytest.mark.parametrize("sampler", CORRECTED, ids=lambda s: f"{s.kind}-{s.calls}")
def test_batches_do_not_change_samples_and_every_call_is_counted(sampler):
    """The score is asked as often as `calls` says, and a sample is the same in a batch of 1, 7 or 30."""
    asked = []

    def score(x, t):
        asked.append(float(t))
        return torch.from_numpy(wavy(x.double().numpy(), float(t)))

    def draw(count, source):
        z = torch.zeros(count, 3, dtype=torch.float64)
        return walk(score, z, torch.ones(3), sampler=sampler, sde=SDE, noise=source)

    whole = draw(30, noise(30))
    assert len(asked) == sampler.calls
    for size in (1, 7):
        keys = torch.Generator().manual_seed(0)
        parts = [draw(min(size, 30 - start), Noise(keys, min(size, 30 - start))) for start in range(0, 30, size)]
        assert torch.allclose(torch.cat(parts), whole, atol=1e-6)
    assert len(torch.unique(whole[:, 0])) == 30
    assert not torch.equal(whole, draw(30, noise(30, seed=1)))


SPREADS = (1.0, 0.36, 0.1, 0.01)
FEW_SDE = replace(FEW_CALLS, kind="sde2m")
BIAS = {
    "few calls": (FEW_CALLS, 0.001, (-1.03, -0.12, 1.81, -0.55)),
    "few calls, SDE": (FEW_SDE, 1e-4, (2.75, 3.18, 15.11, 9.71)),
    "40 calls of the laptop": (FORTY, 1e-4, (-22.11, -24.17, -13.55, -5.60)),
    "20 calls": (Sampler(kind="dpm2m", steps=20), 0.006, (2.39, 2.25, 1.67, -4.56)),
    "20 calls, SDE": (Sampler(kind="sde2m", steps=20), 1e-4, (5.79, 5.49, 4.41, -4.92)),
    "20 calls, first order": (Sampler(kind="ddim", steps=20), 0.006, (-20.64, -20.70, -20.95, -23.90)),
}
"""Sampler; how far the mean of N(0.8, v) may be off, in standard deviations; by how many % the variance v is."""


@pytest.mark.parametrize(("sampler", "off", "percent"), BIAS.values(), ids=BIAS)
def test_bias_with_exact_scores(sampler, off, percent):
    """What the docstrings say of the few-call samplers: those of first order shrink every variance, a temperature."""
    found = [moments(sampler, np.array([0.8]), np.array([[v]])) for v in SPREADS]
    assert max(abs(mean[0] - 0.8) / np.sqrt(v) for (mean, _), v in zip(found, SPREADS, strict=True)) < off
    shares = [100 * (c[0, 0] / v - 1) for (_, c), v in zip(found, SPREADS, strict=True)]
    assert shares == pytest.approx(percent, abs=0.03)
    if sampler == FEW_CALLS:
        assert max(map(abs, shares)) < 2
