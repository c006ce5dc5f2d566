"""Wrong models, and near ones that are sound: configurations, recipes and `build`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mmbench.config import Budget
from mmbench.modality import DatasetSpec
from mmbench.model import Model
from mmbench.networks import Networks

from ..tiny import Tiny, TinyConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LosesItsType(TinyConfig):
    extra: Any = ()

    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> LosesItsType:
        return cls(extra=(1, 2))


@dataclass
class Thawed:
    latent: int = 5


class LosesItsConfig(Tiny):
    Config = LosesItsType


class ThawedConfig(Tiny):
    Config = Thawed


class NoRecipeForSmoke(Tiny):
    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> Any:
        return {"paper": TinyConfig()}[budget]


class UnseededParameters(Tiny):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        fresh = torch.Generator()
        fresh.seed()
        self.spread = nn.Parameter(torch.rand(5, generator=fresh))


class BuildsForTwoOnly(Tiny):
    def __init__(self, dataset: DatasetSpec, config: Any, networks: Networks) -> None:
        _first, _second = dataset.modalities
        super().__init__(dataset, config, networks)


class Abstract(Model):
    Config = TinyConfig


FAULTS: Mapping[type[Model], tuple[str, str]] = {
    LosesItsConfig: ("config_json", "exact type hints"),
    ThawedConfig: ("class", "frozen=True"),
    NoRecipeForSmoke: ("recipes", "KeyError: 'smoke'"),
    UnseededParameters: ("build", "'spread'"),
    BuildsForTwoOnly: ("build", "the toy of 3 modalities: ValueError"),
    Abstract: ("class", "lacks build, generate, stages"),
}
"""Wrong model -> (the one check that it fails, what the message says)."""
