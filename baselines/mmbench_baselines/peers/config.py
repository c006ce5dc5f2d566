"""Settings of multivae's models: those of the suite's twins where there is one, else multivae's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from mmbench.config import Budget, Schedule
from mmbench.described import described
from mmbench.errors import ConfigError
from mmbench.modality import DatasetSpec

from .. import recipes
from ..config import at_least
from . import library

__all__ = [
    "BetaConfig",
    "CRMVAEConfig",
    "HierarchyConfig",
    "JMVAEConfig",
    "JNFConfig",
    "MVAEConfig",
    "MVTCAEConfig",
    "NexusConfig",
    "PeerConfig",
    "TwinConfig",
]


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConfig:
    """Settings of every model of multivae.

    `own` gives, beside the sizes, what its configuration class takes.
    """

    rows: ClassVar[str] = "any"
    """The model of `recipes` whose rows fit: the twin, or one of the same cost."""

    schedule: Schedule
    """Training of the whole model."""
    latent: int = 20
    """Size of the latent that all modalities share."""
    multivae: str
    """Version of multivae that the numbers are made with."""

    def __post_init__(self) -> None:
        at_least(1, latent=self.latent)
        if library.version() not in ("", self.multivae):
            raise ConfigError(f"this is for multivae {self.multivae!r}, and {library.version()} is installed")

    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> Self:
        """The suite's rows of schedules and latents; raises PluginError where multivae is not installed."""
        library.models()
        schedule = recipes.schedule(cls.rows, dataset, budget)
        return cls(schedule=schedule, multivae=library.version(), **cls.objective(dataset))

    @classmethod
    def objective(cls, dataset: DatasetSpec) -> dict[str, Any]:
        """The same at every budget: the latent's size of the suite's VAEs."""
        return {"latent": recipes.objective("mvae", dataset)["latent"]}

    def own(self, dataset: DatasetSpec) -> Mapping[str, Any]:
        return {}


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class BetaConfig(PeerConfig):
    """Settings of CRMVAE, and of what weighs its KL terms."""

    beta: float = 1.0
    """Weight of the KL terms."""

    def own(self, dataset: DatasetSpec) -> Mapping[str, Any]:
        return {"beta": self.beta}


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class CRMVAEConfig(BetaConfig):
    """Settings of CRMVAE."""

    beta: float = 2.5


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class TwinConfig(BetaConfig):
    """Settings of MoPoE, as of its twin."""

    rows = "mopoe"

    @classmethod
    def objective(cls, dataset: DatasetSpec) -> dict[str, Any]:
        return dict(recipes.objective(cls.rows, dataset))


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class MVTCAEConfig(TwinConfig):
    """Settings of MVTCAE, as of its twin."""

    rows = "mvtcae"

    alpha: float = 5 / 6
    """Weight of the conditional bottlenecks against the joint one."""

    def own(self, dataset: DatasetSpec) -> Mapping[str, Any]:
        return {"beta": self.beta, "alpha": self.alpha}


PSEUDO_EPOCHS = 100
"""How finely a warm-up is told in multivae's epochs."""


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class MVAEConfig(TwinConfig):
    """Settings of MVAE, as of its twin, which has no warm-up."""

    rows = "mvae"

    random_subsets: int = 1
    """Random subsets between singles and all modalities in a step, where there are any."""
    warmup: float = 0.0
    """Share of the training over which the weight of the KL terms rises linearly."""

    def own(self, dataset: DatasetSpec) -> Mapping[str, Any]:
        return {"beta": self.beta, "k": self.random_subsets, "warmup": PSEUDO_EPOCHS}


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class JMVAEConfig(BetaConfig):
    """Settings of JMVAE."""

    alpha: float = 0.1
    """Weight of the divergences between joint and unimodal posteriors."""
    warmup: float = 0.1
    """Share of the training over which the weight of the divergences rises linearly."""

    def own(self, dataset: DatasetSpec) -> Mapping[str, Any]:
        return {"beta": self.beta, "alpha": self.alpha, "warmup": PSEUDO_EPOCHS}


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class JNFConfig(BetaConfig):
    """Settings of JNF."""

    mcmc_steps: int = 100
    """Hamiltonian Monte Carlo steps, of ten leapfrog steps each, where some of three or more modalities are given."""

    def __post_init__(self) -> None:
        PeerConfig.__post_init__(self)
        at_least(1, mcmc_steps=self.mcmc_steps)


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class HierarchyConfig(BetaConfig):
    """Settings of MHVAE."""

    levels: int = 3
    """Latents of the hierarchy, each of the size `latent`."""
    width: int = 128
    """Width of the blocks between them."""

    def __post_init__(self) -> None:
        PeerConfig.__post_init__(self)
        at_least(2, levels=self.levels)
        at_least(1, width=self.width)

    def own(self, dataset: DatasetSpec) -> Mapping[str, Any]:
        return {"beta": self.beta, "n_latent": self.levels}


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class NexusConfig(PeerConfig):
    """Settings of NEXUS, as of its twin; the upper level's networks are multivae's, the decoders with a sigmoid."""

    rows = "nexus"

    beta: float = 1.0
    """Weight of the lower level's KL terms."""
    beta_c: float = 5.0
    """Weight of the nexus' KL term."""
    top_weights: Mapping[str, float]
    """g_m, weight of the squared error of each modality's latent."""
    dropout: float = 0.5
    """Probability that a training tuple loses 1 to M - 1 modalities."""
    message: int = 256
    warmup: float = 20 / 150
    """Share of the training over which the weights of all KL terms rise linearly."""

    @classmethod
    def objective(cls, dataset: DatasetSpec) -> dict[str, Any]:
        row = {k: v for k, v in recipes.objective("nexus", dataset).items() if k != "hidden"}
        return {**row, "top_weights": recipes.top_weights(dataset)}

    def own(self, dataset: DatasetSpec) -> Mapping[str, Any]:
        """multivae's term is half of the squared error (and a constant)."""
        return {
            "modalities_specific_dim": {m.name: m.latent for m in dataset.modalities},
            "bottom_betas": dict.fromkeys(dataset.names, self.beta),
            "gammas": {m: 2 * weight for m, weight in self.top_weights.items()},
            "dropout_rate": self.dropout,
            "msg_dim": self.message,
            "top_beta": self.beta_c,
            "warmup": PSEUDO_EPOCHS,
        }
