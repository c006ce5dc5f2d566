"""Wrong models, and a sound one: losses of tuples of which modalities are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmbench.abilities import IncompleteLoss, Present
from mmbench.data.missing import filled
from mmbench.likelihoods import nll
from mmbench.model import Batch, Model

from ..tiny import Tiny


class TinyIncomplete(Tiny):
    """The mean of the codes that are there, and the losses of what is there."""

    def incomplete_losses(self) -> Mapping[str, IncompleteLoss]:
        return {"all": self.incomplete_loss}

    def incomplete_loss(self, batch: Batch, present: Present, generator: torch.Generator) -> dict[str, Tensor]:
        return self.loss_of_filled({n: filled(x, present[n]) for n, x in batch.items()}, present, generator)

    def loss_of_filled(self, batch: Batch, present: Present, generator: torch.Generator) -> dict[str, Tensor]:
        code = self.code(batch, present)
        z = code + (self.config.floor + self.spread.abs()) * torch.randn(code.shape, generator=generator)
        return {"loss": torch.stack([self.term(n, z, batch, present[n]) for n in batch]).sum()}

    def code(self, batch: Batch, present: Present) -> Tensor:
        codes = torch.stack([self.encoders[n](x) * present[n][:, None] for n, x in batch.items()])
        return codes.sum(0) / torch.stack(list(present.values())).sum(0)[:, None]

    def term(self, name: str, z: Tensor, batch: Batch, there: Tensor) -> Tensor:
        value = nll(self.dataset.modality(name), self.decoders[name](z), batch[name])
        return value.masked_fill(~there, 0.0).mean()


class NoIncompleteLoss(TinyIncomplete):
    def incomplete_losses(self) -> Mapping[str, IncompleteLoss]:
        return {}


class IncompleteLossOfAStranger(TinyIncomplete):
    def incomplete_losses(self) -> Mapping[str, IncompleteLoss]:
        return {**super().incomplete_losses(), "score": self.incomplete_loss}


class AnotherObjective(TinyIncomplete):
    """Of the mean of what is there, not its sum."""

    def incomplete_loss(self, batch: Batch, present: Present, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": super().incomplete_loss(batch, present, generator)["loss"] / len(batch)}


class ReadsTheMissing(TinyIncomplete):
    """It leaves out their losses, and encodes them all the same."""

    def code(self, batch: Batch, present: Present) -> Tensor:
        return self.encode(batch)

    def incomplete_loss(self, batch: Batch, present: Present, generator: torch.Generator) -> dict[str, Tensor]:
        clean = {n: torch.nan_to_num(x) if x.is_floating_point() else x for n, x in batch.items()}
        return self.loss_of_filled(clean, present, generator)


class TimesZero(TinyIncomplete):
    """0 times NaN is NaN."""

    def incomplete_loss(self, batch: Batch, present: Present, generator: torch.Generator) -> dict[str, Tensor]:
        return self.loss_of_filled(batch, present, generator)


FAULTS: Mapping[type[Model], tuple[str, str]] = {
    NoIncompleteLoss: ("incomplete_losses", "lacks stage 'all'"),
    IncompleteLossOfAStranger: ("incomplete_losses", "names 'score', the stages are"),
    AnotherObjective: ("incomplete_whole", "where nothing is missing"),
    ReadsTheMissing: ("incomplete_unread", "changes where what is missing"),
    TimesZero: ("incomplete_unread", "is not finite|changes where what is missing is NaN"),
}
"""Wrong model -> (the one check that it fails, what the message says)."""
SOUND: Sequence[type[Model]] = (TinyIncomplete,)
