"""Which tasks a cell is measured on.

Of two and three modalities all. Of more, the subsets that are given may be too many (2^M - 2): for each number of given
modalities the protocol draws some of them, by its own seed, so that every model is asked the same; the modalities that
are not given are generated at once. Nothing here grows with the number of all subsets.
"""

from __future__ import annotations

import math

import torch

from ..config import Protocol
from ..errors import ConfigError
from ..modality import FEW, DatasetSpec, Task
from ..seeding import generator

__all__ = ["check_subsets", "measured_tasks"]

Given = tuple[str, ...]


def measured_tasks(spec: DatasetSpec, protocol: Protocol) -> tuple[Task, ...]:
    """Joint generation, then the conditional tasks, those with fewer given modalities first."""
    most = protocol.subsets_per_size
    if len(spec.names) <= FEW or most is None:
        return spec.tasks()
    return spec.tasks([s for size in range(1, len(spec.names)) for s in _drawn(spec.names, size, most, protocol.seed)])


def check_subsets(spec: DatasetSpec, protocol: Protocol) -> None:
    """Raises ConfigError where subsets would be drawn and all are measured anyway."""
    if protocol.subsets_per_size is not None and len(spec.names) <= FEW:
        raise ConfigError(
            f"eval.subsets_per_size does nothing on {spec.title}: of {len(spec.names)} modalities all subsets are "
            "measured; leave it out"
        )


def _drawn(names: Given, size: int, most: int, seed: int) -> list[Given]:
    """`most` distinct subsets of a size, or all where there are no more, in the order of `DatasetSpec.tasks`."""
    draws, found = generator(seed, "subsets", size), set[tuple[int, ...]]()
    while len(found) < min(most, math.comb(len(names), size)):
        found.add(tuple(sorted(torch.randperm(len(names), generator=draws)[:size].tolist())))
    return [tuple(names[k] for k in places) for places in sorted(found)]
