"""The SDE against SciPy's quadrature and an ODE solver; the time path against the published counts."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from mmbench.errors import ConfigError
from mmbench_mld.schedule import VPSDE, TimePath

SDE = VPSDE()


@pytest.mark.parametrize("t", [1e-6, 1 / 250, 0.1, 0.5, 1.0])
def test_kernel_solves_the_sde(t):
    """dm/dt = -beta m / 2 and d(sigma^2)/dt = beta (1 - sigma^2) give m = exp(-int beta / 2), sigma^2 = 1 - m^2."""
    integral, _ = quad(lambda s: 0.1 + 19.9 * s, 0, t)
    x = torch.tensor(t, dtype=torch.float64)
    assert SDE.mean(x).item() == pytest.approx(np.exp(-integral / 2), rel=1e-12)
    assert SDE.sigma(x).item() == pytest.approx(np.sqrt(-np.expm1(-integral)), rel=1e-12)


def test_published_values():
    """methods: m(1) = 0.00657, sigma(1) = 0.99998, sigma(1/250) = 0.02364, sigma(1e-6) = 3.2e-4, in float32 too."""
    t = torch.tensor([1.0, 1 / 250, 1e-6])
    assert SDE.mean(t)[0].item() == pytest.approx(0.00657, abs=5e-6)
    assert SDE.sigma(t).tolist() == pytest.approx([0.99998, 0.02364, 3.16e-4], rel=1e-3)


def test_papers_resampling_path():
    path = TimePath(steps=250, jump=10, resample=10).indices()
    moves = np.diff(path)
    assert len(path) == 4571
    assert (moves == -1).sum() == 2410 == TimePath().calls
    assert (moves == 1).sum() == 2160
    assert path[0] == 250
    assert path[-1] == 0
    assert set(moves) == {-1, 1}


def test_order_of_the_first_jumps():
    """250 down to 231, up to 241, down to 231, ... nine times, and on to 221."""
    path = TimePath().indices()
    down, up, again = list(range(250, 230, -1)), list(range(232, 242)), list(range(240, 230, -1))
    assert path[: 20 + 9 * 20] == down + 9 * (up + again)
    assert path[20 + 9 * 20 :][:10] == list(range(230, 220, -1))


def test_every_stretch_is_walked_r_times():
    path = np.array(TimePath(steps=50, jump=5, resample=4).indices())
    down = path[:-1][np.diff(path) == -1]
    counts = {k: int((down == k).sum()) for k in range(1, 51)}
    once = {1, 47, 48, 49, 50}  # above the first jump's top and below the last jump's bottom
    assert counts == {k: 1 if k in once else 4 for k in range(1, 51)}


def test_plain_grid():
    assert TimePath(steps=4, resample=1).indices() == [4, 3, 2, 1, 0]
    assert TimePath(steps=4, resample=1).calls == 4


@pytest.mark.parametrize("bad", [{"steps": 0}, {"jump": 0}, {"resample": 0}, {"steps": 5, "jump": 5}])
def test_impossible_paths_are_refused(bad):
    with pytest.raises(ConfigError):
        TimePath(**bad)


@pytest.mark.parametrize("t", [1e-6, 1e-3, 1 / 250, 0.1, 0.5, 1.0])
def test_log_snr_and_its_inverse(t):
    """log(m / sigma) in closed form, m^2 = exp(-B) and sigma^2 = 1 - exp(-B); and the time comes back."""
    expected = -0.5 * np.log(np.expm1(0.1 * t + 9.95 * t**2))
    assert SDE.log_snr(t) == pytest.approx(expected, rel=1e-10)
    assert SDE.time(SDE.log_snr(t)) == pytest.approx(t, rel=1e-9)
    mean, sigma = SDE.kernel(t)
    assert mean == pytest.approx(np.exp(-0.05 * t - 4.975 * t**2), rel=1e-12)
    assert sigma == pytest.approx(np.sqrt(-np.expm1(-0.1 * t - 9.95 * t**2)), rel=1e-12)


def test_the_kernel_at_0_is_the_data():
    assert SDE.kernel(0.0) == (1.0, 0.0)


def test_time_without_a_slope():
    """beta constant, 2: B = 2 t."""
    sde = VPSDE(beta_min=2.0, beta_max=2.0)
    assert sde.time(-0.5 * np.log(np.expm1(0.6))) == pytest.approx(0.3, rel=1e-12)
