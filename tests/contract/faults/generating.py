"""Wrong models, and near ones that are sound: one call of `generate`."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mmbench.model import Batch, Model

from ..tiny import Tiny


class DrawsGlobally(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randn(count, self.config.latent)


class SeedsGlobally(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        return super().noise(count, generator)


class Answers(Tiny):
    """Changes the answer of `generate`."""

    change: Callable[[Tensor], Tensor]

    def generate(
        self, given: Batch, targets: Sequence[str], *, count: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        answer = super().generate(given, targets, count=count, generator=generator)
        return {name: type(self).change(x) for name, x in answer.items()}


class NaNSamples(Answers):
    change = staticmethod(lambda x: x.log().sub(10).sqrt() if x.is_floating_point() else x)


class WrongShape(Answers):
    change = staticmethod(lambda x: x.flatten(1))


class WrongType(Answers):
    change = staticmethod(lambda x: x.double())


class OutOfRange(Answers):
    change = staticmethod(lambda x: x * 2 - 1 if x.is_floating_point() else x)


class ReturnsEverything(Tiny):
    def generate(
        self, given: Batch, targets: Sequence[str], *, count: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        return super().generate(given, self.dataset.names, count=count, generator=generator)


class NoJointGeneration(Tiny):
    def generate(
        self, given: Batch, targets: Sequence[str], *, count: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        self.encode(given)
        return super().generate(given, targets, count=count, generator=generator)


class EndsTheProgram(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        raise SystemExit(0)


class ChangesItsMode(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        self.decoders.train()
        return super().noise(count, generator)


class LeavesEvalMode(Tiny):
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        self.eval()
        return super().noise(count, generator)


class ChangesAParameter(Tiny):
    @torch.no_grad()
    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        self.spread.mul_(1.001)
        return super().noise(count, generator)


class ChangesTheGivenItems(Tiny):
    def encode(self, given: Batch) -> Tensor:
        code = super().encode(given)
        for x in given.values():
            if not torch.is_grad_enabled():
                x.zero_()
        return code


FAULTS: Mapping[type[Model], tuple[str, str]] = {
    DrawsGlobally: ("random_state", "of torch; draw noise with mmbench.seeding.Noise"),
    SeedsGlobally: ("random_state", "of torch and numpy and python"),
    NaNSamples: ("answers", "NaN"),
    WrongShape: ("answers", "must be torch.float32 .5, 1, 8, 8., got"),
    WrongType: ("answers", "float64"),
    OutOfRange: ("answers", r"must lie in \[0, 1\]"),
    ReturnsEverything: ("answers", "was asked for"),
    NoJointGeneration: ("answers", "joint.*RuntimeError"),
    EndsTheProgram: ("answers", "SystemExit: 0"),
    ChangesItsMode: ("model_kept", "mode of decoders"),
    LeavesEvalMode: ("model_kept", "mode of the model"),
    ChangesAParameter: ("model_kept", "parameter 'spread'"),
    ChangesTheGivenItems: ("model_kept", "the given 'spot'"),
}
"""Wrong model -> (the one check that it fails, what the message says)."""
