"""What a model may offer beside its contract: for the metrics that look at the model itself, and for a training with
missing modalities.

None of it is asked of a model. It has an ability whose class has the method; what needs one says so of a model without
it, which is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from .model import Batch

__all__ = ["Incomplete", "IncompleteLoss", "Likely", "Present", "Representing"]

Present = Mapping[str, Tensor]
"""Modality name -> bool (B,), whether each tuple of a batch has it; every tuple has at least one."""
IncompleteLoss = Callable[[Batch, Present, torch.Generator], dict[str, Tensor]]
"""(batch, present, generator) -> named scalar terms with the one that is minimised under 'loss', as `Stage.loss`."""


@runtime_checkable
class Incomplete(Protocol):
    """A model that can be trained on tuples of which modalities are missing (`mmbench run --missing 0.2`)."""

    def incomplete_losses(self) -> Mapping[str, IncompleteLoss]:
        """The losses of incomplete tuples, by the names of stages: one for each stage whose batch holds several
        modalities. A stage of a single modality is trained with its own loss on the tuples that have it.

        `batch` holds every modality of the stage in full, so that shapes never change; where `present` says that an
        item is missing its values mean nothing, may be NaN, and must change no term and no gradient by a bit:
        `mmbench.data.missing.filled` puts others in their place. Where nothing is missing it is the stage's own loss,
        with the same draws. A mean over the batch counts all of its tuples. A stage's `prepare` keeps `Split.present`.
        """
        ...


@runtime_checkable
class Likely(Protocol):
    """A model with an explicit density."""

    def log_likelihood(self, batch: Batch, *, samples: int, generator: torch.Generator) -> Tensor:
        """An importance-sampling estimate of ln p(x_1, ..., x_M) of each tuple (B,), in nats, from `samples` draws of
        the proposal for each. The generator, on the CPU, is the only source of randomness; `batch` holds every
        modality, on the model's device."""
        ...


@runtime_checkable
class Representing(Protocol):
    """A model with a joint representation."""

    def represent(self, batch: Batch) -> Tensor:
        """One vector for each tuple (B, d), without noise. `batch` holds every modality, on the model's device."""
        ...
