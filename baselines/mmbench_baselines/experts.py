"""Diagonal Gaussians as experts: products, mixtures and KL divergences, as pure functions.

A unimodal posterior q_m = N(mu_m, diag exp(logvar_m)) is an expert on the shared latent z. The models differ in how
they combine experts:

    product   q(z) ~ prod_m q_m(z)               Hinton, Neural Computation 2002; MVAE, MVTCAE
    mixture   q(z) = 1/K sum_k q_k(z)            MMVAE; MoPoE, over products

Everything is float (B, latent) in and out, in the dtype of the inputs; divergences are (B,), in nats.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmbench.modality import subsets
from mmbench.seeding import Noise

__all__ = [
    "Gaussian",
    "choose",
    "chunk_sizes",
    "kl",
    "kl_to_standard",
    "mixture",
    "product",
    "stratified",
    "subset_products",
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


def product(experts: Collection[Gaussian], *, prior: bool) -> Gaussian:
    """Product of experts; with `prior`, N(0, I) is one more expert.

    With the precisions T_m = 1 / exp(logvar_m):  mu = sum_m T_m mu_m / sum_m T_m,  var = 1 / sum_m T_m.

    Computed from log T_m by softmax and logsumexp, which can neither overflow nor divide by zero; so the 1e-8 that the
    public code adds to each variance is not needed here, and the two differ by a relative 1e-8 / var_m in T_m.
    """
    mu = torch.stack([q.mu for q in experts])
    log_precision = torch.stack([-q.logvar for q in experts])
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
    order = [sum(1 << k for k in S) - 1 for S in subsets(range(len(experts)))]  # from that of binary numbers
    return Gaussian(mu[order], logvar[order])


def _joined(p: Gaussian, q: Gaussian) -> Gaussian:
    """The product of two experts, in the logarithms as `product` is."""
    log_precision = torch.logaddexp(-p.logvar, -q.logvar)
    share = torch.exp(-q.logvar - log_precision)
    return Gaussian(p.mu + share * (q.mu - p.mu), -log_precision)


def chunk_sizes(count: int, parts: int) -> list[int]:
    """Rows of `parts` consecutive chunks: floor(count / parts), the last takes the rest (256 in 3: 85, 85, 86)."""
    size = count // parts
    return [size] * (parts - 1) + [count - size * (parts - 1)]


def mixture(experts: Sequence[Gaussian]) -> Gaussian:
    """Stratified uniform mixture: consecutive chunks of the batch, chunk k from expert k (see `chunk_sizes`)."""
    return stratified(Gaussian(torch.stack([q.mu for q in experts]), torch.stack([q.logvar for q in experts])))


def stratified(q: Gaussian) -> Gaussian:
    """The same of K experts in one tensor, (K, B, latent) -> (B, latent)."""
    count, rows = q.mu.shape[:2]
    sizes = torch.tensor(chunk_sizes(rows, count), device=q.mu.device)
    expert = torch.repeat_interleave(torch.arange(count, device=sizes.device), sizes, output_size=rows)
    row = torch.arange(rows, device=sizes.device)
    return Gaussian(q.mu[expert, row], q.logvar[expert, row])


def choose(candidates: Tensor, noise: Noise) -> Tensor:
    """One of K candidates for each sample, uniformly: (K, B, latent) -> (B, latent).

    Generation draws the component of a mixture here and not by chunks, so that a sample does not depend on its place in
    the batch.
    """
    component = (noise.bits(1)[:, 0] >> 32 & 0x7FFFFFFF) % len(candidates)
    return candidates[component, torch.arange(len(component), device=component.device)]


def kl_to_standard(q: Gaussian) -> Tensor:
    """KL(q || N(0, I)) = -1/2 sum (1 + logvar - mu^2 - exp(logvar)): (B,)."""
    return -0.5 * (1 + q.logvar - q.mu.square() - q.logvar.exp()).sum(-1)


def kl(q: Gaussian, p: Gaussian) -> Tensor:
    """KL(q || p) = -1/2 sum (1 - v_q / v_p - (mu_q - mu_p)^2 / v_p + log v_q - log v_p): (B,)."""
    log_ratio = q.logvar - p.logvar
    distance = (q.mu - p.mu).square() * torch.exp(-p.logvar)
    return -0.5 * (1 - log_ratio.exp() - distance + log_ratio).sum(-1)
