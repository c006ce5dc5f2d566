"""MVAE: a product of experts, trained on the ELBOs of a few subsets of the modalities.

Reference: Wu and Goodman, "Multimodal generative models for scalable weakly-supervised learning", NeurIPS 2018, with
the weights and likelihoods of the benchmark's paper (Bounoua et al., Appendix C.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.abilities import Present
from mmbench.described import described
from mmbench.modality import FEW, DatasetSpec, subsets
from mmbench.model import Batch
from mmbench.networks import Networks
from mmbench.seeding import Noise, on_host

from .config import BetaVAEConfig, at_least
from .evidence import Evident
from .experts import Gaussian, kl_to_standard, product
from .incomplete import IncompleteVAE
from .vae import report, told, total

__all__ = ["MVAE", "MVAEConfig"]


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class MVAEConfig(BetaVAEConfig):
    """Settings of MVAE."""

    model = "mvae"

    random_subsets: int = 1
    """k, subsets with 1 < |S| < M whose ELBO is added in a step, drawn anew each time; without effect for M = 2."""

    def __post_init__(self) -> None:
        BetaVAEConfig.__post_init__(self)
        at_least(0, random_subsets=self.random_subsets)


class MVAE(IncompleteVAE[MVAEConfig], Evident[MVAEConfig]):
    """MVAE: a product of experts, trained on the ELBOs of a few subsets of the modalities.

    Sub-sampled ELBO: the full set, each single modality, and k random subsets in between.

    q(z | x_S) = p(z) prod_{m in S} q(z | x_m): the prior is always one of the experts.
    """

    Config = MVAEConfig

    def __init__(self, dataset: DatasetSpec, config: MVAEConfig, networks: Networks) -> None:
        super().__init__(dataset, config, networks)
        every = subsets(dataset.names)
        self.fixed = [s for s in every if len(s) in (1, len(dataset.names))][::-1]
        self.between = [s for s in every if s not in self.fixed]

    def loss(self, batch: Batch, generator: torch.Generator, present: Present | None = None) -> dict[str, Tensor]:
        experts = self.encode(batch)
        chosen = self.choose_subsets(generator)
        eps = self.draw(generator, len(chosen), *next(iter(experts.values())).mu.shape)
        return self.objective(batch, experts, chosen, eps, present)

    def objective(
        self,
        batch: Batch,
        experts: Mapping[str, Gaussian],
        chosen: Sequence[tuple[str, ...]],
        eps: Tensor,
        present: Present | None = None,
    ) -> dict[str, Tensor]:
        """sum_S [ sum_{m in S} w_m NLL_m(z_S) + beta KL(q_S || p) ],  z_S ~ q_S, with w_m = 1 for a single modality.

        Arguments:
            experts: q(z | x_m).
            chosen: the subsets S, the full set first.
            eps: standard normal (len(chosen), B, latent), the noise of each z_S.
            present: bool (B,) by modality; of each S what is there counts, and nothing where none of it is. None for
                all.
        """
        losses, terms = [], {}
        for S, eps_S in zip(chosen, eps, strict=True):
            there = None if present is None else [present[m] for m in S]
            q = product([experts[m] for m in S], prior=True, present=there)
            nlls, divergence = self.nll(batch, q.sample(eps_S), S, present), kl_to_standard(q)
            reconstruction = self.weighted(nlls) if len(S) > 1 else total(nlls.values())
            losses.append(reconstruction + self.config.beta * divergence)
            terms |= self._terms(S, nlls, divergence, present)
        return report(total(losses).mean(), terms)

    def _terms(
        self, S: Sequence[str], nlls: Mapping[str, Tensor], divergence: Tensor, present: Present | None
    ) -> dict[str, Tensor]:
        """The terms of one subset by name. Of many modalities the random subsets are told by their size alone: a
        history of 25 of them, each with its own terms, says nothing."""
        M = len(self.dataset.names)
        if M > FEW and 1 < len(S) < M:
            return {f"nll_from_{len(S)}": total(nlls.values()), f"kl_from_{len(S)}": divergence}
        suffix = "" if len(S) == M else f"_from_{'+'.join(S)}"
        return told(nlls, present, suffix) | {f"kl{suffix}": divergence}

    def choose_subsets(self, generator: torch.Generator) -> list[tuple[str, ...]]:
        """The subsets of one step: all of `fixed`, and `random_subsets` distinct ones of those between, which the host
        draws."""
        if not self.between or not self.config.random_subsets:
            return self.fixed
        order = torch.randperm(len(self.between), generator=on_host(generator))
        return self.fixed + [self.between[i] for i in order[: self.config.random_subsets].tolist()]

    def components(self, batch: Batch) -> Sequence[Gaussian]:
        return (product(self.encode(batch).values(), prior=True),)

    def infer(self, given: Batch, noise: Noise) -> Tensor:
        return product(self.encode(given).values(), prior=True).sample(noise.normal(self.config.latent))
