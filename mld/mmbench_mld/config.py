"""Settings of MLD, and the paper's rows: Tables 2 and 3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from mmbench.config import Budget, Schedule
from mmbench.errors import ConfigError
from mmbench.modality import DatasetSpec, Modality

from .schedule import TimePath

__all__ = ["MLDConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MLDConfig:
    """Settings of MLD; the sizes of the uni-modal latents belong to the dataset (`Modality.latent`)."""

    autoencoders: Mapping[str, Schedule]
    """Training of each modality's autoencoder (Table 2)."""
    score: Schedule
    """Training of the score network (Table 3)."""
    networks: Mapping[str, str] = field(default_factory=dict)
    """Modality -> architecture of its autoencoder, where it is not the dataset's own (MLD*, Appendix C.3)."""
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
    p_joint: float = 0.5
    """Probability that a training step diffuses every modality (A2 empty); the paper's d, read as nu(empty)."""
    std_floor: float = 0.01
    """Smallest standard deviation in the latents' standardisation, as a share of the modality's largest."""
    path: TimePath = TimePath()
    """Time path of the sampler (Appendix A.4: N = 250, j = 10, r = 10)."""
    sampling_precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the score network while sampling; the state is kept in float32."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.p_joint <= 1.0:
            raise ConfigError(f"p_joint must lie in [0, 1], got {self.p_joint}")
        if min(self.width, self.time_embed, self.blocks, self.groups, self.kl_width) < 1:
            raise ConfigError("width, time_embed, blocks, groups and kl_width must be >= 1")
        if self.width % self.groups:
            raise ConfigError(f"groups ({self.groups}) must divide width ({self.width})")
        if not 0.0 < self.std_floor <= 1.0:
            raise ConfigError(f"std_floor must lie in (0, 1], got {self.std_floor}")

    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> MLDConfig:
        """Tables 2 and 3: the row of CUB for datasets with captions, and of MNIST-SVHN for every other dataset.

        An epoch is a pass over the tuples. The smaller budgets train fewer steps with a warm-up and a cosine decay, and
        sample along a shorter path of the same kind; architecture and objective stay.
        """
        return _caption_recipe(dataset, budget) if dataset.captions else _small_image_recipe(dataset, budget)


def _small_image_recipe(dataset: DatasetSpec, budget: Budget) -> MLDConfig:
    """The row of MNIST-SVHN."""
    autoencoder = Schedule(epochs=150, batch_size=128, lr=1e-3)
    score = Schedule(epochs=150, batch_size=128, lr=1e-4, ema=0.999)
    paper = MLDConfig(autoencoders=dict.fromkeys(dataset.names, autoencoder), score=score)
    if budget == "paper":
        return paper
    laptop = budget == "laptop"
    brief = Schedule(steps=150, batch_size=128, lr=2e-3, warmup=10, decay="cosine", precision="bfloat16")
    return replace(
        paper,
        autoencoders={m.name: _brief_autoencoder(m, laptop) for m in dataset.modalities},
        score=replace(brief, steps=4300, batch_size=256, lr=1e-3, warmup=215, ema=0.999)
        if laptop
        else replace(brief, ema=0.95),
        path=TimePath(steps=45, jump=5, resample=5) if laptop else TimePath(steps=25, resample=1),
        sampling_precision="bfloat16",
    )


def _caption_recipe(dataset: DatasetSpec, budget: Budget) -> MLDConfig:
    """The row of CUB. Table 2 prints CUB's weight decay once, as its batch size, so that both autoencoders have it."""
    common = Schedule(epochs=500, batch_size=128, lr=1e-3, weight_decay=1e-6)
    image = replace(common, epochs=300, lr=1e-4)
    paper = MLDConfig(
        autoencoders={m.name: common if m.is_text else image for m in dataset.modalities},
        score=Schedule(epochs=3000, batch_size=64, lr=1e-4, ema=0.999),
        augment="trivial",
        width=1024,
        time_embed=512,
        groups=32,
        p_joint=0.7,
    )
    if budget == "paper":
        return paper
    laptop = budget == "laptop"
    return replace(
        paper,
        autoencoders={
            m.name: _brief(schedule, *CAPTION_BRIEF[budget]["text" if m.is_text else "image"])
            for m in dataset.modalities
            for schedule in [paper.autoencoders[m.name]]
        },
        score=replace(_brief(paper.score, *CAPTION_BRIEF[budget]["score"]), ema=0.999 if laptop else 0.95),
        path=TimePath(steps=45, jump=5, resample=5) if laptop else TimePath(steps=25, resample=1),
        sampling_precision="bfloat16",
    )


CAPTION_BRIEF: Mapping[Budget, Mapping[str, tuple[int, int, float]]] = {
    "laptop": {"image": (1600, 16, 1e-3), "text": (6000, 64, 3e-3), "score": (8000, 64, 5e-4)},
    "smoke": {"image": (120, 8, 1e-3), "text": (60, 64, 3e-3), "score": (20, 32, 3e-4)},
}
"""Steps, batch size and learning rate of the autoencoders and of the score network.

On two cores, in bfloat16: 0.34 s, 0.05 s and 0.1 s a step of the laptop budget. A step of 16 images teaches an image
autoencoder as much as one of 32. A caption autoencoder that is trained less loses the rare words, colours among them,
and with them what an image could follow. The score network denoises better after many small batches than after few
large ones: at high noise, 3,000 of 64 (at 6e-4) came nearer than 2,400 of 256 (at 5e-4) in three fifths of the time;
of the condition it learns about as much either way. At 1e-3, which suits a width of 512, that of width 1024 fell back
after 100 steps to answering nothing (loss D), and stayed there.
"""


def _brief(schedule: Schedule, steps: int, batch_size: int, lr: float) -> Schedule:
    """A short training in bfloat16, with a warm-up and a cosine decay."""
    return replace(
        schedule, epochs=None, steps=steps, batch_size=batch_size, lr=lr, warmup=steps // 10, decay="cosine",
        precision="bfloat16",
    )  # fmt: skip


def _brief_autoencoder(modality: Modality, laptop: bool) -> Schedule:
    """A short training; the long warm-up keeps the L1 loss from collapsing to the median image in its first steps."""
    small = modality.size < 1000
    steps, size, lr, warmup = (4000 if small else 1500, 128, 4e-3, 0.15) if laptop else (400, 64, 3e-3, 0.4)
    return Schedule(
        steps=steps, batch_size=size, lr=lr, warmup=int(warmup * steps), decay="cosine", precision="bfloat16"
    )
