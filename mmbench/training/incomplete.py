"""What a stage is trained on, and its loss, where modalities of the tuples are missing (`data.missing`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ..abilities import Incomplete
from ..data.dataset import Split
from ..errors import PluginError
from ..model import Model, Stage

__all__ = ["loss_of", "prepared"]


def prepared(stage: Stage, split: Split) -> Split:
    """A stage's own training set: of incomplete tuples those that have one of its modalities, whole where they have
    all of them."""
    found = stage.prepare(split) if stage.prepare else split
    if split.present is None:
        return found
    if found.present is None:
        raise PluginError(f"stage {stage.name!r}: prepare must keep Split.present: use dataclasses.replace(split, ...)")
    own = found.present[:, [found.names.index(name) for name in stage.modalities or found.names]]
    found = found.take(own.any(1))
    return replace(found, present=None) if bool(own.sum() == own.shape[1] * len(found)) else found


def loss_of(model: Model, stage: Stage, tuples: Split) -> Callable[[Tensor, torch.Generator], Mapping[str, Tensor]]:
    """(rows of its tuples, generator) -> the terms of a stage's loss. Raises PluginError where it has none of
    incomplete tuples and they are."""
    if tuples.present is None:
        return lambda rows, generator: stage.loss(tuples.gather(rows, stage.modalities), generator)
    losses = model.incomplete_losses() if isinstance(model, Incomplete) else {}
    if stage.name not in losses:
        raise PluginError(
            f"{type(model).__name__} has no loss of incomplete tuples for its stage {stage.name!r}: train it without "
            "--missing (its author may add incomplete_losses, see mmbench.abilities.Incomplete)"
        )
    loss, names = losses[stage.name], stage.modalities or tuples.names
    return lambda rows, generator: loss(tuples.gather(rows, names), tuples.there(rows, names), generator)
