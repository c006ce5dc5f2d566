"""How much a training puts on disk, from the shapes of what is trained."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from ..metric import Kept

__all__ = ["stored_size"]

HEADER = 160
"""Bytes of a tensor's line in a file's header, with its name."""
FILE = 8_192
"""Bytes of a card, or of what a checkpoint says beside its tensors."""
STATES = 12_000
"""Bytes of the states of random generators."""
CHECKPOINTS = 2
"""That are kept at once."""


def stored_size(tensors: Iterable[Tensor], average: bool = False) -> Kept:
    """Of a network, or a stage, whose tensors are these.

    Arguments:
        average: whether a moving average of the parameters is kept, too.
    """
    tensors = list(tensors)
    trained = [t for t in tensors if isinstance(t, nn.Parameter) or t.is_floating_point()]
    live, own = (sum(t.numel() * t.element_size() + HEADER for t in each) for each in (tensors, trained))
    checkpoint = live + (3 if average else 2) * own + HEADER * len(trained) + STATES + FILE
    return Kept(live + FILE, CHECKPOINTS * checkpoint)
