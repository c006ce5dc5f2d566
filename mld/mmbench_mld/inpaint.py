"""MLD-Inpaint: the ablation of the multi-time; an unconditional diffusion, conditioned by in-painting alone.

The paper argues against it (Section 2.1): the score sees the given part m(t) z + sigma(t) xi where the conditional
score needs z, so what is generated leans towards what is generated from nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.abilities import Present
from mmbench.data.dataset import Split
from mmbench.described import described
from mmbench.errors import ConfigError
from mmbench.modality import DatasetSpec
from mmbench.model import Batch
from mmbench.seeding import generator

from .config import LatentDiffusionConfig
from .diffusion import score_skills, training_times, unmasked_loss
from .incomplete import known, unmasked_loss_of_present
from .model import ABLATION, MLD, SCORE_SETTINGS

__all__ = ["MLDInpaint", "MLDInpaintConfig"]

KINDS = ("path", "ddim", "sde")
"""Samplers whose step takes one answer of the network: the noise on the given part is fresh for every answer, so that
two of them differ by their noise, and not by what a solver of second order makes of them."""


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class MLDInpaintConfig(LatentDiffusionConfig):
    """Settings of MLD-Inpaint: those of MLD but the probability of a joint step; every step is one."""

    kinds = KINDS

    def __post_init__(self) -> None:
        LatentDiffusionConfig.__post_init__(self)
        if self.sampler.kind not in self.kinds:
            raise ConfigError(
                f"sampler.kind {self.sampler.kind!r} compares two answers of the network, which in-painting's fresh "
                f"noise on the given part spoils; take one of {', '.join(self.kinds)}"
            )


class MLDInpaint(MLD):
    """MLD's autoencoders, and its score network with one time t ~ U(1e-6, 1) for all modalities, loss |o + eps|^2.

    Conditional generation: before each call of the network the given part is diffused to the time of the call with
    fresh noise, after it the given part is clean again.
    """

    Config = MLDInpaintConfig
    score_settings = SCORE_SETTINGS
    inpaints = True

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        return ABLATION

    def _score_loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        z = self.layout.concat(batch)
        t = training_times(generator, len(z), 1)
        eps = torch.randn(z.shape, generator=generator, device=z.device)
        return {"loss": unmasked_loss(self.score, z, t, eps, self.layout, self.sde)}

    def _incomplete_score_loss(self, batch: Batch, present: Present, generator: torch.Generator) -> dict[str, Tensor]:
        z, there = known(batch, present, self.layout)
        t = training_times(generator, len(z), 1)
        eps = torch.randn(z.shape, generator=generator, device=z.device)
        return {"loss": unmasked_loss_of_present(self.score, z, t, eps, there, self.layout, self.sde)}

    def _score_skill(self, held_out: Split) -> dict[str, float]:
        """Of everything diffused: the network knows no other task."""
        z = self._held_out_latents(held_out)
        rng = generator(0, "skill", device=z.device)
        return score_skills(lambda r, tau: self.score(r, tau[:, :1]), z, self.layout, self.sde, rng, ())

    def _times(self, given: Collection[str]) -> Tensor:
        """The one time: (1, 1)."""
        return torch.ones(1, 1, device=self.device)
