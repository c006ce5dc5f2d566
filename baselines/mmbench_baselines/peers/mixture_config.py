"""Settings of multivae's mixtures of experts, and of its models whose modalities have latents of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from mmbench.config import Budget
from mmbench.described import described
from mmbench.modality import DatasetSpec

from .. import recipes
from .config import BetaConfig, PeerConfig

__all__ = ["CMVAEConfig", "MixtureConfig", "PrivateConfig", "PrivateMixtureConfig"]


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureConfig(PeerConfig):
    """Settings of MMVAE, as of its twin `mmvae_dreg`."""

    rows = "mmvae_dreg"

    samples: int = 10
    """K, importance samples from each expert."""
    bound: Literal["dreg_looser", "iwae_looser"] = "dreg_looser"

    @classmethod
    def objective(cls, dataset: DatasetSpec) -> dict[str, Any]:
        return dict(recipes.objective(cls.rows, dataset))

    def own(self, dataset: DatasetSpec) -> Mapping[str, Any]:
        return {"K": self.samples, "loss": self.bound}


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateConfig(BetaConfig):
    """Settings of DMVAE."""

    private: int = 20
    """Size of each modality's own latent, beside the shared one."""

    @classmethod
    def objective(cls, dataset: DatasetSpec) -> dict[str, Any]:
        latent = recipes.objective("mvae", dataset)["latent"]
        return {"latent": latent, "private": latent}

    def own(self, dataset: DatasetSpec) -> Mapping[str, Any]:
        return {"beta": self.beta, "modalities_specific_dim": dict.fromkeys(dataset.names, self.private)}


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateMixtureConfig(PrivateConfig):
    """Settings of MMVAE+."""

    rows = "mmvae_dreg"

    samples: int = 10
    """K, importance samples from each expert."""
    bound: Literal["dreg_looser", "iwae_looser"] = "dreg_looser"

    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> Self:
        """Where `mmvae_dreg` is trained for some steps, so many more of them as its K is larger: the same samples."""
        config = super(PrivateMixtureConfig, cls).recipe(dataset, budget)
        share = recipes.objective("mmvae_dreg", dataset)["samples"] // config.samples
        steps, warmup = config.schedule.steps, config.schedule.warmup
        if steps is None:
            return config
        return replace(config, schedule=replace(config.schedule, steps=share * steps, warmup=share * warmup))

    def own(self, dataset: DatasetSpec) -> Mapping[str, Any]:
        own = {"K": self.samples, "loss": self.bound, "beta": self.beta}
        return {**own, "modalities_specific_dim": self.private}


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class CMVAEConfig(PrivateMixtureConfig):
    """Settings of CMVAE."""

    clusters: int = 10
    """Clusters of the shared latent's prior."""

    def own(self, dataset: DatasetSpec) -> Mapping[str, Any]:
        return {**PrivateMixtureConfig.own(self, dataset), "number_of_clusters": self.clusters}
