"""MLD: uni-modal autoencoders, then one masked multi-time diffusion over their concatenated latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from mmbench.config import Budget, Schedule
from mmbench.data.dataset import Split, as_input
from mmbench.errors import ConfigError
from mmbench.modality import DatasetSpec, Modality
from mmbench.model import Batch, Model, Stage
from mmbench.networks import Networks
from mmbench.seeding import Noise

from .autoencoder import Autoencoder, check_reconstruction
from .diffusion import T_MIN, choose_given, masked_multi_time_loss
from .latents import Layout, Standardiser
from .sampler import sample
from .schedule import VPSDE, TimePath
from .score import ScoreNetwork

__all__ = ["MLD", "MLDConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MLDConfig:
    """Settings of MLD; the sizes of the uni-modal latents belong to the dataset (`Modality.latent`)."""

    autoencoders: Mapping[str, Schedule]
    """Training of each modality's autoencoder (Table 2)."""
    score: Schedule
    """Training of the score network (Table 3)."""
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
        if self.width < 1 or self.time_embed < 1 or self.blocks < 1 or self.groups < 1:
            raise ConfigError("width, time_embed, blocks and groups must be >= 1")
        if self.width % self.groups:
            raise ConfigError(f"groups ({self.groups}) must divide width ({self.width})")
        if not 0.0 < self.std_floor <= 1.0:
            raise ConfigError(f"std_floor must lie in (0, 1], got {self.std_floor}")

    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> MLDConfig:
        """Tables 2 and 3: the row of MNIST-SVHN for MNIST-SVHN and every dataset of small images.

        An epoch is a pass over the tuples. The smaller budgets train fewer steps with a warm-up and a cosine decay, and
        sample along a shorter path of the same kind; architecture and objective stay.
        """
        autoencoder = Schedule(epochs=150, batch_size=128, lr=1e-3)
        score = Schedule(epochs=150, batch_size=128, lr=1e-4, ema=0.999)
        paper = cls(autoencoders=dict.fromkeys(dataset.names, autoencoder), score=score)
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


def _brief_autoencoder(modality: Modality, laptop: bool) -> Schedule:
    """A short training; the long warm-up keeps the L1 loss from collapsing to the median image in its first steps."""
    small = modality.size < 1000
    steps, size, lr, warmup = (4000 if small else 1500, 128, 4e-3, 0.15) if laptop else (400, 64, 3e-3, 0.4)
    return Schedule(
        steps=steps, batch_size=size, lr=lr, warmup=int(warmup * steps), decay="cosine", precision="bfloat16"
    )


class MLD(Model):
    """Multi-modal Latent Diffusion (Bounoua et al.), for any number of modalities.

    Stages: one autoencoder per modality on the distinct modality's items of the tuples; then the score network on the
    frozen, standardised latents, which are computed once.
    """

    Config = MLDConfig
    check_settings = ("width=64", "time_embed=32", "path.steps=8", "path.jump=2", "path.resample=2")

    def __init__(self, dataset: DatasetSpec, config: MLDConfig, networks: Networks) -> None:
        super().__init__()
        if set(config.autoencoders) != set(dataset.names):
            raise ConfigError(f"autoencoders names {sorted(config.autoencoders)}, the dataset {sorted(dataset.names)}")
        self.dataset, self.config, self.sde = dataset, config, VPSDE()
        self.layout = Layout({m.name: m.latent for m in dataset.modalities})
        self.autoencoders = nn.ModuleDict({m.name: Autoencoder(m, networks) for m in dataset.modalities})
        self.standardisers = nn.ModuleDict(
            {m.name: Standardiser(m.latent, config.std_floor) for m in dataset.modalities}
        )
        self.score = ScoreNetwork(
            self.layout.dim,
            len(dataset.modalities),
            width=config.width,
            time=config.time_embed,
            blocks=config.blocks,
            groups=config.groups,
        )

    @classmethod
    def build(cls, dataset: DatasetSpec, config: Any, networks: Networks) -> Self:
        return cls(dataset, config, networks)

    def stages(self) -> Sequence[Stage]:
        return (
            *(self._autoencoder_stage(name) for name in self.dataset.names),
            Stage(
                name="score",
                module=self.score,
                schedule=self.config.score,
                loss=self._score_loss,
                prepare=self._to_latents,
            ),
        )

    def _autoencoder_stage(self, name: str) -> Stage:
        autoencoder = self._autoencoder(name)
        stage = f"autoencoder.{name}"

        def loss(batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
            return {"loss": autoencoder.loss(batch[name])}

        def quality(held_out: Split) -> dict[str, float]:
            rows = torch.arange(0, len(held_out), max(1, len(held_out) // 2000))  # tuples may be sorted by class
            x = held_out.gather(rows, (name,))[name].to(self.device)
            return check_reconstruction(autoencoder, x, stage)

        return Stage(
            name=stage,
            module=autoencoder,
            schedule=self.config.autoencoders[name],
            loss=loss,
            modalities=(name,),
            quality=quality,
        )

    @torch.no_grad()
    def _to_latents(self, train: Split) -> Split:
        """The training set in latent space: every distinct item encoded once, standardised over the items in use."""
        latents = {}
        for name, items in train.items.items():
            parts = [self._encode(name, as_input(chunk.to(self.device))) for chunk in items.split(2048)]
            z = torch.cat(parts)
            standardiser = self._standardiser(name)
            standardiser.fit(z[train.used(name).to(z.device)])
            latents[name] = standardiser(z)
        return Split(latents, train.index, train.labels)

    def _score_loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        z = self.layout.concat(batch)
        t = T_MIN + (1.0 - T_MIN) * torch.rand(len(z), generator=generator, device=z.device)
        eps = torch.randn(z.shape, generator=generator, device=z.device)
        given = choose_given(self.layout.names, self.config.p_joint, generator)
        loss = masked_multi_time_loss(self.score, z, t, eps, given, self.layout, self.sde)
        return {"loss": loss, "conditional" if given else "joint": loss.detach()}

    def generate(
        self, given: Batch, targets: Sequence[str], *, count: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        noise = Noise(generator, count, self.device)
        latents = {name: self._standardiser(name)(self._encode(name, x)) for name, x in given.items()}
        if any(name not in given for name in targets):
            latents = self._complete(latents, count, noise)
        return {name: self._decode(name, latents[name]) for name in targets}

    def _complete(self, given: Mapping[str, Tensor], count: int, noise: Noise) -> dict[str, Tensor]:
        """Standardised latents of all modalities, those that are not given sampled from the reverse SDE."""
        blank = {n: torch.zeros(count, d, device=self.device) for n, d in self.layout.sizes.items()}
        z = self.layout.concat({**blank, **given})
        mask = 1.0 - self.layout.mask(given, self.device)
        indicator = (1.0 - self.layout.indicator(given, self.device))[None]
        dtype = torch.bfloat16 if self.config.sampling_precision == "bfloat16" else torch.float32
        network = self.score if dtype == torch.float32 else deepcopy(self.score).to(dtype)

        def score(x: Tensor, t: Tensor) -> Tensor:
            out = network(x.to(dtype), (t * indicator).to(dtype))
            return out.float() / self.sde.sigma(t)

        return self.layout.split(sample(score, z, mask, path=self.config.path, sde=self.sde, noise=noise))

    def _encode(self, name: str, x: Tensor) -> Tensor:
        return self._autoencoder(name).encode(x)

    def _decode(self, name: str, z: Tensor) -> Tensor:
        return self._autoencoder(name).decode(self._standardiser(name).inverse(z))

    def _autoencoder(self, name: str) -> Autoencoder:
        module = self.autoencoders[name]
        assert isinstance(module, Autoencoder)
        return module

    def _standardiser(self, name: str) -> Standardiser:
        module = self.standardisers[name]
        assert isinstance(module, Standardiser)
        return module
