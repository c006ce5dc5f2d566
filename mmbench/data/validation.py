"""Which training tuples are held out, to choose settings on: those of held-out items.

Rows alone will not do. A pairing repeats an image in twenty tuples, and an image has ten captions: a tuple left out at
random consists of items that the model has seen. So items are held out: tuples of held-out items alone validate, and
tuples without any train (`apart`). How depends on the components into which shared items tie the tuples:

* Where a class falls into many (glyphs, where no two tuples share an item; images with captions), whole components are
  held out, a tenth of them, and no tuple is lost.
* Where the pairing ties a class together (20 random partners of each item), the items of some tuples are held out: of
  2,000, which takes a thirtieth of the items of MNIST-Fashion. These items meet again in other tuples, so that about
  3,200 validate; 6 % of all mix held-out items with others and serve neither side when settings are chosen. Of smaller
  data so few items are held out that at most a fifth of the tuples mixes (but for one tuple of each class).

Items here are those that tell tuples apart: not the words that say a class, which all of its tuples share. The choice
is random, the same each time, and stratified by class.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ..errors import DataError
from ..seeding import generator

__all__ = ["apart", "hold_out", "hold_out_classes"]

SHARE = 0.1
"""Of the components, or of the classes, so many are held out."""
MOST = 10_000
"""Tuples of the components that are held out, at most (but for rounding)."""
SEEDS = 2_000
"""Tuples whose items are held out, where the pairing ties a class together; at most."""
LOSS = 0.2
"""The share of tuples that may be lost there; with M modalities LOSS / M of the items of each are held out."""
LEAST = 2
"""Tuples that are held out at least, if there are more."""

Array = np.ndarray


def hold_out(items: Tensor, labels: Tensor | None) -> Tensor:
    """Rows of the tuples held out, int64 (V,), ascending.

    Arguments:
        items: integer (N, M), each tuple's item of every modality whose items tell tuples apart.
        labels: integer (N,), the class of each tuple, or None.

    Raises DataError where there are fewer than two tuples.
    """
    if len(items) < LEAST:
        raise DataError("a dataset needs two training tuples or more, to hold one out")
    index = items.cpu().numpy()
    classes = np.zeros(len(index), int) if labels is None else _numbered(labels.cpu().numpy())
    units, share = _components(index), min(SHARE, MOST / len(index))
    if _tied(units, classes):
        units, share = np.arange(len(index)), _seeds(index) / len(index)
    drawn = _drawn(units, classes, share)
    return torch.from_numpy(np.flatnonzero(_shared(index, index[drawn]).all(axis=1)))


def hold_out_classes(labels: Tensor) -> Tensor | None:
    """Rows of the tuples of held-out classes, a tenth of the classes and at least one; None where there is but one.

    For datasets that test on unseen classes: unseen images of classes that were seen would be another, easier task.
    """
    present = torch.unique(labels)
    if len(present) < 2:
        return None
    order = torch.randperm(len(present), generator=generator(0, "validation"))
    held = present[order[: max(1, round(SHARE * len(present)))]]
    return torch.isin(labels, held).nonzero()[:, 0]


def apart(items: Tensor, held: Tensor) -> Tensor:
    """Rows of the tuples `items` (N, M) that share no item with a tuple of `held` (V, M), int64, ascending."""
    return torch.from_numpy(np.flatnonzero(~_shared(items.cpu().numpy(), held.cpu().numpy()).any(axis=1)))


def _components(index: Array) -> Array:
    """The component (N,) of each tuple; two tuples that share an item are of one.

    The nodes of the graph are the items; a tuple ties each of its items to the next.
    """
    sizes = index.max(axis=0) + 1
    nodes = index + (np.cumsum(sizes) - sizes)
    ends = nodes[:, :-1].ravel(), nodes[:, 1:].ravel()
    graph = coo_array((np.ones(len(ends[0])), ends), shape=(sizes.sum(), sizes.sum()))
    return _numbered(connected_components(graph, directed=False)[1][nodes[:, 0]])


def _numbered(values: Array) -> Array:
    """Values (N,) that are not negative, numbered from 0 without gaps, in their order."""
    return (np.cumsum(np.bincount(values) > 0) - 1)[values]


def _tied(components: Array, classes: Array) -> bool:
    """Whether most tuples lie in a component of more than half their class."""
    own, of_class = (np.bincount(groups)[groups] for groups in (components, classes))
    return bool((2 * own > of_class).mean() > 0.5)


def _seeds(index: Array) -> float:
    """How many tuples have their items held out, where the pairing ties a class together."""
    fewest = min(np.count_nonzero(np.bincount(column)) for column in index.T)
    return min(SEEDS, LOSS / index.shape[1] * fewest)


def _drawn(units: Array, classes: Array, share: float) -> Array:
    """Which tuples belong to the units drawn, bool (N,): a share of each class's units, at least one but never all."""
    kind = np.zeros(units.max() + 1, dtype=np.int64)
    kind[units] = classes
    if np.bincount(kind).max() < 2:
        kind[:] = 0  # no class has one to spare
    count = np.bincount(kind)
    least = np.ceil(LEAST / (np.count_nonzero(count) * np.bincount(units).min()))
    quota = np.minimum(np.maximum(np.round(share * count), least), np.maximum(count - 1, 0))
    order = torch.randperm(len(kind), generator=generator(0, "validation")).numpy()
    order = order[np.argsort(kind[order], kind="stable")]
    rank = np.arange(len(order)) - (np.cumsum(count) - count)[kind[order]]
    drawn = np.zeros(len(order), dtype=bool)
    drawn[order] = rank < quota[kind[order]]
    return drawn[units]


def _shared(index: Array, held: Array) -> Array:
    """Which items (N, M) of tuples stand in one of the tuples `held` (V, M)."""
    shared = np.zeros(index.shape, dtype=bool)
    for k in range(index.shape[1]):
        mask = np.zeros(max(index[:, k].max(), held[:, k].max()) + 1, dtype=bool)
        mask[held[:, k]] = True
        shared[:, k] = mask[index[:, k]]
    return shared
