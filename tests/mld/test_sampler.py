"""The sampler with exact scores of Gaussians, where the answer is known; and its moves one by one."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from mmbench.seeding import Noise
from mmbench_mld.sampler import sample
from mmbench_mld.schedule import VPSDE, TimePath

SDE = VPSDE()
LINEAR, RESAMPLING = TimePath(resample=1), TimePath()


def noise(count, seed=0):
    return Noise(torch.Generator().manual_seed(seed), count)


def gaussian_score(mu, var):
    """Of q(r, t) = N(m mu, m^2 var + 1 - m^2), the diffused N(mu, var)."""

    def score(x, t):
        m = SDE.mean(t)
        return -(x - m * mu) / (m * m * var + 1 - m * m)

    return score


def exact_moments(mu, var, path):
    """Mean and variance after every Euler-Maruyama move, in NumPy: each move is affine with added Gaussian noise."""
    mean, variance, dt = 0.0, 1.0, 1.0 / path.steps
    indices = path.indices()
    for a, b in zip(indices, indices[1:], strict=False):
        t = a / path.steps
        beta = 0.1 + 19.9 * t
        m = np.exp(-t * t * 19.9 / 4 - 0.05 * t)
        if b > a:
            mean, variance = mean * (1 - beta * dt / 2), variance * (1 - beta * dt / 2) ** 2 + beta * dt
        else:
            spread = m * m * var + 1 - m * m
            gain = 1 + dt * (beta / 2 - beta / spread)
            mean, variance = mean * gain + dt * beta * m * mu / spread, variance * gain**2 + (a > 1) * beta * dt
    return mean, variance


TABLE = [
    (RESAMPLING, 0.0, 1.0, -0.000, 0.999),
    (RESAMPLING, 0.8, 0.36, 0.813, 0.348),
    (RESAMPLING, 0.8, 0.01, 0.801, 0.0093),
    (RESAMPLING, 2.0, 0.0025, 2.001, 0.00204),
    (LINEAR, 0.0, 1.0, 0.002, 1.003),
    (LINEAR, 0.8, 0.36, 0.804, 0.362),
    (LINEAR, 0.8, 0.01, 0.8005, 0.0095),
    (LINEAR, 2.0, 0.0025, 2.001, 0.00207),
]
"""methods 5.7: path, mean and variance of the target; mean and variance measured there with 200,000 samples."""


@pytest.mark.parametrize(("path", "mu", "var", "mean", "variance"), TABLE)
def test_recursion_gives_the_published_table(path, mu, var, mean, variance):
    """The exact recursion agrees with the table up to its Monte Carlo error and printed digits."""
    got_mean, got_variance = exact_moments(mu, var, path)
    assert got_mean == pytest.approx(mean, abs=0.006)
    assert got_variance == pytest.approx(variance, rel=0.035)


@pytest.mark.parametrize(("path", "mu", "var", "mean", "variance"), TABLE)
def test_sampler_follows_the_recursion(path, mu, var, mean, variance):
    """4,000 samples: five standard errors of mean and variance around the exact discrete law."""
    n = 4_000
    x = sample(gaussian_score(mu, var), torch.zeros(n, 1), torch.ones(1), path=path, sde=SDE, noise=noise(n))
    exact_mean, exact_variance = exact_moments(mu, var, path)
    assert x.mean().item() == pytest.approx(exact_mean, abs=5 * np.sqrt(exact_variance / n))
    assert x.var().item() == pytest.approx(exact_variance, rel=5 * np.sqrt(2 / n))


def test_given_latents_stay_bit_equal_and_steer_the_rest():
    """Bivariate Gaussian with correlation rho: Z1 | Z2 = z ~ N(rho z, 1 - rho^2)."""
    rho, n = 0.9, 10_000
    given = torch.randn(n, generator=torch.Generator().manual_seed(1))
    z = torch.stack((torch.full((n,), 123.0), given), dim=1)

    def score(x, t):
        assert torch.equal(x[:, 1], given), "the network must see the clean conditioning latents"
        inner = gaussian_score(rho * x[:, 1], 1 - rho**2)(x[:, 0], t)
        return torch.stack((inner, torch.full_like(inner, torch.nan)), dim=1)

    path = TimePath(steps=250, jump=10, resample=2)
    x = sample(score, z, torch.tensor([1.0, 0.0]), path=path, sde=SDE, noise=noise(n))
    assert torch.equal(x[:, 1], given)
    slope, offset = np.polyfit(given.numpy(), x[:, 0].numpy(), 1)
    assert slope == pytest.approx(rho, abs=0.02)
    assert offset == pytest.approx(0.0, abs=0.02)
    assert (x[:, 0] - rho * given).var().item() == pytest.approx(1 - rho**2, rel=0.05)


def test_no_noise_in_the_last_step():
    """One step from a known start: x + dt (beta/2 x + beta s) without noise."""

    def score(x, t):
        return torch.zeros_like(x)

    x = sample(score, torch.zeros(3, 2), torch.ones(2), path=TimePath(steps=1, resample=1), sde=SDE, noise=noise(3))
    assert torch.allclose(x, noise(3).normal(2) * (1 + 0.5 * 20.0))


@pytest.mark.parametrize("size", [1, 7, 100])
def test_batches_do_not_change_samples(size):
    score = gaussian_score(0.8, 0.36)
    path = TimePath(steps=20, jump=5, resample=2)
    whole = sample(score, torch.zeros(100, 3), torch.ones(3), path=path, sde=SDE, noise=noise(100))
    keys, parts = torch.Generator().manual_seed(0), []
    for start in range(0, 100, size):
        n = min(size, 100 - start)
        parts.append(sample(score, torch.zeros(n, 3), torch.ones(3), path=path, sde=SDE, noise=Noise(keys, n)))
    assert torch.allclose(torch.cat(parts), whole, atol=1e-6)


# --------------------------------------------------------------------------------- its moves, one by one


@dataclass(frozen=True)
class Moves:
    """A time path of the given grid indices."""

    visited: tuple[int, ...]
    steps: int = 250

    def indices(self):
        return list(self.visited)


def wavy(x, t):
    """A score that is no score of anything: it depends on x and t, differs from one latent to the next, and pulls to
    the middle, so that many moves do not blow up float32's rounding."""
    return np.sin(3 * x) * (1 + t) / 10 + np.arange(x.shape[1]) - x


def by_hand(visited, given, z, draws, steps=250):
    """Euler-Maruyama in float64, dt = 1/steps, beta(t) = 0.1 + 19.9 t at the time t = a / steps where a move starts:

    down  x + dt [beta/2 x + beta s(x, t)] + sqrt(beta dt) xi, without xi from a = 1;   up  x - dt beta/2 x + sqrt(beta
    dt) xi;   the given latents stand still. `draws` yields the noise: the start, then one of each move that has noise.
    """
    x = np.where(given, z, next(draws))
    for a, b in zip(visited, visited[1:], strict=False):
        t, dt = a / steps, 1 / steps
        beta = 0.1 + 19.9 * t
        if b > a:
            moved = x - dt * beta / 2 * x + np.sqrt(beta * dt) * next(draws)
        else:
            moved = x + dt * (beta / 2 * x + beta * wavy(x, t))
            moved = moved + np.sqrt(beta * dt) * next(draws) if a > 1 else moved
        x = np.where(given, z, moved)
    return x


KINDS = {
    "the start": (250,),
    "down from the top": (250, 249),
    "down": (137, 136),
    "down from index 2": (2, 1),
    "the last, without noise": (1, 0),
    "up": (137, 138),
    "up from index 1": (1, 2),
    "up to the top": (249, 250),
    "up twice and down": (31, 32, 33, 32),
}


@pytest.mark.parametrize("visited", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("given", [(False,) * 4, (False, True, True, False)], ids=["joint", "conditional"])
def test_each_kind_of_move_is_its_formula(visited, given):
    """With the very noise that `Noise` gives, move after move, and the times at which the score is asked."""
    count, dim, asked = 5, 4, []
    z = np.random.default_rng(0).normal(size=(count, dim)).astype("float32")
    source = noise(count, seed=3)
    draws = (source.normal(dim).double().numpy() for _ in range(len(visited)))

    def score(x, t):
        asked.append(float(t))
        return torch.from_numpy(wavy(x.double().numpy(), float(t)).astype("float32"))

    mask = torch.tensor([0.0 if g else 1.0 for g in given])
    x = sample(score, torch.from_numpy(z), mask, path=Moves(visited), sde=SDE, noise=noise(count, seed=3))
    expected = by_hand(visited, np.array(given), z.astype("float64"), draws)
    np.testing.assert_allclose(x.numpy(), expected, rtol=2e-6, atol=2e-6)
    assert np.array_equal(x.numpy()[:, given], z[:, given])
    down = [a / 250 for a, b in zip(visited, visited[1:], strict=False) if b < a]
    assert asked == pytest.approx(down, abs=1e-7)


def test_a_whole_path_is_its_moves():
    """Six steps with jumps of two: the path, the step 1/6 and the order of the noise."""
    visited, count, dim = (6, 5, 4, 3, 4, 5, 4, 3, 2, 1, 2, 3, 2, 1, 0), 7, 3
    path = TimePath(steps=6, jump=2, resample=2)
    assert tuple(path.indices()) == visited
    source = noise(count)
    draws = (source.normal(dim).double().numpy() for _ in range(len(visited)))

    def score(x, t):
        return torch.from_numpy(wavy(x.double().numpy(), float(t)).astype("float32"))

    x = sample(score, torch.zeros(count, dim), torch.ones(dim), path=path, sde=SDE, noise=noise(count))
    expected = by_hand(visited, np.zeros(dim, bool), np.zeros((count, dim)), draws, steps=6)
    np.testing.assert_allclose(x.numpy(), expected, rtol=1e-5, atol=1e-5)
