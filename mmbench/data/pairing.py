"""Tuples of uni-modal items that share a class: a digit of MNIST with a random one of SVHN.

Sources: Shi et al., "Variational mixture-of-experts autoencoders for multi-modal deep generative models", 2019;
the paper's Appendix B.1 (20 instances of each item). The public code draws from the global random state; here the
pairing has a seed of its own, so that every model and every training seed sees the same tuples.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import DataError
from ..seeding import generator

__all__ = ["CAP", "COPIES", "pair", "pair_counts"]

COPIES = 20
"""How many tuples every used item belongs to."""
CAP = 10_000
"""The most items of one class that are used."""


def pair_counts(counts: Sequence[Sequence[int]], cap: int = CAP) -> list[int]:
    """How many items n_c of each class are used: n_c = min(cap, items of class c in every modality).

    Arguments:
        counts: one row per modality, the number of its items in each class.
        cap: the most items of one class.
    """
    if len({len(row) for row in counts}) != 1:
        raise DataError("every modality needs one count for each class")
    return [min(cap, *column) for column in zip(*counts, strict=True)]


def pair(labels: Sequence[Tensor], *, copies: int = COPIES, cap: int = CAP, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Tuples of items that share a class.

    Of each class the first n_c items of every modality are used, in the order of the data. `copies` times
    over, each modality's items are put in a fresh random order of their own, and the k-th items form a tuple: every
    used item belongs to exactly `copies` tuples.

    Arguments:
        labels: one vector per modality, the class 0, 1, ... of each of its items, integer (n_m,).
        copies: tuples per used item.
        cap: the most items of one class.
        seed: of the pairing alone.

    Returns:
        index (N, M) int32, the item of each modality, and labels (N,) int64, with N = copies * sum of n_c.
        Tuples are ordered by class: whoever trains must shuffle.
    """
    classes = max((int(vector.max()) + 1 for vector in labels if len(vector)), default=0)
    tallies = [torch.bincount(vector.long(), minlength=classes) for vector in labels]
    used = pair_counts([tally.tolist() for tally in tallies], cap)
    items = list(map(_by_class, labels, tallies))
    draws = generator(seed, "pairing")
    blocks = [_shuffled([own[c][:n] for own in items], copies, draws) for c, n in enumerate(used)]
    index = torch.cat(blocks) if blocks else torch.empty((0, len(labels)), dtype=torch.int32)
    return index, torch.repeat_interleave(torch.arange(classes), torch.tensor(used, dtype=torch.int64) * copies)


def _by_class(labels: Tensor, tally: Tensor) -> tuple[Tensor, ...]:
    """The items of each class, in the order of the data."""
    return torch.argsort(labels, stable=True).to(torch.int32).split(tally.tolist())


def _shuffled(items: Sequence[Tensor], copies: int, draws: torch.Generator) -> Tensor:
    """One class's tuples (copies * n, M) from its items, M vectors (n,)."""
    rounds = [
        torch.stack([own[torch.randperm(len(own), generator=draws)] for own in items], dim=1) for _ in range(copies)
    ]
    return torch.cat(rounds)
