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

from mmbench.abilities import Present
from mmbench.described import described
from mmbench.model import Batch
from mmbench.seeding import Noise

from .config import BetaVAEConfig
from .evidence import Evident
from .experts import Gaussian, choose, kl_to_standard, mean_present, mixture, stratified_present
from .incomplete import IncompleteVAE
from .vae import report, told, total

__all__ = ["MMVAE", "MMVAEConfig"]


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class MMVAEConfig(BetaVAEConfig):
    """Settings of MMVAE."""

    model = "mmvae"


class MMVAE(IncompleteVAE[MMVAEConfig], Evident[MMVAEConfig]):
    """MMVAE as the paper has it: a mixture of Gaussian experts with a stratified ELBO.

    q(z | X) = 1/M sum_m q(z | x_m); each z reconstructs all modalities.
    """

    Config = MMVAEConfig

    def loss(self, batch: Batch, generator: torch.Generator, present: Present | None = None) -> dict[str, Tensor]:
        experts = self.encode(batch)
        eps = self.draw(generator, *next(iter(experts.values())).mu.shape)
        return self.objective(batch, experts, eps, present)

    def objective(
        self, batch: Batch, experts: Mapping[str, Gaussian], eps: Tensor, present: Present | None = None
    ) -> dict[str, Tensor]:
        """sum_m w_m NLL_m(z) + beta / M sum_m KL(q_m || p),  z ~ mixture of the q_m, stratified over the batch.

        Arguments:
            experts: q(z | x_m) of all modalities.
            eps: standard normal (B, latent), the noise of z.
            present: bool (B,) by modality; the others are no experts and have no loss, and 1/M counts those
                that are there. None for all.
        """
        q = list(experts.values())
        if present is None:
            chosen, divergence = mixture(q), total(kl_to_standard(q_m) for q_m in q) / len(q)
        else:
            there = torch.stack([present[m] for m in experts])
            every = Gaussian(torch.stack([q_m.mu for q_m in q]), torch.stack([q_m.logvar for q_m in q]))
            chosen, divergence = stratified_present(every, there), mean_present(kl_to_standard(every), there)
        nlls = self.nll(batch, chosen.sample(eps), present=present)
        loss = self.weighted(nlls) + self.config.beta * divergence
        return report(loss.mean(), {**told(nlls, present), "kl": divergence})

    def components(self, batch: Batch) -> Sequence[Gaussian]:
        return list(self.encode(batch).values())

    def infer(self, given: Batch, noise: Noise) -> Tensor:
        eps = noise.normal(self.config.latent)
        return choose(torch.stack([q.sample(eps) for q in self.encode(given).values()]), noise)
