"""Diagonal Gaussians as experts: products, mixtures and KL divergences, as pure functions.

A unimodal posterior q_m = N(mu_m, diag exp(logvar_m)) is an expert on the shared latent z. The models differ in how
they combine experts:

    product   q(z) ~ prod_m q_m(z)               Hinton, Neural Computation 2002; MVAE, MVTCAE
    mixture   q(z) = 1/K sum_k q_k(z)            MMVAE; MoPoE, over products

Everything is float (B, latent) in and out, in the dtype of the inputs; divergences are (B,), in nats.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from mmbench.modality import subsets
from mmbench.seeding import Noise

__all__ = [
    "Gaussian",
    "choose",
    "kl",
    "kl_to_standard",
    "mean_present",
    "mixture",
    "product",
    "stratified",
    "stratified_present",
    "subset_products",
    "whole_subsets",
]


class Gaussian(NamedTuple):
    """N(mu, diag exp(logvar)), one for each row of the batch."""

    mu: Tensor
    """Means (B, latent)."""
    logvar: Tensor
    """Logarithms of the variances (B, latent)."""

    def sample(self, eps: Tensor) -> Tensor:
        """z = mu + exp(logvar / 2) eps, for standard normal noise eps (B, latent)."""
        return self.mu + torch.exp(0.5 * self.logvar) * eps


def product(experts: Collection[Gaussian], *, prior: bool, present: Sequence[Tensor] | None = None) -> Gaussian:
    """Product of experts; with `prior`, N(0, I) is one more expert. With `present`, bool (B,) for each expert, only of
    those that are there: without a prior at least one must be.

    With the precisions T_m = 1 / exp(logvar_m):  mu = sum_m T_m mu_m / sum_m T_m,  var = 1 / sum_m T_m.

    Computed from log T_m by softmax and logsumexp, which can neither overflow nor divide by zero; so the 1e-8 that the
    public code adds to each variance is not needed here, and the two differ by a relative 1e-8 / var_m in T_m.
    """
    mu = torch.stack([q.mu for q in experts])
    log_precision = torch.stack([-q.logvar for q in experts])
    if present is not None:
        log_precision = log_precision.masked_fill(~torch.stack([*present])[..., None], -torch.inf)
    if prior:
        standard = torch.zeros_like(mu[:1])
        mu, log_precision = torch.cat((mu, standard)), torch.cat((log_precision, standard))
    share = torch.softmax(log_precision, dim=0)  # T_m / sum_m T_m
    return Gaussian((share * mu).sum(0), -torch.logsumexp(log_precision, dim=0))


def subset_products(experts: Sequence[Gaussian]) -> Gaussian:
    """The products of all non-empty subsets of M experts, without a prior: (2^M - 1, B, latent), in the order of
    `subsets`.

    Each expert joins all products of those before it at once: M steps for 2^M - 1 products, two numbers each.
    """
    mu, logvar = experts[0].mu[None], experts[0].logvar[None]
    for q in experts[1:]:
        joined = _joined(Gaussian(mu, logvar), q)
        mu = torch.cat((mu, q.mu[None], joined.mu))
        logvar = torch.cat((logvar, q.logvar[None], joined.logvar))
    order = binary_order(len(experts), mu.device)
    return Gaussian(mu[order], logvar[order])


def whole_subsets(present: Sequence[Tensor]) -> Tensor:
    """Which of the same subsets have all of their M members, bool (B,) each: (2^M - 1, B)."""
    found = present[0][None]
    for there in present[1:]:
        found = torch.cat((found, there[None], found & there))
    return found[binary_order(len(present), found.device)]


@cache
def binary_order(count: int, device: torch.device) -> Tensor:
    """The places of `subsets` among the binary numbers from 1 on; made once, to be read only."""
    with torch.inference_mode(False):
        return torch.tensor([sum(1 << k for k in S) - 1 for S in subsets(range(count))], device=device)


def _joined(p: Gaussian, q: Gaussian) -> Gaussian:
    """The product of two experts, in the logarithms as `product` is."""
    log_precision = torch.logaddexp(-p.logvar, -q.logvar)
    share = torch.exp(-q.logvar - log_precision)
    return Gaussian(p.mu + share * (q.mu - p.mu), -log_precision)


def mixture(experts: Sequence[Gaussian]) -> Gaussian:
    """Stratified uniform mixture: consecutive chunks of floor(B / K) rows, chunk k from expert k; the
    last takes the rest (256 rows of 3 experts: 85, 85, 86)."""
    return stratified(Gaussian(torch.stack([q.mu for q in experts]), torch.stack([q.logvar for q in experts])))


def stratified(q: Gaussian) -> Gaussian:
    """The same of K experts in one tensor, (K, B, latent) -> (B, latent)."""
    count, rows = q.mu.shape[:2]
    row = torch.arange(rows, device=q.mu.device)
    expert = (row // max(1, rows // count)).clamp(max=count - 1) if rows >= count else torch.full_like(row, count - 1)
    return Gaussian(q.mu[expert, row], q.logvar[expert, row])


def stratified_present(q: Gaussian, there: Tensor) -> Gaussian:
    """The same of the experts that each row has, `there` bool (K, B), at least one: of a row with n of them, by its
    place in the batch, the one that the mixture of n experts takes there."""
    rows = there.shape[1]
    count = there.sum(0)
    size = (rows // count).clamp(min=1)
    row = torch.arange(rows, device=there.device)
    place = torch.where(count > rows, count - 1, torch.minimum(row // size, count - 1))
    chosen = (there & (there.cumsum(0) == place + 1)).to(torch.uint8).argmax(0)
    return Gaussian(q.mu[chosen, row], q.logvar[chosen, row])


def choose(candidates: Tensor, noise: Noise) -> Tensor:
    """One of K candidates for each sample, uniformly: (K, B, latent) -> (B, latent).

    Generation draws the component of a mixture here and not by chunks, so that a sample does not depend on its place in
    the batch.
    """
    component = (noise.bits(1)[:, 0] >> 32 & 0x7FFFFFFF) % len(candidates)
    return candidates[component, torch.arange(len(component), device=component.device)]


def mean_present(values: Tensor, there: Tensor) -> Tensor:
    """The mean of values (K, B) of the experts that each row has, `there` bool (K, B), at least one: (B,)."""
    return values.masked_fill(~there, 0.0).sum(0) / there.sum(0)


def kl_to_standard(q: Gaussian) -> Tensor:
    """KL(q || N(0, I)) = -1/2 sum (1 + logvar - mu^2 - exp(logvar)): (B,)."""
    return -0.5 * (1 + q.logvar - q.mu.square() - q.logvar.exp()).sum(-1)


def kl(q: Gaussian, p: Gaussian) -> Tensor:
    """KL(q || p) = -1/2 sum (1 - v_q / v_p - (mu_q - mu_p)^2 / v_p + log v_q - log v_p): (B,)."""
    log_ratio = q.logvar - p.logvar
    distance = (q.mu - p.mu).square() * torch.exp(-p.logvar)
    return -0.5 * (1 - log_ratio.exp() - distance + log_ratio).sum(-1)
