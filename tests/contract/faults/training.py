"""Wrong models, and near ones that are sound: a stage's loss, training and skill."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mmbench.data.dataset import Split
from mmbench.errors import TrainingError
from mmbench.likelihoods import nll
from mmbench.modality import DatasetSpec
from mmbench.model import Batch, Model
from mmbench.networks import Networks

from ..tiny import OneStage, Tiny


class DropoutLayer(Tiny):
    """A dropout layer is seeded by the harness: no breach of the contract."""

    def __init__(self, dataset: DatasetSpec, config: Any, networks: Networks) -> None:
        super().__init__(dataset, config, networks)
        self.thin = nn.Dropout(0.1)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        terms = super().loss(batch, generator)
        return {**terms, "loss": self.thin(terms["loss"].expand(1000)).mean()}


class DropoutInLoss(Tiny):
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        terms = super().loss(batch, generator)
        return {"loss": nn.functional.dropout(terms["loss"].expand(8), 0.5).mean()}


class OwnGeneratorInLoss(Tiny):
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        if not hasattr(self, "own"):
            self.own = torch.Generator().manual_seed(0)
        return super().loss(batch, self.own)


class UnusedParameter(Tiny):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.unused = nn.Parameter(torch.zeros(3))


class ZeroGradient(UnusedParameter):
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": super().loss(batch, generator)["loss"] + 0.0 * self.unused.sum()}


class NaNGradient(UnusedParameter):
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": super().loss(batch, generator)["loss"] + self.unused[:1].mul(0).sqrt().nan_to_num(0.0).sum()}


class NaNLoss(Tiny):
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": (super().loss(batch, generator)["loss"] - 1e9).log()}


class LossPerItem(Tiny):
    def nll(self, name: str, z: Tensor, batch: Batch) -> Tensor:
        return nll(self.dataset.modality(name), self.decoders[name](z), batch[name])


class LossWithoutName(Tiny):
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return {"elbo": super().loss(batch, generator)["loss"]}


class WrongSign(Tiny):
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        value = super().loss(batch, generator)["loss"]
        return {"loss": 2 * value.detach() - value}


class SkillOfNaN(OneStage):
    fields: ClassVar[Mapping[str, Any]] = {"skill": lambda held_out: {"skill": float("nan")}}


class SkillThatRefusesACollapse(OneStage):
    @staticmethod
    def refuse(held_out: Split) -> dict[str, float]:
        raise TrainingError("the stage has collapsed")

    fields: ClassVar[Mapping[str, Any]] = {"skill": refuse}


class LowSkill(OneStage):
    """A collapse is told and not judged: no breach of the contract."""

    fields: ClassVar[Mapping[str, Any]] = {"skill": lambda held_out: {"skill": -0.5}, "least": {"skill": 0.1}}


class LeastOfWhatIsNotThere(OneStage):
    fields: ClassVar[Mapping[str, Any]] = {**LowSkill.fields, "least": {"skill": 0.1, "skills": 0.1}}


class LeastWithoutSkill(OneStage):
    fields: ClassVar[Mapping[str, Any]] = {"least": {"skill": 0.1}}


class InfiniteLeast(OneStage):
    fields: ClassVar[Mapping[str, Any]] = {**LowSkill.fields, "least": {"skill": -math.inf}}


class WarmsUp(Tiny):
    """A term that grows with the training steps, which a buffer counts."""

    steps_done: Tensor

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.register_buffer("steps_done", torch.zeros(()))

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        if self.training:
            self.steps_done += 1
        return {"loss": super().loss(batch, generator)["loss"] + 100 * self.steps_done * self.spread.square().sum()}


FAULTS: Mapping[type[Model], tuple[str, str]] = {
    DropoutInLoss: ("loss_draws", "dropout"),
    OwnGeneratorInLoss: ("loss_draws", "generator=generator"),
    UnusedParameter: ("gradients", "'unused' never gets a gradient"),
    ZeroGradient: ("gradients", "'unused' has gradient 0"),
    NaNLoss: ("losses", "'loss' is nan"),
    LossPerItem: ("losses", "scalar"),
    LossWithoutName: ("losses", "as 'loss'"),
    WrongSign: ("learning", "check its sign"),
    SkillOfNaN: ("skill", "finite"),
    SkillThatRefusesACollapse: ("skill", "raises TrainingError .the stage has collapsed"),
    LeastOfWhatIsNotThere: ("least", "names 'skills', skill returns .'skill'"),
    LeastWithoutSkill: ("least", "skill returns nothing"),
    InfiniteLeast: ("least", "'?skill'? is not a finite number"),
}
"""Wrong model -> (the one check that it fails, what the message says)."""
SOUND: Sequence[type[Model]] = (DropoutLayer, LowSkill, WarmsUp)
"""Near variants that break no rule."""
