"""The pure functions on Gaussians, each against a formula in NumPy or an independent library."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from mmbench.seeding import Noise
from mmbench_baselines.experts import (
    Gaussian,
    choose,
    kl,
    kl_to_standard,
    mixture,
    product,
    stratified,
    stratified_present,
)
from mmbench_baselines.mmvae_dreg import laplace


def gaussian(seed: int, rows: int = 6, latent: int = 4) -> Gaussian:
    g = torch.Generator().manual_seed(seed)
    mu, logvar = (torch.randn(rows, latent, generator=g, dtype=torch.float64) for _ in range(2))
    return Gaussian(mu, 2 * logvar)


def published_product(experts: list[Gaussian], prior: bool, floor: float) -> tuple[Tensor, Tensor]:
    """T_m = 1 / (exp(logvar_m) + floor), the prior with mu = 0 and logvar = 0: as printed, with floor = 1e-8."""
    if prior:
        experts = [*experts, Gaussian(torch.zeros_like(experts[0].mu), torch.zeros_like(experts[0].mu))]
    T = [1 / (q.logvar.exp() + floor) for q in experts]
    precision = torch.stack(T).sum(0)
    return sum(t * q.mu for t, q in zip(T, experts, strict=True)) / precision, 1 / precision  # type: ignore


@pytest.mark.parametrize("prior", [False, True])
@pytest.mark.parametrize("M", [1, 2, 3])
def test_product_is_the_published_one(M: int, prior: bool) -> None:
    experts = [gaussian(m) for m in range(M)]
    q = product(experts, prior=prior)
    for floor, rtol in ((0.0, 1e-12), (1e-8, 1e-5)):
        mu, var = published_product(experts, prior, floor)
        torch.testing.assert_close(q.mu, mu, rtol=rtol, atol=rtol)
        torch.testing.assert_close(q.logvar, var.log(), rtol=rtol, atol=rtol)


def test_product_is_the_normalised_product_of_densities() -> None:
    """prod_m N(z; mu_m, v_m) N(z; 0, 1) / N(z; mu, v) is the same number for every z."""
    experts = [gaussian(m, rows=1, latent=1) for m in range(2)]
    q = product(experts, prior=True)
    z = torch.linspace(-3, 3, 7, dtype=torch.float64)
    factors = [*experts, Gaussian(torch.zeros_like(q.mu), torch.zeros_like(q.mu))]
    log_density = sum(Normal(f.mu, f.logvar.mul(0.5).exp()).log_prob(z) for f in factors)
    constant = log_density - Normal(q.mu, q.logvar.mul(0.5).exp()).log_prob(z)  # type: ignore[operator]
    torch.testing.assert_close(constant, constant[:, :1].expand_as(constant), rtol=1e-10, atol=1e-10)


def test_product_of_extreme_experts_is_finite() -> None:
    """A variance of exp(-300) or exp(300) has no reciprocal in float32; the product is the sharper expert."""
    one = torch.ones(1, 1)
    experts = [Gaussian(3 * one, -300 * one), Gaussian(-one, 300 * one)]
    q = product(experts, prior=True)
    assert q.mu.item() == pytest.approx(3.0)
    assert q.logvar.item() == pytest.approx(-300.0)


def test_sample_is_reparametrised() -> None:
    q, eps = gaussian(0), torch.full((6, 4), 1.5, dtype=torch.float64)
    torch.testing.assert_close(q.sample(eps), q.mu + 1.5 * q.logvar.exp().sqrt())


def test_divergences_are_those_of_torch_and_of_the_closed_form() -> None:
    """KL(q||p) = -1/2 sum (1 - v_q/v_p - (mu_q - mu_p)^2/v_p + log v_q - log v_p); p = N(0, I) as a special case."""
    q, p = gaussian(0), gaussian(1)
    as_torch = [Normal(g.mu, g.logvar.mul(0.5).exp()) for g in (q, p)]
    torch.testing.assert_close(kl(q, p), kl_divergence(*as_torch).sum(-1), rtol=1e-12, atol=0)
    (mq, lq), (mp, lp) = ((g.mu.numpy(), g.logvar.numpy()) for g in (q, p))
    ratio = np.exp(lq) / np.exp(lp)
    closed = -0.5 * (1 - ratio - (mq - mp) ** 2 / np.exp(lp) + lq - lp).sum(1)
    np.testing.assert_allclose(kl(q, p).numpy(), closed, rtol=1e-12)
    standard = Gaussian(torch.zeros_like(q.mu), torch.zeros_like(q.mu))
    torch.testing.assert_close(kl_to_standard(q), kl(q, standard), rtol=1e-12, atol=0)
    np.testing.assert_allclose(kl_to_standard(q).numpy(), -0.5 * (1 + lq - mq**2 - np.exp(lq)).sum(1), rtol=1e-12)


@pytest.mark.parametrize(
    ("count", "parts", "sizes"),
    [(256, 3, [85, 85, 86]), (256, 2, [128, 128]), (9, 7, [1] * 6 + [3]), (3, 7, [0] * 6 + [3]), (5, 1, [5])],
)
def test_chunks_of_a_mixture(count: int, parts: int, sizes: list[int]) -> None:
    """The k-th expert's means are k; the same by the way of incomplete tuples where nothing is missing."""
    q = Gaussian(*torch.arange(parts).double()[:, None, None].expand(2, parts, count, 1))
    expected = [k for k, size in enumerate(sizes) for _ in range(size)]
    assert stratified(q).mu[:, 0].tolist() == expected
    assert stratified_present(q, torch.ones(parts, count, dtype=torch.bool)).mu[:, 0].tolist() == expected


def test_mixture_takes_consecutive_chunks() -> None:
    """Rows 0-84, 85-169 and 170-255 of 256 come from the first, second and third expert."""
    experts = [gaussian(k, rows=256) for k in range(3)]
    q = mixture(experts)
    for k, rows in enumerate((slice(0, 85), slice(85, 170), slice(170, 256))):
        assert torch.equal(q.mu[rows], experts[k].mu[rows])
        assert torch.equal(q.logvar[rows], experts[k].logvar[rows])


def test_choose_is_uniform_and_belongs_to_the_sample() -> None:
    n = 6000
    candidates = torch.arange(3.0)[:, None, None].expand(3, n, 2)
    picked = choose(candidates, Noise(torch.Generator().manual_seed(0), n))
    assert picked.shape == (n, 2)
    assert torch.equal(picked[:, 0], picked[:, 1])
    counts = torch.bincount(picked[:, 0].long(), minlength=3)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3
    generator = torch.Generator().manual_seed(0)
    parts = [choose(candidates[:, :size], Noise(generator, size)) for size in (1, 999, 5000)]
    assert torch.equal(torch.cat(parts), picked)


def test_laplace_noise_has_the_laplace_distribution() -> None:
    n = torch.randn(4, 50_000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert stats.kstest(laplace(n).numpy(), "laplace").pvalue > 1e-3
