"""MLD: uni-modal autoencoders, then one masked multi-time diffusion over their concatenated latents."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from mmbench.abilities import IncompleteLoss, Present
from mmbench.data.dataset import Split, as_input
from mmbench.errors import ConfigError
from mmbench.likelihoods import COLLAPSED, skill_count
from mmbench.modality import DatasetSpec, Modality
from mmbench.model import Batch, Model, Stage
from mmbench.networks import Architecture, Networks
from mmbench.networks.kl_autoencoder import KLDecoder, KLEncoder, kl_latent
from mmbench.seeding import Noise, generator

from .augmentation import trivial_augment
from .autoencoder import Autoencoder, autoencoders
from .completion import completed
from .config import LatentDiffusionConfig, MLDConfig
from .diffusion import (
    UNSKILLED,
    choose_each,
    choose_given,
    loss_of_each,
    masked_multi_time_loss,
    score_skills,
    training_times,
)
from .incomplete import draw_given, known, loss_of_present
from .latents import Layout, Standardiser
from .schedule import VPSDE
from .score import ScoreNetwork

__all__ = ["MLD", "MLDConfig"]

SCORE_SETTINGS = ("width", "time_embed", "blocks", "groups", "std_floor")
"""What every score network's training takes from the configuration, besides its schedule and the autoencoders."""

ABLATION = "it is an ablation of mld: name it to run it"


def autoencoded(dataset: DatasetSpec, config: LatentDiffusionConfig, networks: Networks) -> list[Modality]:
    """The modalities as their autoencoders see them: with the configuration's architecture, its latent and likelihood.

    The squared error is a Gaussian of variance 1/2: -log p = |x - xhat|^2 + size log(pi) / 2.
    """
    images = [m.name for m in dataset.modalities if not m.is_text]
    strange = sorted({*config.networks} - {*dataset.names} | {*config.squared_error} - {*images})
    if strange:
        raise ConfigError(f"networks or squared_error names {strange}; {dataset.name} has the images {images}")
    modalities = []
    for m in dataset.modalities:
        own = replace(m, network=config.networks.get(m.name, m.network))
        if m.name in config.squared_error:
            own = replace(own, likelihood="gaussian", scale=math.sqrt(0.5))
        own = replace(own, latent=config.latent or own.latent)
        modalities.append(replace(own, latent=networks.latent(own)))
        if config.latent not in (None, modalities[-1].latent):
            raise ConfigError(
                f"latent = {config.latent}: the network {own.network!r} of {m.name} has a latent of its own size, "
                f"{modalities[-1].latent}; take another network, or latent=none"
            )
    return modalities


def check_width(width: int, dim: int) -> None:
    """Raise ConfigError for a score network narrower than the latents (D = `dim`).

    At t = 1 its answer is the noise, of D independent dimensions; through `width` units a share of 1 - width / D of it
    is lost at least, which the first steps of every sampler multiply by 1 / m(1) = 150.
    """
    if width < dim:
        raise ConfigError(
            f"width = {width} is less than the {dim} dimensions of the latents: the score network could not pass the "
            "noise of all of them on, and its samples would diverge; take a larger width (the paper's are 1.9 to 10 "
            "times as many) or smaller latents"
        )


def with_kl_width(networks: Networks, width: int) -> Networks:
    """The registry with 'kl_autoencoder' at another width."""
    own = Architecture(partial(KLEncoder, width=width), partial(KLDecoder, width=width), kl_latent)
    return replace(networks, extra={**networks.extra, "kl_autoencoder": own})


def autoencoder_settings(modality: Modality, config: LatentDiffusionConfig) -> dict[str, Any]:
    """All that one autoencoder's training takes from the configuration, and what it replaces of the dataset's."""
    settings: dict[str, Any] = {
        "network": modality.network, "latent": modality.latent, "likelihood": modality.likelihood,
    }  # fmt: skip
    if not modality.is_text:
        settings |= {"scale": modality.scale, "augment": config.augment}
    if modality.network == "kl_autoencoder":
        settings |= {"kl_width": config.kl_width}
    return settings


class MLD(Model):
    """Multi-modal Latent Diffusion (Bounoua et al.), for any number of modalities.

    Stages: one autoencoder per modality on the distinct modality's items of the tuples; then the score network on the
    frozen, standardised latents, which are computed once.
    """

    Config = MLDConfig
    check_settings = (
        "time_embed=32",
        *("sampler.kind=path", "path.steps=8", "path.jump=2", "path.resample=2"),
    )
    score_settings: ClassVar[Sequence[str]] = (*SCORE_SETTINGS, "p_joint", "subsets")
    inpaints: ClassVar[bool] = False
    """Whether the score network knows one time alone, to which the given modalities are diffused too (MLD-Inpaint)."""

    def __init__(self, dataset: DatasetSpec, config: Any, networks: Networks) -> None:
        super().__init__()
        if set(config.autoencoders) != set(dataset.names):
            raise ConfigError(f"autoencoders names {sorted(config.autoencoders)}, the dataset {sorted(dataset.names)}")
        self.dataset, self.config, self.sde = dataset, config, VPSDE()
        networks = with_kl_width(networks, config.kl_width)
        modalities = autoencoded(dataset, config, networks)
        self.layout = Layout({m.name: m.latent for m in modalities})
        check_width(config.width, self.layout.dim)
        own = autoencoded(dataset, replace(config, networks={}), networks)
        self.autoencoders = autoencoders(own, modalities, networks)
        self.standardisers = nn.ModuleDict({m.name: Standardiser(m.latent, config.std_floor) for m in modalities})
        size = {"width": config.width, "time": config.time_embed, "blocks": config.blocks, "groups": config.groups}
        self.score = ScoreNetwork(self.layout.dim, 1 if self.inpaints else len(modalities), **size)

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
                skill=self._score_skill,
                least={"best skill": UNSKILLED},
                settings={name: getattr(self.config, name) for name in self.score_settings},
                needs=tuple(f"autoencoder.{name}" for name in self.dataset.names),
            ),
        )

    def _autoencoder_stage(self, name: str) -> Stage:
        return Stage(
            name=f"autoencoder.{name}",
            module=self._autoencoder(name),
            schedule=self.config.autoencoders[name],
            loss=partial(self._autoencoder_loss, name),
            modalities=(name,),
            skill=partial(self._autoencoder_skill, name),
            least={"skill": COLLAPSED},
            settings=autoencoder_settings(self._autoencoder(name).modality, self.config),
            needs=(),
        )

    def _autoencoder_loss(self, name: str, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        autoencoder, x = self._autoencoder(name), batch[name]
        if self.config.augment == "trivial" and not autoencoder.modality.is_text:
            x = trivial_augment(x, generator)
        return {"loss": autoencoder.loss(x)}

    def _autoencoder_skill(self, name: str, held_out: Split) -> dict[str, float]:
        autoencoder = self._autoencoder(name)
        rows = held_out.spread(skill_count(autoencoder.modality))
        return autoencoder.skill(held_out.gather(rows, (name,))[name].to(self.device))

    @torch.no_grad()
    def _to_latents(self, train: Split) -> Split:
        """The training set in latent space: every distinct item in use encoded once, standardised over those.

        A schedule that sees less than half of the tuples gets no more than it needs.
        """
        schedule, device = self.config.score, self.device
        seen = schedule.total_steps(len(train)) * schedule.batch_size
        if 2 * seen < len(train):
            train = train.take(train.spread(seen))
        latents = {}
        for name, items in train.items.items():
            used = train.used(name)
            parts = [self._encode(name, as_input(items[rows].to(device))) for rows in used.split(2048)]
            standardiser = self._standardiser(name)
            standardiser.fit(torch.cat(parts))
            latents[name] = torch.zeros(len(items), self.layout.sizes[name], device=device)
            latents[name][used.to(device)] = standardiser(torch.cat(parts))
        return replace(train, items=latents)

    def _score_loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        z = self.layout.concat(batch)
        t = training_times(generator, len(z))
        eps = torch.randn(z.shape, generator=generator, device=z.device)
        names, p_joint = self.layout.names, self.config.p_joint
        if self.config.subsets == "sample":
            chosen = choose_each(names, p_joint, len(z), generator)
            return {"loss": loss_of_each(self.score, z, t, eps, chosen, self.layout, self.sde)}
        given = choose_given(names, p_joint, generator)
        loss = masked_multi_time_loss(self.score, z, t, eps, given, self.layout, self.sde)
        return {"loss": loss, "conditional" if given else "joint": loss.detach()}

    def incomplete_losses(self) -> Mapping[str, IncompleteLoss]:
        """Of the score network; an autoencoder is trained on the tuples that have its modality."""
        return {"score": self._incomplete_score_loss}

    def _incomplete_score_loss(self, batch: Batch, present: Present, generator: torch.Generator) -> dict[str, Tensor]:
        z, there = known(batch, present, self.layout)
        t = training_times(generator, len(z))
        eps = torch.randn(z.shape, generator=generator, device=z.device)
        given = draw_given(self.layout, self.config.p_joint, self.config.subsets, len(z), generator)
        return {"loss": loss_of_present(self.score, z, t, eps, given, there, self.layout, self.sde)}

    def _score_skill(self, held_out: Split) -> dict[str, float]:
        z = self._held_out_latents(held_out)
        return score_skills(self.score, z, self.layout, self.sde, generator(0, "skill", device=z.device))

    @torch.no_grad()
    def _held_out_latents(self, held_out: Split) -> Tensor:
        """Some 2,000 standardised latents (n, D), each of them several times where items are dear to encode."""
        rows = held_out.spread(min(skill_count(m) for m in self.dataset.modalities))
        batch = {name: x.to(self.device) for name, x in held_out.gather(rows).items()}
        return self.layout.concat(self._latents(batch)).repeat(-(-2000 // len(rows)), 1)

    def generate(
        self, given: Batch, targets: Sequence[str], *, count: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        noise = Noise(generator, count, self.device)
        latents = self._latents(given)
        if any(name not in given for name in targets):
            latents = self._complete(latents, count, noise)
        return {name: self._decode(name, latents[name]) for name in targets}

    def _complete(self, given: Mapping[str, Tensor], count: int, noise: Noise) -> dict[str, Tensor]:
        """Standardised latents of all modalities, those that are not given sampled from the reverse SDE."""
        blank = {n: torch.zeros(count, d, device=self.device) for n, d in self.layout.sizes.items()}
        z = self.layout.concat({**blank, **given})
        mask, inpaint = self.layout.mask(self.layout.rest(given), self.device), self.inpaints and bool(given)
        made = completed(self.score, z, mask, self._times(given), self.config, self.sde, noise, inpaint=inpaint)
        return self.layout.split(made)

    def _times(self, given: Collection[str]) -> Tensor:
        """The score network's times while sampling, as multiples of t: (1, M), 0 for the given modalities."""
        return self.layout.indicator(self.layout.rest(given), self.device)[None]

    def _latents(self, batch: Batch) -> dict[str, Tensor]:
        """Standardised latents of the batch's modalities."""
        return {name: self._standardiser(name)(self._encode(name, x)) for name, x in batch.items()}

    @torch.no_grad()
    def represent(self, batch: Batch) -> Tensor:
        """The standardised latents of all modalities, in their order: (B, D)."""
        return self.layout.concat(self._latents(batch))

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
