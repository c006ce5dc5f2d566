"""What a model may offer beside its contract, for the metrics that look at the model itself.

None of it is asked of a model; a metric that needs one says so, and is left out of a model without it.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from .model import Batch

__all__ = ["Likely", "Representing"]


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
