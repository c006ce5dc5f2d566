"""Wrong models, and near ones that are sound: what a stage says its training depends on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mmbench.model import Batch, Model, Stage

from ..tiny import OneStage, Tiny, TinyConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmConfig(TinyConfig):
    temperature: float = 1.0
    """Of the samples alone."""


class TellsItsSettings(OneStage):
    """All that its training depends on; the temperature acts on samples only, and is left out with right."""

    Config = WarmConfig
    fields: ClassVar[Mapping[str, Any]] = {"needs": ()}

    def stages(self) -> Sequence[Stage]:
        (stage,) = super().stages()
        return (replace(stage, settings=self.settings()),)

    def settings(self) -> dict[str, Any]:
        return {"latent": self.config.latent, "noise": [{"floor": self.config.floor, "kind": "normal", "of": None}]}

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        return self.config.temperature * super().noise(count, generator)


class SettingsWithATuple(TellsItsSettings):
    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "shape": (1, 2)}


class SettingsWithAnInfinity(TellsItsSettings):
    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "bound": math.inf}


class SettingsByNumber(TellsItsSettings):
    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "widths": {1: 5}}


class SettingsThatAreTheConfig(TellsItsSettings):
    def settings(self) -> Any:
        return self.config


class SettingsOfTheMoment(TellsItsSettings):
    asked = 0

    def settings(self) -> dict[str, Any]:
        self.asked += 1
        return {**super().settings(), "asked": self.asked}


class SettingsOfTheSeed(TellsItsSettings):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.start = float(next(self.encoders.parameters()).detach().sum())

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "start": self.start}


class SettingsOfTheTraining(TellsItsSettings):
    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "spread": float(self.spread.detach().mean())}


class KeepsASettingSilent(TellsItsSettings):
    def settings(self) -> dict[str, Any]:
        return {"latent": self.config.latent}


class TellsNoSchedule(TellsItsSettings):
    """The schedule is told by the stage itself, and the latent's size by the weights: neither is silent."""

    def settings(self) -> dict[str, Any]:
        return {"floor": self.config.floor}


class TwoStages(Tiny):
    """Autoencoders without noise, then a spread as wide as the codes."""

    own_needs: ClassVar[Any] = ("autoencoders",)

    def stages(self) -> Sequence[Stage]:
        (stage,) = super().stages()
        coders, spread = nn.ModuleList([self.encoders, self.decoders]), nn.ParameterList([self.spread])
        first = replace(stage, name="autoencoders", module=coders, loss=self.reconstruction, needs=())
        return (first, replace(stage, name="spread", module=spread, loss=self.misfit, needs=self.own_needs))

    def reconstruction(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        code = self.encode(batch)
        return {"loss": sum((self.nll(m, code, batch) for m in batch), torch.zeros(()))}

    def misfit(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": (self.spread - self.encode(batch).detach().std(0)).square().sum()}


class NeedsAllByDefault(TwoStages):
    own_needs = None


class HidesANeed(TwoStages):
    own_needs = ()


class NeedsNothingIndeed(HidesANeed):
    def misfit(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": (self.spread - 0.5).square().sum()}


class NeedsItself(TwoStages):
    own_needs = ("autoencoders", "spread")


class NeedsAStranger(TwoStages):
    own_needs = ("autoencoder",)


class NeedsAWord(TwoStages):
    own_needs = "autoencoders"


class NeedsALaterStage(TwoStages):
    def stages(self) -> Sequence[Stage]:
        first, second = super().stages()
        return (second, first)


FAULTS: Mapping[type[Model], tuple[str, str]] = {
    SettingsWithATuple: ("settings", "plain JSON data"),
    SettingsWithAnInfinity: ("settings", "plain JSON data"),
    SettingsByNumber: ("settings", "plain JSON data"),
    SettingsThatAreTheConfig: ("settings", "to_json"),
    SettingsOfTheMoment: ("settings", "asked again"),
    SettingsOfTheSeed: ("settings", "under another seed"),
    SettingsOfTheTraining: ("settings", "after training"),
    KeepsASettingSilent: ("settings_complete", "'all': floor changes its loss"),
    HidesANeed: ("needs_complete", "'spread'.* the weights of autoencoders"),
    NeedsItself: ("needs", "'spread' needs 'spread'; the stages before it are .'autoencoders'"),
    NeedsAStranger: ("needs", "needs 'autoencoder';"),
    NeedsAWord: ("needs", "must be a tuple"),
    NeedsALaterStage: ("needs", "needs 'autoencoders'; the stages before it are .."),
}
"""Wrong model -> (the one check that it fails, what the message says)."""
SOUND: Sequence[type[Model]] = (TellsItsSettings, TellsNoSchedule, TwoStages, NeedsAllByDefault, NeedsNothingIndeed)
"""Near variants that break no rule."""
