"""Noise in blocks: many steps' worth at once, the same numbers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mmbench.seeding import Noise

__all__ = ["ROOM", "normals"]

ROOM = {"cpu": 2**16, "cuda": 2**23}
"""Numbers that are drawn at once, by the kind of device: what stays in a CPU's cache; on a GPU, launches count."""


def normals(noise: Noise, dim: int, total: int, device: torch.device) -> Iterator[Tensor]:
    """What `total` calls of `noise.normal(dim)` give, one (B, dim) after the other; `device` is the noise's."""
    most = max(1, ROOM.get(device.type, ROOM["cpu"]) // max(1, len(noise) * dim))
    for start in range(0, total, most):
        yield from block(noise, dim, min(most, total - start)).unbind(1)


def block(noise: Noise, dim: int, steps: int) -> Tensor:
    """`steps` calls of `noise.normal(dim)`, (B, steps, dim).

    A call of odd `dim` leaves the last number of its last pair unused; one long call has all first numbers of the pairs
    before all second ones.
    """
    pairs = (dim + 1) // 2
    first, second = noise.normal(2, steps, pairs).unbind(1)
    return torch.cat((first, second), dim=2)[:, :, :dim]
