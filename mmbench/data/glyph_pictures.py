"""The pictures of the glyphs: a digit written with a pen, and one painted on a sign."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .glyph_bank import Array, bank, look_up
from .glyph_drawing import choice, glyph_rows, grid, ink_of, placed, to_bytes, uniform

__all__ = ["GROUNDS", "INKS", "pens", "signs"]

GROUNDS = (
    (0.70, 0.12, 0.12),  # red
    (0.10, 0.25, 0.62),  # blue
    (0.06, 0.42, 0.22),  # green
    (0.40, 0.26, 0.13),  # brown
    (0.13, 0.13, 0.15),  # black
)
INKS = ((0.97, 0.97, 0.94), (0.98, 0.85, 0.20))  # white and yellow
"""Colours (red, green, blue) in [0, 1] of a sign and of its digit, before each picture changes them by up to SHADE."""
SHADE = 0.05


def pens(labels: Array, draws: torch.Generator) -> Array:
    """Digits written with a pen, uint8 (B, 1, 28, 28): white on black, centred, 16 to 19.5 pixels high.

    The pen follows the centre line of a printed digit, bent by a random cubic map, with an even line of 1.6 to 3.4
    pixels that swells a little towards one side.
    """
    return to_bytes(_strokes(labels, draws))[:, None]


def _strokes(labels: Array, draws: torch.Generator) -> Array:
    """How much of each pixel the pen covers, (B, 28, 28) in [0, 1]."""
    B = len(labels)

    def any_of(low: float, high: float) -> Array:
        return uniform(draws, low, high, B, 1, 1)

    size = any_of(16.0, 19.5)
    x, y = grid(28)
    x, y = x + any_of(-1.0, 1.0), y + any_of(-1.0, 1.0)
    x, y = placed(x, y, size, aspect=any_of(0.8, 1.15), half_angle=any_of(-0.12, 0.12), shear=any_of(-0.15, 0.4))
    x, y = _bent(x, y, draws)
    distance = look_up(bank().centre, glyph_rows(labels, draws), x, y) * size
    half_width = any_of(0.8, 1.7) * (1 + x * any_of(-0.4, 0.4) + y * any_of(-0.3, 0.3))
    return ink_of(distance - half_width, soft=any_of(1.0, 1.6))


def _bent(x: Array, y: Array, draws: torch.Generator) -> tuple[Array, Array]:
    """Positions plus a random polynomial of second and third degree in them: no two strokes bend alike."""
    u, v = np.clip(2 * x, -1, 1), np.clip(2 * y, -1, 1)
    bases = (u * u, u * v, v * v, u * u * v, u * v * v, v * v * v, u * u * u)
    for basis in bases:
        x = x + basis * uniform(draws, -0.065, 0.065, len(x), 1, 1)
        y = y + basis * uniform(draws, -0.065, 0.065, len(x), 1, 1)
    return x, y


def signs(labels: Array, draws: torch.Generator) -> Array:
    """Digits painted on a sign, uint8 (B, 3, 28, 28): strokes of the same kind as a pen's, light on dark."""
    alpha = _strokes(labels, draws)[:, None]
    ink, ground = (_shades(colours, len(labels), draws) for colours in (INKS, GROUNDS))
    return to_bytes(ground * (1 - alpha) + ink * alpha)


def _shades(colours: Sequence[Sequence[float]], count: int, draws: torch.Generator) -> Array:
    """One of these colours for each picture, a little changed, (B, 3, 1, 1)."""
    chosen = np.array(colours, dtype=np.float32)[choice(draws, len(colours), count)]
    return (chosen + uniform(draws, -SHADE, SHADE, count, 3))[:, :, None, None]
