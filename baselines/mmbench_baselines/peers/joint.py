"""multivae's models in two phases: first the joint encoder and the decoders, then the encoders of single modalities."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from mmbench.config import Schedule
from mmbench.model import Batch, Stage
from mmbench.networks import Networks
from mmbench.seeding import Noise

from ..experts import Gaussian, product
from .config import JNFConfig, PeerConfig
from .noise import whole
from .peer import Peer

__all__ = ["JNF", "TELBO"]

FIRST, SECOND = 1, 1000
"""Epochs of multivae's two phases, whose border is 10 by default."""


class InTwoPhases(Peer):
    """Half of the schedule for each phase, as multivae advises."""

    def parts(self, networks: Networks) -> dict[str, Any]:
        from .networks import JointEncoder

        joint = JointEncoder(networks, self.dataset, self.config.latent)
        return {**super().parts(networks), "joint_encoder": joint}

    def stages(self) -> tuple[Stage, Stage]:
        schedule, model = halved(self.config.schedule), self.model
        joint = nn.ModuleList([model.joint_encoder, model.decoders])
        single = nn.ModuleList(self.single())
        first = self.stage("joint", joint, schedule=schedule, loss=self.joint_loss, skill=None, least={})
        return first, self.stage("single", single, schedule=schedule, loss=self.single_loss)

    def single(self) -> list[Any]:
        """The modules of the second phase."""
        return [self.model.encoders]

    def joint_loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return self._phase(batch, generator, FIRST)

    def single_loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        with frozen(self.model.joint_encoder, self.model.decoders):
            return self._phase(batch, generator, SECOND)

    def _phase(self, batch: Batch, generator: torch.Generator, epoch: int) -> dict[str, Tensor]:
        self._epoch = epoch
        return super().loss(batch, generator)

    def clock(self) -> Mapping[str, Any]:
        return {"epoch": self._epoch}


class JNF(InTwoPhases):
    """Senellart, Chadebec and Allassonnière, "Improving multimodal joint variational autoencoders through normalizing
    flows and correlation analysis", 2023: posteriors of single modalities with masked autoregressive flows."""

    Config, title = JNFConfig, "JNF"
    check_settings = ("mcmc_steps=3",)

    def single(self) -> list[Any]:
        return [self.model.encoders, self.model.flows]

    def posterior(self, given: Batch, noise: Noise) -> Any:
        """Where some of three or more modalities are given, multivae's Monte Carlo chain; it starts from an expert of
        each sample's own, which multivae draws by groups of the batch."""

        def start(subset: Sequence[str], data: Batch) -> Tensor:
            component, eps = whole(noise, len(subset)), noise.normal(self.config.latent)
            outputs = [self.model.encoders[name](data[name]) for name in subset]
            every = torch.stack([Gaussian(q.embedding, q.log_covariance).sample(eps) for q in outputs])
            return every[component, torch.arange(len(noise), device=component.device)]

        with patch.object(self.model, "_sample_from_moe_subset", start), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "non-inplace resize is deprecated", UserWarning)
            return self.encoded(given, noise, mcmc_steps=self.config.mcmc_steps)


class TELBO(InTwoPhases):
    """Vedantam et al., "Generative models of visually grounded imagination", ICLR 2018."""

    Config, title = PeerConfig, "TELBO"

    def posterior(self, given: Batch, noise: Noise) -> Any:
        """multivae knows one modality and all; between, the paper's product of the experts and the prior."""
        if len(given) in (1, len(self.dataset.names)):
            return self.encoded(given, noise)
        outputs = [self.model.encoders[name](given[name]) for name in self.present(given)]
        experts = [Gaussian(output.embedding, output.log_covariance) for output in outputs]
        return embedding(product(experts, prior=True).sample(noise.normal(self.config.latent)))


def embedding(z: Tensor) -> Any:
    """multivae's word for a shared latent (B, latent)."""
    from multivae.models.base import ModelOutput  # pyright: ignore[reportMissingImports]

    return ModelOutput(z=z, one_latent_space=True)


def halved(schedule: Schedule) -> Schedule:
    """Half of the steps, or of the epochs, with the warm-up of a half."""
    steps = schedule.steps and max(1, schedule.steps // 2)
    return replace(schedule, steps=steps, epochs=schedule.epochs and schedule.epochs / 2, warmup=schedule.warmup // 2)


@contextmanager
def frozen(*modules: Any) -> Iterator[None]:
    """No gradients of these modules' parameters inside; multivae switches them off itself, for good."""
    before = {p: p.requires_grad for module in modules for p in module.parameters()}
    try:
        for p in before:
            p.requires_grad_(False)
        yield
    finally:
        for p, wanted in before.items():
            p.requires_grad_(wanted)
