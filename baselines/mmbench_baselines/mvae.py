"""MVAE: a product of experts, trained on the ELBOs of a few subsets of the modalities.

Reference: Wu and Goodman, "Multimodal generative models for scalable weakly-supervised learning", NeurIPS 2018, with
the weights and likelihoods of the benchmark's paper (Bounoua et al., Appendix C.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.config import Budget, Schedule
from mmbench.modality import DatasetSpec, subsets
from mmbench.model import Batch
from mmbench.networks import Networks
from mmbench.seeding import Noise

from .experts import Gaussian, kl_to_standard, product
from .vae import MultimodalVAE, at_least, paper_row, report, total

__all__ = ["MVAE", "MVAEConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MVAEConfig:
    """Settings of MVAE."""

    schedule: Schedule
    """Training of the whole model."""
    latent: int = 20
    """Size of the shared latent z."""
    beta: float = 5.0
    """beta, weight of the KL terms (1 is the ELBO itself)."""
    random_subsets: int = 1
    """k, subsets with 1 < |S| < M whose ELBO is added in a step, drawn anew each time; without effect for M = 2."""

    def __post_init__(self) -> None:
        at_least(1, latent=self.latent)
        at_least(0, beta=self.beta, random_subsets=self.random_subsets)

    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> MVAEConfig:
        """Appendix C.2; where the paper is silent, captions take the row of CUB, all else that of MNIST-SVHN."""
        row = paper_row(dataset, budget, cub_lr=5e-4)
        return cls(schedule=row.schedule, latent=row.latent, beta=row.beta)


class MVAE(MultimodalVAE[MVAEConfig]):
    """Sub-sampled ELBO: the full set, each single modality, and k random subsets in between.

    q(z | x_S) = p(z) prod_{m in S} q(z | x_m): the prior is always one of the experts.
    """

    Config = MVAEConfig

    def __init__(self, dataset: DatasetSpec, config: MVAEConfig, networks: Networks) -> None:
        super().__init__(dataset, config, networks)
        every = subsets(dataset.names)
        self.fixed = [s for s in every if len(s) in (1, len(dataset.names))][::-1]
        self.between = [s for s in every if s not in self.fixed]

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        experts = self.encode(batch)
        chosen = self.choose_subsets(generator)
        eps = self.draw(generator, len(chosen), *next(iter(experts.values())).mu.shape)
        return self.objective(batch, experts, chosen, eps)

    def objective(
        self, batch: Batch, experts: Mapping[str, Gaussian], chosen: Sequence[tuple[str, ...]], eps: Tensor
    ) -> dict[str, Tensor]:
        """sum_S [ sum_{m in S} w_m NLL_m(z_S) + beta KL(q_S || p) ],  z_S ~ q_S, with w_m = 1 for a single modality.

        Arguments:
            experts: q(z | x_m).
            chosen: the subsets S, the full set first.
            eps: standard normal (len(chosen), B, latent), the noise of each z_S.
        """
        losses, terms = [], {}
        for S, eps_S in zip(chosen, eps, strict=True):
            q = product([experts[m] for m in S], prior=True)
            nlls, divergence = self.nll(batch, q.sample(eps_S), S), kl_to_standard(q)
            reconstruction = self.weighted(nlls) if len(S) > 1 else total(nlls.values())
            losses.append(reconstruction + self.config.beta * divergence)
            suffix = "" if len(S) == len(experts) else f"_from_{'+'.join(S)}"
            terms |= {f"nll_{m}{suffix}": value for m, value in nlls.items()} | {f"kl{suffix}": divergence}
        return report(total(losses).mean(), terms)

    def choose_subsets(self, generator: torch.Generator) -> list[tuple[str, ...]]:
        """The subsets of one step: all of `fixed`, and `random_subsets` distinct ones of those between."""
        if not self.between or not self.config.random_subsets:
            return self.fixed
        order = torch.randperm(len(self.between), generator=generator, device=generator.device)
        return self.fixed + [self.between[i] for i in order[: self.config.random_subsets].tolist()]

    def infer(self, given: Batch, noise: Noise) -> Tensor:
        return product(self.encode(given).values(), prior=True).sample(noise.normal(self.config.latent))
