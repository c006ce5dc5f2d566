"""Signs as a street has them: a digit with colours, clutter, uneven light and neighbouring digits (after SVHN)."""

from __future__ import annotations

import numpy as np
import torch

from .glyph_bank import Array, bank, look_up
from .glyph_drawing import choice, glyph_rows, grid, ink_of, placed, rotation, to_bytes, uniform

__all__ = ["LUMA", "MIN_CONTRAST", "colours", "street_signs"]

MIN_CONTRAST = 0.22
"""Least difference in brightness (luma, 0 to 1) between a sign's digits and its ground."""
LUMA = (0.299, 0.587, 0.114)


def street_signs(labels: Array, draws: torch.Generator) -> Array:
    """Digits of street signs, uint8 (B, 3, 32, 32): the labelled one in the middle, 17 to 27 pixels high."""
    B = len(labels)

    def any_of(low: float, high: float) -> Array:
        return uniform(draws, low, high, B, 1, 1)

    size, soft = any_of(17.0, 27.0), any_of(0.8, 4.5)
    x, y = grid(32)
    x, y = x + any_of(-1.5, 1.5), y + any_of(-1.5, 1.5)
    ink, ground = colours(B, draws)
    scene = _cluttered(ground, x, y, soft, draws)
    x, y = placed(x, y, size, aspect=any_of(0.8, 1.15), half_angle=any_of(-0.1, 0.1), shear=any_of(-0.2, 0.25))
    distance = _with_neighbours(labels, x, y, draws) * size
    alpha = ink_of(distance - any_of(-0.2, 0.6), soft)[:, None]
    scene = scene * (1 - alpha) + ink[:, :, None, None] * alpha
    return to_bytes(_photographed(scene, draws))


def colours(count: int, draws: torch.Generator) -> tuple[Array, Array]:
    """Colours of digits and of their ground, float32 (B, 3) each in [0, 1], at least MIN_CONTRAST apart in luma."""
    ground = uniform(draws, 0.08, 0.92, count)
    darker = np.maximum(ground - MIN_CONTRAST, 0)  # room for the digits' luma below the ground's, and above it
    lighter = np.maximum(1 - MIN_CONTRAST - ground, 0)
    place = uniform(draws, 0.0, 1.0, count) * (darker + lighter)
    ink = np.where(place < darker, place, place - darker + ground + MIN_CONTRAST)
    return _tinted(ink, draws), _tinted(ground, draws)


def _tinted(luma: Array, draws: torch.Generator) -> Array:
    """A random colour (B, 3) in [0, 1] of the given luma (B,); most are nearly grey, as on photographs."""
    strength = uniform(draws, 0.0, 1.0, len(luma), 1)
    chroma = uniform(draws, -0.35, 0.35, len(luma), 3) * strength * strength
    red, green, blue = chroma.T
    chroma = chroma - (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2])[:, None]
    room = np.minimum(luma, 1 - luma)[:, None]
    shrink = np.minimum(room / (np.abs(chroma).max(axis=1, keepdims=True) + 1e-6), 1)
    return luma[:, None] + chroma * shrink


def _cluttered(ground: Array, x: Array, y: Array, soft: Array, draws: torch.Generator) -> Array:
    """The scene behind the digits (B, 3, H, W): the ground, stripes of siding, and edges of the plate and the wall."""
    B = len(ground)

    def any_of(low: float, high: float) -> Array:
        return uniform(draws, low, high, B, 1, 1)

    cosine, sine = rotation(any_of(-1.0, 1.0))
    phase = (x * cosine + y * sine) / any_of(4.0, 14.0) + any_of(0.0, 1.0)
    stripes = np.abs((phase - np.floor(phase)) * 2 - 1) * 2 - 1
    scene = ground[:, :, None, None] + (stripes * any_of(-0.06, 0.06))[:, None]
    for _ in range(3):
        other = _tinted(uniform(draws, 0.05, 0.95, B), draws)[:, :, None, None]
        cosine, sine = _upright(any_of(-0.08, 0.08), draws)
        depth = any_of(10.0, 22.0) - (x * cosine + y * sine)
        beyond = (ink_of(depth, soft) * any_of(0.3, 1.0))[:, None]
        scene = scene * (1 - beyond) + other * beyond
    return scene


def _upright(half_tangent: Array, draws: torch.Generator) -> tuple[Array, Array]:
    """Cosine and sine of an angle after a random number of quarter turns."""
    cosine, sine = rotation(half_tangent)
    turns = choice(draws, 4, *cosine.shape)
    cosine, sine = np.where(turns % 2 == 0, cosine, -sine), np.where(turns % 2 == 0, sine, cosine)
    return np.where(turns < 2, cosine, -cosine), np.where(turns < 2, sine, -sine)


def _with_neighbours(labels: Array, x: Array, y: Array, draws: torch.Generator) -> Array:
    """Distance to the digit, and in most pictures to digits of the same font left and right of it (B, H, W)."""
    glyph = glyph_rows(labels, draws)
    font = glyph - labels
    step = (bank().advance[font // 10])[:, None, None] * uniform(draws, 0.95, 1.15, len(labels), 1, 1)
    distance = look_up(bank().outline, glyph, x, y)
    for side in (-1, 1):
        digit = choice(draws, 10, len(labels))
        beside = look_up(bank().outline, font + digit, x + side * step, y)
        present = uniform(draws, 0.0, 1.0, len(labels), 1, 1) < 0.6
        distance = np.where(present, np.minimum(distance, beside), distance)
    return distance


def _photographed(scene: Array, draws: torch.Generator) -> Array:
    """Uneven light and grain on a scene (B, 3, H, W)."""
    B = len(scene)
    u, v = (axis[:, None] / 16 for axis in grid(scene.shape[-1]))
    light = 1 + u * uniform(draws, -0.25, 0.25, B, 1, 1, 1) + v * uniform(draws, -0.25, 0.25, B, 1, 1, 1)
    grain = uniform(draws, 0.0, 1.0, *scene.shape) - uniform(draws, 0.0, 1.0, *scene.shape)
    return scene * light + grain * uniform(draws, 0.0, 0.07, B, 1, 1, 1)
