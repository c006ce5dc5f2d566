"""MLD*: MLD with the large image autoencoder (Appendix C.3)."""

from __future__ import annotations

from dataclasses import replace

from mmbench.config import Budget
from mmbench.errors import ConfigError
from mmbench.modality import DatasetSpec, Modality

from .config import MLDConfig
from .model import MLD

__all__ = ["MLDStar"]


class MLDStar(MLD):
    """MLD whose RGB images have the autoencoder of latent diffusion and a plain squared error; the rest is MLD's."""

    check_settings = (*MLD.check_settings, "kl_width=8")

    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> MLDConfig:
        """MLD's row; its schedules too, the image autoencoder's among them ("we kept the same configuration").

        Raises ConfigError for a dataset without an RGB image whose sides are multiples of 8.
        """
        images = tuple(m.name for m in dataset.modalities if fits(m))
        if not images:
            raise ConfigError(
                f"mld_star needs an RGB image whose sides are multiples of 8, and {dataset.name} has none; use mld"
            )
        config = MLDConfig.recipe(dataset, budget)
        return replace(config, networks=dict.fromkeys(images, "kl_autoencoder"), squared_error=images)


def fits(modality: Modality) -> bool:
    """Whether this is an RGB image whose sides are multiples of 8."""
    return len(modality.shape) == 3 and modality.shape[0] == 3 and not any(n % 8 for n in modality.shape[1:])
