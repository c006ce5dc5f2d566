"""Wrong models, and near ones that are sound: what samples depend on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmbench.model import Batch, Model

from ..tiny import Tiny


class IgnoresItsCondition(Tiny):
    def encode(self, given: Batch) -> Tensor:
        code = super().encode(given)
        return code if torch.is_grad_enabled() else torch.zeros_like(code)


class IgnoresOneOfTwo(Tiny):
    def encode(self, given: Batch) -> Tensor:
        return super().encode(given if torch.is_grad_enabled() else dict([next(iter(given.items()))]))


class OtherSamplesEachTime(Tiny):
    calls = 0

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        self.calls += 1
        return super().noise(count, generator) + 0.1 * self.calls


class SameSamplesAlways(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return super().noise(count, torch.Generator().manual_seed(0))


class OneNoiseForAll(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return super().noise(1, generator).expand(count, -1)


class NoiseOfTheBatch(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randn(count, self.config.latent, generator=generator)


class SeesTheBatch(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        noise = super().noise(count, generator)
        return noise - noise.mean(0)


class ForgetsWhatItLearned(Tiny):
    """Keeps what generation needs in an attribute that no checkpoint holds."""

    shift: Tensor

    def encode(self, given: Batch) -> Tensor:
        code = super().encode(given)
        if torch.is_grad_enabled():
            self.shift = code.detach().mean(0)
        return code

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return super().noise(count, generator) + getattr(self, "shift", torch.zeros(self.config.latent))


FAULTS: Mapping[type[Model], tuple[str, str]] = {
    IgnoresItsCondition: ("conditions_used", "condition the samples on everything"),
    IgnoresOneOfTwo: ("conditions_used", "other 'word' items .* leave flag"),
    OtherSamplesEachTime: ("same_seed", "same generator"),
    SameSamplesAlways: ("other_seed", "another generator"),
    OneNoiseForAll: ("other_seed", "one stream per sample"),
    NoiseOfTheBatch: ("batch_cut", "draw noise with mmbench.seeding.Noise"),
    SeesTheBatch: ("batch_cut", "rest of its batch"),
    ForgetsWhatItLearned: ("save_load", "register_buffer"),
}
"""Wrong model -> (the one check that it fails, what the message says)."""
