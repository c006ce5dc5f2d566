"""The smallest sound model: what the wrong ones of the tests differ from in one method each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from mmbench.config import Budget, Schedule
from mmbench.likelihoods import decoded, nll
from mmbench.modality import DatasetSpec, Modality
from mmbench.model import Batch, Model, Stage
from mmbench.networks import Networks
from mmbench.seeding import Noise

SCHEDULE = Schedule(steps=100, batch_size=64, lr=1e-3)


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyConfig:
    schedule: Schedule = SCHEDULE
    latent: int = 5
    floor: float = 1e-2
    """Smallest standard deviation of the noise."""

    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> TinyConfig:
        return cls()


def encoder(m: Modality, latent: int) -> nn.Module:
    """(B, *shape) -> (B, latent)."""
    if m.is_text:
        return nn.Sequential(nn.Embedding(len(m.vocabulary), 3), nn.Flatten(), nn.Linear(3 * m.size, latent))
    return nn.Sequential(nn.Flatten(), nn.Linear(m.size, latent))


def decoder(m: Modality, latent: int) -> nn.Module:
    """(B, latent) -> location (B, *shape), or logits (B, length, vocabulary)."""
    shape = (*m.shape, len(m.vocabulary)) if m.is_text else m.shape
    linear = [nn.Linear(latent, math.prod(shape)), nn.Unflatten(1, shape)]
    return nn.Sequential(*linear) if m.is_text else nn.Sequential(*linear, nn.Sigmoid())


class Tiny(Model):
    """The mean of the given modalities' codes plus learned noise, decoded. Each fault below overrides one method."""

    Config = TinyConfig

    def __init__(self, dataset: DatasetSpec, config: Any, networks: Networks) -> None:
        super().__init__()
        self.dataset, self.config = dataset, config
        self.encoders = nn.ModuleDict({m.name: encoder(m, config.latent) for m in dataset.modalities})
        self.decoders = nn.ModuleDict({m.name: decoder(m, config.latent) for m in dataset.modalities})
        self.spread = nn.Parameter(torch.ones(config.latent))

    @classmethod
    def build(cls, dataset: DatasetSpec, config: Any, networks: Networks) -> Self:
        return cls(dataset, config, networks)

    def stages(self) -> Sequence[Stage]:
        return (Stage(name="all", module=self, schedule=self.config.schedule, loss=self.loss),)

    def encode(self, given: Batch) -> Tensor:
        return torch.stack([self.encoders[name](x) for name, x in given.items()]).mean(0)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        code = self.encode(batch)
        z = code + (self.config.floor + self.spread.abs()) * torch.randn(code.shape, generator=generator)
        return {"loss": sum((self.nll(m, z, batch) for m in batch), torch.zeros(()))}

    def nll(self, name: str, z: Tensor, batch: Batch) -> Tensor:
        return nll(self.dataset.modality(name), self.decoders[name](z), batch[name]).mean()

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return Noise(generator, count).normal(self.config.latent)

    def generate(
        self, given: Batch, targets: Sequence[str], *, count: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        z = self.spread * self.noise(count, generator)
        if given:
            z = z + self.encode(given)
        return {name: decoded(self.dataset.modality(name), self.decoders[name](z)) for name in targets}


class OneStage(Tiny):
    """Its stage has other fields, in ways that only the classes below call wrong."""

    fields: ClassVar[Mapping[str, Any]] = {}

    def stages(self) -> Sequence[Stage]:
        (stage,) = super().stages()
        return (replace(stage, **self.fields),)
