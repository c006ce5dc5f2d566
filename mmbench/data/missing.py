"""Incomplete training tuples: which modalities of each are there, as a function of the seed alone.

The mask belongs to the tuple. It is drawn once for all tuples, so that it knows nothing of models, stages, epochs,
batches or their order; and what is missing cannot be read, for the index of a missing item points to one that is there.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..errors import DataError
from ..seeding import generator
from .dataset import Split

__all__ = ["filled", "incomplete", "mask"]


def mask(count: int, modalities: int, share: float, seed: int) -> Tensor:
    """Which modalities of each tuple are there, bool (count, modalities).

    Each is dropped with probability `share`, independently; of a tuple that would lose all, one that is drawn uniformly
    stays. So a modality is missing with probability share - share^M / M. What is missing at one share is missing at
    every larger one.
    """
    u = torch.rand(count, modalities, generator=generator(seed, "missing"), dtype=torch.float64)
    last = torch.nn.functional.one_hot(u.argmax(1), modalities).bool()
    return (u >= share) | last


def incomplete(split: Split, share: float, seed: int) -> Split:
    """The same tuples with modalities missing, or `split` itself where the share is 0.

    The item of a missing modality is one that another tuple has, and stands for nothing.
    """
    if share == 0:
        return split
    present = mask(len(split), len(split.names), share, seed)
    columns = [_standing_in(split, k, present[:, k]) for k in range(len(split.names))]
    return replace(split, index=torch.stack(columns, 1), present=present.to(split.index.device))


def _standing_in(split: Split, k: int, there: Tensor) -> Tensor:
    """The k-th column of the index, with items that are there in the place of missing ones, one after the other."""
    own, column = split.index.cpu()[:, k], split.index.cpu()[:, k].clone()
    kept = own[there]
    if not len(kept):
        raise DataError(f"no training tuple keeps {split.names[k]!r}: use more data, or drop less with --missing")
    column[~there] = kept[torch.arange(int((~there).sum())) % len(kept)]
    return column.to(split.index.device)


def filled(x: Tensor, present: Tensor) -> Tensor:
    """A batch (B, *shape) of one modality with items that are there in the place of the missing ones, in turn; zeros
    where none is there. Nothing of the missing ones is left, whatever they hold, NaN too.

    Encoders may run on it: layers that look at the whole batch (BatchNorm) see items of the data. Nothing waits for the
    device.
    """
    first = (~present).to(torch.uint8).argsort(stable=True)
    turn = torch.arange(len(x), device=x.device) % present.sum().clamp(min=1)
    rows = torch.where(present, torch.arange(len(x), device=x.device), first[turn])
    shape = (-1, *[1] * (x.ndim - 1))
    return torch.where(present[rows].view(shape), x[rows], torch.zeros((), dtype=x.dtype, device=x.device))
