"""What the configurations of the VAEs have in common, each field once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from mmbench.config import Budget, Schedule
from mmbench.described import described
from mmbench.errors import ConfigError
from mmbench.modality import DatasetSpec

from . import recipes

__all__ = ["BetaVAEConfig", "VAEConfig", "at_least"]


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class VAEConfig:
    """Settings of every VAE.

    A subclass is such a dataclass too, names its `model`, and calls VAEConfig.__post_init__(self) from its own: the
    bare super() does not know a class with slots.
    """

    model: ClassVar[str]
    """Its word in the tables of `recipes`."""

    schedule: Schedule
    """Training of the whole model."""
    latent: int = 20
    """Size of the latent that all modalities share: z, or the nexus."""

    def __post_init__(self) -> None:
        at_least(1, latent=self.latent)

    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> Self:
        """The model's rows in `recipes`; a smaller budget changes the schedule only.

        A dataset whose family the tables do not know takes the rows of 'digits'.
        """
        row = recipes.objective(cls.model, dataset)
        return cls(schedule=recipes.schedule(cls.model, dataset, budget), **row)


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class BetaVAEConfig(VAEConfig):
    """Settings of every VAE with a weighted ELBO."""

    beta: float = 5.0
    """beta, weight of the KL terms (1 is the ELBO itself)."""

    def __post_init__(self) -> None:
        VAEConfig.__post_init__(self)
        at_least(0, beta=self.beta)


def at_least(bound: float, **settings: float) -> None:
    """Raise ConfigError for a setting below `bound`."""
    for name, value in settings.items():
        if not value >= bound:
            raise ConfigError(f"{name} must be at least {bound:g}, got {value}")
