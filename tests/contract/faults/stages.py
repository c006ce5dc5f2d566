"""Wrong models, and near ones that are sound: `stages()` and budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import nn

from mmbench.config import Budget
from mmbench.modality import DatasetSpec
from mmbench.model import Model, Stage

from ..tiny import OneStage, Tiny, TinyConfig


class ParameterInTwoStages(Tiny):
    def stages(self) -> Sequence[Stage]:
        (stage,) = super().stages()
        return (stage, replace(stage, name="again", module=self.decoders))


class ParameterInNoStage(Tiny):
    def stages(self) -> Sequence[Stage]:
        (stage,) = super().stages()
        return (replace(stage, module=nn.ModuleList([self.encoders, self.decoders])),)


class TrainsAForeignModule(Tiny):
    def stages(self) -> Sequence[Stage]:
        (stage,) = super().stages()
        foreign = nn.Linear(1, 1)
        return (replace(stage, module=nn.ModuleList([self, foreign])),)


class TwoStagesOfOneName(Tiny):
    def stages(self) -> Sequence[Stage]:
        return (*super().stages(), *super().stages())


class NamelessStage(OneStage):
    fields: ClassVar[Mapping[str, Any]] = {"name": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class WiderAtPaper(TinyConfig):
    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> WiderAtPaper:
        return cls(latent=7 if budget == "paper" else 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisierAtPaper(TinyConfig):
    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> NoisierAtPaper:
        return cls(floor=2.0 if budget == "paper" else 1e-2)


class WiderModel(Tiny):
    Config = WiderAtPaper


class NoisierModel(Tiny):
    Config = NoisierAtPaper


FAULTS: Mapping[type[Model], tuple[str, str]] = {
    ParameterInTwoStages: ("parameters_in_one_stage", "'decoders.*several stages .all, again"),
    ParameterInNoStage: ("parameters_in_one_stage", "'spread' is in no stage"),
    TrainsAForeignModule: ("parameters_in_one_stage", "not be saved"),
    TwoStagesOfOneName: ("stages", "same name"),
    NamelessStage: ("stages", "has no name"),
    WiderModel: ("budgets", "parameters.* is .* at budget 'paper'"),
    NoisierModel: ("budgets", "the loss of stage 'all'.*'paper'"),
}
"""Wrong model -> (the one check that it fails, what the message says)."""
