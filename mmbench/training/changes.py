"""What a stage trains and changes of a model, and how that is put back into one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..errors import PluginError, ResultError
from ..model import Model, Stage

__all__ = ["Changes", "put", "size", "trained"]


class Changes:
    """What a stage changes of a model: its module's tensors, and those buffers outside of it that are no longer what
    they were when the stage began."""

    def __init__(self, model: Model, stage: Stage) -> None:
        own = {id(t) for t in (*stage.module.parameters(), *stage.module.buffers())}
        state = model.state_dict(keep_vars=True)
        self.inside = {name: tensor for name, tensor in state.items() if id(tensor) in own}
        buffers = {name: t for name, t in state.items() if name not in self.inside and not isinstance(t, nn.Parameter)}
        self.outside = {name: (tensor, tensor.detach().clone()) for name, tensor in buffers.items()}
        trained = sum(p.requires_grad for p in stage.module.parameters())
        if trained > sum(isinstance(t, nn.Parameter) and t.requires_grad for t in self.inside.values()):
            raise PluginError(
                f"stage {stage.name!r} trains a module that is no part of the model: make it an attribute"
            )

    def __call__(self) -> dict[str, Tensor]:
        moved = {name: now for name, (now, before) in self.outside.items() if not torch.equal(now, before)}
        return {**self.inside, **moved}

    def places(self) -> dict[str, Tensor]:
        """The buffers outside, changed or not."""
        return {name: now for name, (now, _) in self.outside.items()}


def trained(stage: Stage) -> dict[str, nn.Parameter]:
    """The parameters that a stage trains, by their names in its module."""
    return {name: p for name, p in stage.module.named_parameters() if p.requires_grad}


def size(stage: Stage) -> int:
    """How many numbers a stage trains."""
    return sum(p.numel() for p in trained(stage).values())


def put(model: Model, stage: Stage, tensors: Mapping[str, Tensor]) -> None:
    """Put a stage's tensors into the model. ResultError where they are another model's."""
    state = model.state_dict(keep_vars=True)
    own = {id(t) for t in (*stage.module.parameters(), *stage.module.buffers())}
    wrong = [n for n, tensor in tensors.items() if n not in state or state[n].shape != tensor.shape]
    wrong += [name for name, tensor in state.items() if id(tensor) in own and name not in tensors]
    if wrong:
        raise ResultError(
            f"the kept stage {stage.name!r} is of another model ({wrong[0]}): its author should name in "
            "`Stage.settings` all that it depends on; `mmbench cache clear` makes room"
        )
    with torch.no_grad():
        for name, tensor in tensors.items():
            state[name].copy_(tensor)
