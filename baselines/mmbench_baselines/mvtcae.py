"""MVTCAE: a product of experts that is held close to each expert, from a bound on the total correlation.

Reference: Hwang, Kim, Hong and Kim, "Multi-view representation learning via total correlation objective", NeurIPS 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.abilities import Present
from mmbench.described import described
from mmbench.errors import ConfigError
from mmbench.model import Batch
from mmbench.seeding import Noise

from .config import BetaVAEConfig
from .evidence import Evident
from .experts import Gaussian, kl, kl_to_standard, product
from .incomplete import IncompleteVAE
from .vae import report, told, total

__all__ = ["MVTCAE", "MVTCAEConfig"]


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class MVTCAEConfig(BetaVAEConfig):
    """Settings of MVTCAE."""

    model = "mvtcae"

    alpha: float = 5 / 6
    """alpha in [0, 1], share of the conditional information bottlenecks KL(q || q_m) against KL(q || p)."""
    prior_expert: bool = False
    """Whether the prior is one of the experts: not in MVTCAE's own code, but in the port behind the paper's numbers."""

    def __post_init__(self) -> None:
        BetaVAEConfig.__post_init__(self)
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"alpha must lie in [0, 1], got {self.alpha}")


class MVTCAE(IncompleteVAE[MVTCAEConfig], Evident[MVTCAEConfig]):
    """MVTCAE: a product of experts that is held close to each expert (total correlation).

    q(z | X) ~ prod_m q(z | x_m).
    """

    Config = MVTCAEConfig

    def loss(self, batch: Batch, generator: torch.Generator, present: Present | None = None) -> dict[str, Tensor]:
        experts = self.encode(batch)
        eps = self.draw(generator, *next(iter(experts.values())).mu.shape)
        return self.objective(batch, experts, eps, present)

    def objective(
        self, batch: Batch, experts: Mapping[str, Gaussian], eps: Tensor, present: Present | None = None
    ) -> dict[str, Tensor]:
        """(M - a)/M sum_m w_m NLL_m(z) + beta [ a/M sum_m KL(q || q_m) + (1 - a) KL(q || p) ],  z ~ q, a = alpha.

        For M = 2 and a = 5/6 the factors are 0.58333, 0.41667 (of each KL to an expert) and 0.16667.

        Arguments:
            experts: q(z | x_m) of all modalities.
            eps: standard normal (B, latent), the noise of z.
            present: bool (B,) by modality; sums and q are over those that are there, the factors stay. None
                for all.
        """
        M, a, q = len(experts), self.config.alpha, self.subset_posterior(experts, present)
        nlls = self.nll(batch, q.sample(eps), present=present)
        each, to_prior = {m: kl(q, q_m) for m, q_m in experts.items()}, kl_to_standard(q)
        if present is not None:
            each = {m: value.masked_fill(~present[m], 0.0) for m, value in each.items()}
        to_experts = total(each.values())
        divergence = a / M * to_experts + (1 - a) * to_prior
        loss = (M - a) / M * self.weighted(nlls) + self.config.beta * divergence
        return report(loss.mean(), {**told(nlls, present), "kl": to_prior, "kl_experts": to_experts})

    def subset_posterior(self, experts: Mapping[str, Gaussian], present: Present | None = None) -> Gaussian:
        """q(z | x_S), the product of the experts in S (that are there)."""
        there = None if present is None else [present[m] for m in experts]
        return product(experts.values(), prior=self.config.prior_expert, present=there)

    def components(self, batch: Batch) -> Sequence[Gaussian]:
        return (self.subset_posterior(self.encode(batch)),)

    def infer(self, given: Batch, noise: Noise) -> Tensor:
        return self.subset_posterior(self.encode(given)).sample(noise.normal(self.config.latent))
