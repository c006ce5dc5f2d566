"""What a stage changes of a model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import PluginError
from ..model import Model, Stage

__all__ = ["Changes"]


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
