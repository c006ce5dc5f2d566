"""Loss, mask, Omega and the choice of A2, against Equation 9 and Algorithm 1 written out in NumPy."""

from collections import Counter

import numpy as np
import pytest
import torch

from mmbench_mld.diffusion import choose_given, masked_multi_time_loss, proper_subsets
from mmbench_mld.latents import Layout
from mmbench_mld.schedule import VPSDE
from mmbench_mld.score import ScoreNetwork

LAYOUT = Layout({"mnist": 16, "svhn": 64})
THREE = Layout({"a": 2, "b": 3, "c": 5})
GIVEN = [(), *proper_subsets(THREE.names)]


def batch(dim, n=64, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=g), torch.rand(n, generator=g), torch.randn(n, dim, generator=g)


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_omega_balances_the_sizes(given):
    """Equation 9: Omega = 1 + dim(A2) / dim(A1), so Omega dim(A1) = D."""
    frozen = sum(THREE.sizes[name] for name in given)
    assert THREE.omega(given) == pytest.approx(1 + frozen / (10 - frozen))
    assert THREE.omega(given) * (10 - frozen) == pytest.approx(THREE.dim)


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_loss_against_numpy(given):
    """Algorithm 1 with o(r, tau) = W r + V tau, written out element by element."""
    rng = np.random.default_rng(0)
    W, V = rng.normal(size=(10, 10)), rng.normal(size=(3, 10))
    z, t, eps = (x.double() for x in batch(10, 8))
    expected = 0.0
    for i in range(8):
        beta_integral = 0.1 * t[i].item() + 19.9 * t[i].item() ** 2 / 2
        m, sigma = np.exp(-beta_integral / 2), np.sqrt(1 - np.exp(-beta_integral))
        r, tau, diffused, k = np.empty(10), np.empty(3), np.zeros(10, bool), 0
        for j, (name, size) in enumerate(THREE.sizes.items()):
            cut = slice(k, k + size)
            diffused[cut] = name not in given
            tau[j] = t[i].item() if name not in given else 0.0
            r[cut] = m * z[i, cut] + sigma * eps[i, cut] if name not in given else z[i, cut]
            k += size
        residual = (r @ W + tau @ V + eps[i].numpy())[diffused]
        expected += (residual**2).sum() * (10 / diffused.sum()) / 8

    def network(r, tau):
        # the loss casts the network's answer to float32, so hand it a subclass-free float32-safe answer
        return r @ torch.from_numpy(W) + tau @ torch.from_numpy(V)

    got = masked_multi_time_loss(network, z, t, eps, given, THREE, VPSDE())
    assert got.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("given", [(), ("mnist",), ("svhn",)], ids=str)
def test_initial_loss_is_dim(given):
    """The output layer starts at zero: the expected loss is D = 80 for every A1 (variance 2 D Omega / n)."""
    network = ScoreNetwork(80, 2, width=32, time=16, blocks=2, groups=8)
    n = 50_000
    z, t, eps = batch(80, n)
    loss = masked_multi_time_loss(network, z, t, eps, given, LAYOUT, VPSDE()).item()
    assert loss == pytest.approx(80.0, abs=5 * np.sqrt(2 * 80 * LAYOUT.omega(given) / n))


def test_given_modalities_are_neither_diffused_nor_scored():
    seen = {}

    def network(r, tau):
        seen["r"], seen["tau"] = r, tau
        return torch.full_like(r, 7.0)

    z, t, eps = batch(10)
    loss = masked_multi_time_loss(network, z, t, eps, ("b",), THREE, VPSDE())
    assert torch.equal(seen["r"][:, 2:5], z[:, 2:5])
    assert not torch.allclose(seen["r"][:, :2], z[:, :2])
    assert torch.equal(seen["tau"][:, 1], torch.zeros(64))
    assert torch.equal(seen["tau"][:, 0], t)
    kept = torch.cat((eps[:, :2], eps[:, 5:]), dim=1)
    assert loss.item() == pytest.approx((10 / 7) * (7.0 + kept).square().sum(1).mean().item(), rel=1e-5)


@pytest.mark.parametrize("p_joint", [0.0, 0.3, 0.5, 1.0])
def test_choice_of_a2(p_joint):
    """Empty with p_joint, the 2^M - 2 proper subsets evenly otherwise, the full set never; 4.5 standard errors."""
    n, g = 20_000, torch.Generator().manual_seed(0)
    counts = Counter(choose_given(THREE.names, p_joint, g) for _ in range(n))
    assert THREE.names not in counts
    for given in GIVEN:
        p = p_joint if given == () else (1 - p_joint) / 6
        assert counts[given] / n == pytest.approx(p, abs=4.5 * np.sqrt(p * (1 - p) / n))
