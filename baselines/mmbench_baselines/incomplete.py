"""VAEs that learn from incomplete tuples: products and mixtures of the experts that are there, losses of those alone.

See `mmbench.abilities.Incomplete`. A loss with `present` is that of the tuple without what it lacks; the mean over the
batch counts all of its tuples.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from inspect import signature
from typing import Any, TypeVar

import torch
from torch import Tensor

from mmbench.abilities import IncompleteLoss, Present
from mmbench.data.missing import filled
from mmbench.model import Batch

from .config import VAEConfig
from .vae import MultimodalVAE

__all__ = ["IncompleteVAE"]

C = TypeVar("C", bound=VAEConfig)


class IncompleteVAE(MultimodalVAE[C]):
    """A VAE that can be trained with missing modalities. A subclass with a `loss` of its own that knows no `present`
    cannot: it takes whole tuples only."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "loss" in vars(cls) and "present" not in signature(cls.loss).parameters:
            cls.incomplete_losses = None  # type: ignore[assignment]

    @abstractmethod
    def loss(self, batch: Batch, generator: torch.Generator, present: Present | None = None) -> dict[str, Tensor]:
        """The named terms of the objective, of whole tuples or of what is `present`; every item is one of the data."""

    def incomplete_losses(self) -> Mapping[str, IncompleteLoss]:
        return {"elbo": self.incomplete_loss}

    def incomplete_loss(self, batch: Batch, present: Present, generator: torch.Generator) -> dict[str, Tensor]:
        return self.loss({name: filled(x, present[name]) for name, x in batch.items()}, generator, present)
