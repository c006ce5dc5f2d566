"""How the pictures of the glyphs are drawn: random numbers, positions placed on a grid, distances turned into ink.

A picture looks a distance map up at warped positions, and the distance, minus a line width, becomes ink with a soft
edge. All of that is NumPy arithmetic on a hundred pictures at a time.

One generator gives the same bytes on any machine with the same library versions: after the random draws (uniform
numbers of 24 bits) there are only single additions, multiplications, divisions, comparisons and look-ups per value,
which IEEE 754 rounds in one way. There are no threads, no sum whose order could change, no fused multiply-add, and no
sine or exponential, whose last digit differs between processors: rotations come from the tangent of the half angle.
"""

from __future__ import annotations

import numpy as np
import torch

from .glyph_bank import FONTS, Array

__all__ = ["choice", "glyph_rows", "grid", "ink_of", "placed", "rotation", "to_bytes", "uniform"]


def uniform(draws: torch.Generator, low: float, high: float, *shape: int) -> Array:
    return torch.rand(shape, generator=draws).numpy() * (high - low) + low


def choice(draws: torch.Generator, count: int, *shape: int) -> Array:
    """Integers from 0 to count - 1."""
    return torch.randint(count, shape, generator=draws).numpy()


def grid(side: int) -> tuple[Array, Array]:
    """Pixel positions from the centre, x (1, 1, side) and y (1, side, 1)."""
    axis = np.arange(side, dtype=np.float32) - (side - 1) / 2
    return axis[None, None, :], axis[None, :, None]


def rotation(half_tangent: Array) -> tuple[Array, Array]:
    """Cosine and sine of an angle from the tangent of its half."""
    square = half_tangent * half_tangent
    return (1 - square) / (1 + square), 2 * half_tangent / (1 + square)


def placed(x: Array, y: Array, size: Array, *, aspect: Array, half_angle: Array, shear: Array) -> tuple[Array, Array]:
    """Pixel positions in the digit's own frame, in digit heights from its centre.

    Arguments:
        size: the digit's height in pixels.
        aspect: its widening.
        half_angle: tangent of half the angle it is turned by.
        shear: its slant to the right, in heights per height.
    """
    cosine, sine = rotation(half_angle)
    across, down = (x * cosine + y * sine) / size, (y * cosine - x * sine) / size
    return (across + down * shear) / aspect, down


def glyph_rows(labels: Array, draws: torch.Generator) -> Array:
    """Row of the bank (B,): the digit in a random font."""
    return choice(draws, len(FONTS), len(labels)) * 10 + labels


def ink_of(distance: Array, soft: Array) -> Array:
    """Coverage in [0, 1] from the distance outside a shape, in pixels; the edge is `soft` pixels wide."""
    t = np.clip(0.5 - distance / soft, 0, 1)
    return t * t * (3 - 2 * t)


def to_bytes(values: Array) -> Array:
    return np.floor(np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
