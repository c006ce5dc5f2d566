"""MMVAE as the paper's benchmark has it: a mixture of Gaussian experts with a plain, stratified ELBO.

References: Shi et al., "Variational mixture-of-experts autoencoders for multi-modal deep generative models", NeurIPS
2019 (the mixture); Sutter, Daunhawer and Vogt, "Generalized multimodal ELBO", ICLR 2021 (this Gaussian variant of its
objective, which the paper says it uses). The original objective is in `mmvae_dreg`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.described import described
from mmbench.model import Batch
from mmbench.seeding import Noise

from .config import BetaVAEConfig
from .evidence import Evident
from .experts import Gaussian, choose, kl_to_standard, mixture
from .vae import report, total

__all__ = ["MMVAE", "MMVAEConfig"]


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class MMVAEConfig(BetaVAEConfig):
    """Settings of MMVAE."""

    model = "mmvae"


class MMVAE(Evident[MMVAEConfig]):
    """MMVAE as the paper has it: a mixture of Gaussian experts with a stratified ELBO.

    q(z | X) = 1/M sum_m q(z | x_m); each z reconstructs all modalities.
    """

    Config = MMVAEConfig

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        experts = self.encode(batch)
        eps = self.draw(generator, *next(iter(experts.values())).mu.shape)
        return self.objective(batch, experts, eps)

    def objective(self, batch: Batch, experts: Mapping[str, Gaussian], eps: Tensor) -> dict[str, Tensor]:
        """sum_m w_m NLL_m(z) + beta / M sum_m KL(q_m || p),  z ~ mixture of the q_m, stratified over the batch.

        Arguments:
            experts: q(z | x_m) of all modalities.
            eps: standard normal (B, latent), the noise of z.
        """
        q = list(experts.values())
        nlls = self.nll(batch, mixture(q).sample(eps))
        divergence = total(kl_to_standard(q_m) for q_m in q) / len(q)
        loss = self.weighted(nlls) + self.config.beta * divergence
        return report(loss.mean(), {**{f"nll_{m}": value for m, value in nlls.items()}, "kl": divergence})

    def components(self, batch: Batch) -> Sequence[Gaussian]:
        return list(self.encode(batch).values())

    def infer(self, given: Batch, noise: Noise) -> Tensor:
        eps = noise.normal(self.config.latent)
        return choose(torch.stack([q.sample(eps) for q in self.encode(given).values()]), noise)
