"""MLD*: MLD with the large image autoencoder (Appendix C.3)."""

from __future__ import annotations

from dataclasses import replace

from mmbench.config import Budget
from mmbench.errors import ConfigError
from mmbench.modality import DatasetSpec, Modality

from . import recipes
from .config import MLDConfig
from .model import MLD

__all__ = ["MLDStar"]


class MLDStar(MLD):
    """MLD*: MLD with a larger image autoencoder, for RGB images of 64 x 64 and more.

    RGB images have the autoencoder of latent diffusion and a plain squared error; the rest is MLD's.
    """

    check_settings = (*MLD.check_settings, "kl_width=8")

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        """MLD* is the paper's for images with captions; for small images 57 million parameters are a waste."""
        large = any(fits(m) and min(m.shape[1:]) >= 64 for m in dataset.modalities)
        return "" if large else "its image autoencoder is for RGB images of 64x64 and more"

    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> MLDConfig:
        """MLD's rows ("we kept the same configuration"); a short training of the large autoencoder is shorter still.

        Raises ConfigError for a dataset without an RGB image whose sides are multiples of 8.
        """
        images = {m.name: m for m in dataset.modalities if fits(m)}
        if not images:
            raise ConfigError(
                f"mld_star needs an RGB image whose sides are multiples of 8, and {dataset.name} has none; use mld"
            )
        config = MLDConfig.recipe(dataset, budget)
        own = {name: recipes.autoencoder(dataset, m, budget, "mld_star") for name, m in images.items()}
        return replace(
            config,
            autoencoders={**config.autoencoders, **own},
            networks=dict.fromkeys(images, "kl_autoencoder"),
            squared_error=tuple(images),
        )


def fits(modality: Modality) -> bool:
    """Whether this is an RGB image whose sides are multiples of 8."""
    return len(modality.shape) == 3 and modality.shape[0] == 3 and not any(n % 8 for n in modality.shape[1:])
