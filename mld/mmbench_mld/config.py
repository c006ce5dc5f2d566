"""Settings of MLD, and what those of its ablations have in common with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar, Literal, Self, get_args

from mmbench.config import Budget, Precision, Schedule
from mmbench.described import described
from mmbench.errors import ConfigError
from mmbench.modality import DatasetSpec

from . import recipes
from .moves import Kind, Sampler
from .schedule import TimePath

__all__ = ["LatentDiffusionConfig", "MLDConfig"]


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class LatentDiffusionConfig:
    """Settings of a diffusion over the concatenated latents of uni-modal autoencoders, whatever its objective.

    A subclass calls LatentDiffusionConfig.__post_init__(self) from its own: the bare super() does not know a class with
    slots.
    """

    kinds: ClassVar[Collection[Kind]] = get_args(Kind)
    """The samplers that the model can go by; where a recipe has another, it goes along its path."""

    autoencoders: Mapping[str, Schedule]
    """Training of each modality's autoencoder (Table 2)."""
    score: Schedule
    """Training of the score network (Table 3)."""
    networks: Mapping[str, str] = field(default_factory=dict)
    """Modality -> architecture of its autoencoder, where it is not the dataset's own (MLD*, Appendix C.3)."""
    latent: int | None = None
    """Size of each modality's latent; none takes the dataset's own (`Modality.latent`). Not for a network that has a
    latent of its own size."""
    squared_error: tuple[str, ...] = ()
    """Images whose autoencoder minimises the sum of squared errors, not the dataset's likelihood (Appendix C.3)."""
    kl_width: int = 64
    """Width of the architecture 'kl_autoencoder', where `networks` asks for it."""
    augment: Literal["none", "trivial"] = "none"
    """'trivial': the image autoencoders are trained on images changed by TrivialAugmentWide (Appendix C.1)."""
    width: int = 512
    """W, hidden width of the score network (Table 3)."""
    time_embed: int = 256
    """T, size of the multi-time embedding (Table 3)."""
    blocks: int = 2
    """Levels of the score network, down and up (Table 3)."""
    groups: int = 8
    """Groups of its GroupNorms (from the paper's code)."""
    std_floor: float = 0.01
    """Smallest standard deviation in the latents' standardisation, as a share of the modality's largest."""
    path: TimePath = TimePath()
    """Time path of the sampler (Appendix A.4: N = 250, j = 10, r = 10), where `sampler.kind` is 'path'."""
    sampler: Sampler = Sampler()
    """Which sampler draws: the paper's along `path`, or one of few network calls."""
    sampling_precision: Precision = "float32"
    """Arithmetic of the score network while sampling; the state is kept in float32."""

    def __post_init__(self) -> None:
        if min(self.width, self.time_embed, self.blocks, self.groups, self.kl_width) < 1:
            raise ConfigError("width, time_embed, blocks, groups and kl_width must be >= 1")
        if self.latent is not None and self.latent < 1:
            raise ConfigError(f"latent must be >= 1, or none for the dataset's own, got {self.latent}")
        if self.width % self.groups:
            raise ConfigError(f"groups ({self.groups}) must divide width ({self.width})")
        if not 0.0 < self.std_floor <= 1.0:
            raise ConfigError(f"std_floor must lie in (0, 1], got {self.std_floor}")

    @property
    def idle(self) -> dict[str, str]:
        """Settings that do nothing in this configuration, and what they wait for."""
        if self.sampler.kind != "path":
            return {"path": f"sampler.kind is {self.sampler.kind!r}: set sampler.kind=path, too"}
        rest = [f.name for f in fields(Sampler) if f.name != "kind"]
        return {f"sampler.{name}": "sampler.kind is 'path', which goes by path.*" for name in rest}

    @property
    def calls(self) -> int:
        """Network calls for a batch of samples."""
        return self.path.calls if self.sampler.kind == "path" else self.sampler.calls

    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> Self:
        """The rows of `recipes` for the dataset's family; a family that is not known there takes those of 'digits'.

        The smaller budgets train fewer steps and sample by fewer calls; architecture and objective stay, but on
        PolyMNIST (`recipes.NARROW`).
        """
        autoencoders = {m.name: recipes.autoencoder(dataset, m, budget) for m in dataset.modalities}
        own = {f.name for f in fields(cls)}
        rows = dict(recipes.networks(dataset, budget))
        if rows.get("sampler", Sampler()).kind not in cls.kinds:
            del rows["sampler"]
        rows = {name: value for name, value in rows.items() if name in own}
        return cls(autoencoders=autoencoders, score=recipes.score(dataset, budget), **rows)


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class MLDConfig(LatentDiffusionConfig):
    """Settings of MLD."""

    p_joint: float = 0.5
    """Probability that a training step diffuses every modality (A2 empty); the paper's d, read as nu(empty)."""
    subsets: Literal["batch", "sample"] = "batch"
    """A2 is drawn once for a batch (Algorithm 1), or for each of its samples."""

    def __post_init__(self) -> None:
        LatentDiffusionConfig.__post_init__(self)
        if not 0.0 <= self.p_joint <= 1.0:
            raise ConfigError(f"p_joint must lie in [0, 1], got {self.p_joint}")
