"""MLD-Uni: the ablation of the mask; every modality has a time of its own in every training step, as in UniDiffuser.

Reference: Bao et al., "One transformer fits all distributions in multi-modal diffusion at scale", ICML 2023; settings
from the code of Bounoua et al.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.abilities import Present
from mmbench.described import described
from mmbench.modality import DatasetSpec
from mmbench.model import Batch

from .config import LatentDiffusionConfig
from .diffusion import training_times, unmasked_loss
from .incomplete import known, unmasked_loss_of_present
from .model import ABLATION, MLD, SCORE_SETTINGS

__all__ = ["MLDUni", "MLDUniConfig"]


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class MLDUniConfig(LatentDiffusionConfig):
    """Settings of MLD-Uni: those of MLD but the probability of a joint step, which is not drawn."""


class MLDUni(MLD):
    """MLD's autoencoders, score network and sampler; in training t_m ~ U(1e-6, 1) for each modality and sample, and the
    loss |o + eps|^2 of all of them.

    Sampling is MLD's: time 0 for the given modalities, one time for the others.
    """

    Config = MLDUniConfig
    score_settings = SCORE_SETTINGS

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        return ABLATION

    def _score_loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        z = self.layout.concat(batch)
        t = training_times(generator, len(z), len(self.layout.names))
        eps = torch.randn(z.shape, generator=generator, device=z.device)
        return {"loss": unmasked_loss(self.score, z, t, eps, self.layout, self.sde)}

    def _incomplete_score_loss(self, batch: Batch, present: Present, generator: torch.Generator) -> dict[str, Tensor]:
        z, there = known(batch, present, self.layout)
        t = training_times(generator, len(z), len(self.layout.names))
        eps = torch.randn(z.shape, generator=generator, device=z.device)
        return {"loss": unmasked_loss_of_present(self.score, z, t, eps, there, self.layout, self.sde)}
