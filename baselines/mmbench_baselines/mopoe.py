"""MoPoE-VAE: a mixture of the products of experts of all subsets of the modalities.

Reference: Sutter, Daunhawer and Vogt, "Generalized multimodal ELBO", ICLR 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.abilities import Present
from mmbench.described import described
from mmbench.model import Batch
from mmbench.seeding import Noise

from .config import BetaVAEConfig
from .evidence import Evident
from .experts import (
    Gaussian,
    kl_to_standard,
    mean_present,
    product,
    stratified,
    stratified_present,
    subset_products,
    whole_subsets,
)
from .incomplete import IncompleteVAE
from .vae import report, told

__all__ = ["MoPoE", "MoPoEConfig"]


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class MoPoEConfig(BetaVAEConfig):
    """Settings of MoPoE-VAE."""

    model = "mopoe"


class MoPoE(IncompleteVAE[MoPoEConfig], Evident[MoPoEConfig]):
    """MoPoE-VAE: a mixture of the products of experts of all subsets of the modalities.

    Generalised ELBO: q(z | X) = 1 / (2^M - 1) sum_S q(z | x_S) over all non-empty subsets S.
    """

    Config = MoPoEConfig

    def loss(self, batch: Batch, generator: torch.Generator, present: Present | None = None) -> dict[str, Tensor]:
        experts = self.encode(batch)
        eps = self.draw(generator, *next(iter(experts.values())).mu.shape)
        return self.objective(batch, experts, eps, present)

    def objective(
        self, batch: Batch, experts: Mapping[str, Gaussian], eps: Tensor, present: Present | None = None
    ) -> dict[str, Tensor]:
        """sum_m w_m NLL_m(z) + beta / (2^M - 1) sum_S KL(q_S || p),  z ~ mixture of the q_S, stratified over the batch.

        Arguments:
            experts: q(z | x_m) of all modalities.
            eps: standard normal (B, latent), the noise of z.
            present: bool (B,) by modality; the subsets S are those of what is there. None for all.
        """
        q = self.posteriors(experts)
        if present is None:
            chosen, divergence = stratified(q), kl_to_standard(q).mean(0)
        else:
            there = self.subsets_there(present)
            chosen, divergence = stratified_present(q, there), mean_present(kl_to_standard(q), there)
        nlls = self.nll(batch, chosen.sample(eps), present=present)
        loss = self.weighted(nlls) + self.config.beta * divergence
        return report(loss.mean(), {**told(nlls, present), "kl": divergence})

    def subsets_there(self, present: Present) -> Tensor:
        """Which subsets each tuple has all modalities of: bool (2^M - 1, B), in the order of `subsets`."""
        return whole_subsets([present[m] for m in self.dataset.names])

    def posteriors(self, experts: Mapping[str, Gaussian]) -> Gaussian:
        """The q_S of all subsets S at once, (2^M - 1, B, latent), in the order of `subsets`."""
        every, full = subset_products(list(experts.values())), self.subset_posterior(experts)
        return Gaussian(torch.cat((every.mu[:-1], full.mu[None])), torch.cat((every.logvar[:-1], full.logvar[None])))

    def subset_posterior(self, experts: Mapping[str, Gaussian]) -> Gaussian:
        """q_S, the product of the experts in S; the prior is one more expert of the full set only (their code)."""
        return product(experts.values(), prior=len(experts) == len(self.dataset.names))

    def components(self, batch: Batch) -> Sequence[Gaussian]:
        q = self.posteriors(self.encode(batch))
        return [Gaussian(*part) for part in zip(q.mu, q.logvar, strict=True)]

    def infer(self, given: Batch, noise: Noise) -> Tensor:
        return self.subset_posterior(self.encode(given)).sample(noise.normal(self.config.latent))
