"""The pictures of the glyphs: a digit written with a pen, and a digit of a street sign.

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

from .glyph_bank import FONTS, Array, bank, look_up

__all__ = ["LUMA", "MIN_CONTRAST", "colours", "pens", "signs"]

MIN_CONTRAST = 0.22
"""Least difference in brightness (luma, 0 to 1) between a sign's digits and its ground."""
LUMA = (0.299, 0.587, 0.114)


# --- pens ----------------------------------------------------------------------------------------------------------


def pens(labels: Array, draws: torch.Generator) -> Array:
    """Digits written with a pen, uint8 (B, 1, 28, 28): white on black, centred, 16 to 19.5 pixels high.

    The pen follows the centre line of a printed digit, bent by a random cubic map, with an even line of 1.6 to 3.4
    pixels that swells a little towards one side.
    """
    B = len(labels)

    def uniform(low: float, high: float) -> Array:
        return _uniform(draws, low, high, B, 1, 1)

    size = uniform(16.0, 19.5)
    x, y = _grid(28)
    x, y = x + uniform(-1.0, 1.0), y + uniform(-1.0, 1.0)
    x, y = _placed(x, y, size, aspect=uniform(0.8, 1.15), half_angle=uniform(-0.12, 0.12), shear=uniform(-0.15, 0.4))
    x, y = _bent(x, y, draws)
    distance = look_up(bank().centre, _glyph(labels, draws), x, y) * size
    half_width = uniform(0.8, 1.7) * (1 + x * uniform(-0.4, 0.4) + y * uniform(-0.3, 0.3))
    return _bytes(_ink(distance - half_width, soft=uniform(1.0, 1.6)))[:, None]


def _bent(x: Array, y: Array, draws: torch.Generator) -> tuple[Array, Array]:
    """Positions plus a random polynomial of second and third degree in them: no two strokes bend alike."""
    u, v = np.clip(2 * x, -1, 1), np.clip(2 * y, -1, 1)
    bases = (u * u, u * v, v * v, u * u * v, u * v * v, v * v * v, u * u * u)
    for basis in bases:
        x = x + basis * _uniform(draws, -0.065, 0.065, len(x), 1, 1)
        y = y + basis * _uniform(draws, -0.065, 0.065, len(x), 1, 1)
    return x, y


# --- signs ---------------------------------------------------------------------------------------------------------


def signs(labels: Array, draws: torch.Generator) -> Array:
    """Digits of street signs, uint8 (B, 3, 32, 32): the labelled one in the middle, 17 to 27 pixels high."""
    B = len(labels)

    def uniform(low: float, high: float) -> Array:
        return _uniform(draws, low, high, B, 1, 1)

    size, soft = uniform(17.0, 27.0), uniform(0.8, 4.5)
    x, y = _grid(32)
    x, y = x + uniform(-1.5, 1.5), y + uniform(-1.5, 1.5)
    ink, ground = colours(B, draws)
    scene = _cluttered(ground, x, y, soft, draws)
    x, y = _placed(x, y, size, aspect=uniform(0.8, 1.15), half_angle=uniform(-0.1, 0.1), shear=uniform(-0.2, 0.25))
    distance = _with_neighbours(labels, x, y, draws) * size
    alpha = _ink(distance - uniform(-0.2, 0.6), soft)[:, None]
    scene = scene * (1 - alpha) + ink[:, :, None, None] * alpha
    return _bytes(_photographed(scene, draws))


def colours(count: int, draws: torch.Generator) -> tuple[Array, Array]:
    """Colours of digits and of their ground, float32 (B, 3) each in [0, 1], at least MIN_CONTRAST apart in luma."""
    ground = _uniform(draws, 0.08, 0.92, count)
    darker = np.maximum(ground - MIN_CONTRAST, 0)  # room for the digits' luma below the ground's, and above it
    lighter = np.maximum(1 - MIN_CONTRAST - ground, 0)
    place = _uniform(draws, 0.0, 1.0, count) * (darker + lighter)
    ink = np.where(place < darker, place, place - darker + ground + MIN_CONTRAST)
    return _tinted(ink, draws), _tinted(ground, draws)


def _tinted(luma: Array, draws: torch.Generator) -> Array:
    """A random colour (B, 3) in [0, 1] of the given luma (B,); most are nearly grey, as on photographs."""
    strength = _uniform(draws, 0.0, 1.0, len(luma), 1)
    chroma = _uniform(draws, -0.35, 0.35, len(luma), 3) * strength * strength
    red, green, blue = chroma.T
    chroma = chroma - (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2])[:, None]
    room = np.minimum(luma, 1 - luma)[:, None]
    shrink = np.minimum(room / (np.abs(chroma).max(axis=1, keepdims=True) + 1e-6), 1)
    return luma[:, None] + chroma * shrink


def _cluttered(ground: Array, x: Array, y: Array, soft: Array, draws: torch.Generator) -> Array:
    """The scene behind the digits (B, 3, H, W): the ground, stripes of siding, and edges of the plate and the wall."""
    B = len(ground)

    def uniform(low: float, high: float) -> Array:
        return _uniform(draws, low, high, B, 1, 1)

    cosine, sine = _rotation(uniform(-1.0, 1.0))
    phase = (x * cosine + y * sine) / uniform(4.0, 14.0) + uniform(0.0, 1.0)
    stripes = np.abs((phase - np.floor(phase)) * 2 - 1) * 2 - 1
    scene = ground[:, :, None, None] + (stripes * uniform(-0.06, 0.06))[:, None]
    for _ in range(3):
        other = _tinted(_uniform(draws, 0.05, 0.95, B), draws)[:, :, None, None]
        cosine, sine = _upright(uniform(-0.08, 0.08), draws)
        depth = uniform(10.0, 22.0) - (x * cosine + y * sine)
        beyond = (_ink(depth, soft) * uniform(0.3, 1.0))[:, None]
        scene = scene * (1 - beyond) + other * beyond
    return scene


def _upright(half_tangent: Array, draws: torch.Generator) -> tuple[Array, Array]:
    """Cosine and sine of an angle after a random number of quarter turns."""
    cosine, sine = _rotation(half_tangent)
    turns = _choice(draws, 4, *cosine.shape)
    cosine, sine = np.where(turns % 2 == 0, cosine, -sine), np.where(turns % 2 == 0, sine, cosine)
    return np.where(turns < 2, cosine, -cosine), np.where(turns < 2, sine, -sine)


def _with_neighbours(labels: Array, x: Array, y: Array, draws: torch.Generator) -> Array:
    """Distance to the digit, and in most pictures to digits of the same font left and right of it (B, H, W)."""
    glyph = _glyph(labels, draws)
    font = glyph - labels
    step = (bank().advance[font // 10])[:, None, None] * _uniform(draws, 0.95, 1.15, len(labels), 1, 1)
    distance = look_up(bank().outline, glyph, x, y)
    for side in (-1, 1):
        digit = _choice(draws, 10, len(labels))
        beside = look_up(bank().outline, font + digit, x + side * step, y)
        present = _uniform(draws, 0.0, 1.0, len(labels), 1, 1) < 0.6
        distance = np.where(present, np.minimum(distance, beside), distance)
    return distance


def _photographed(scene: Array, draws: torch.Generator) -> Array:
    """Uneven light and grain on a scene (B, 3, H, W)."""
    B = len(scene)
    u, v = (axis[:, None] / 16 for axis in _grid(scene.shape[-1]))
    light = 1 + u * _uniform(draws, -0.25, 0.25, B, 1, 1, 1) + v * _uniform(draws, -0.25, 0.25, B, 1, 1, 1)
    grain = _uniform(draws, 0.0, 1.0, *scene.shape) - _uniform(draws, 0.0, 1.0, *scene.shape)
    return scene * light + grain * _uniform(draws, 0.0, 0.07, B, 1, 1, 1)


# --- geometry and ink ----------------------------------------------------------------------------------------------


def _uniform(draws: torch.Generator, low: float, high: float, *shape: int) -> Array:
    return torch.rand(shape, generator=draws).numpy() * (high - low) + low


def _choice(draws: torch.Generator, count: int, *shape: int) -> Array:
    """Integers from 0 to count - 1."""
    return torch.randint(count, shape, generator=draws).numpy()


def _grid(side: int) -> tuple[Array, Array]:
    """Pixel positions from the centre, x (1, 1, side) and y (1, side, 1)."""
    axis = np.arange(side, dtype=np.float32) - (side - 1) / 2
    return axis[None, None, :], axis[None, :, None]


def _rotation(half_tangent: Array) -> tuple[Array, Array]:
    """Cosine and sine of an angle from the tangent of its half."""
    square = half_tangent * half_tangent
    return (1 - square) / (1 + square), 2 * half_tangent / (1 + square)


def _placed(x: Array, y: Array, size: Array, *, aspect: Array, half_angle: Array, shear: Array) -> tuple[Array, Array]:
    """Pixel positions in the digit's own frame, in digit heights from its centre.

    Arguments:
        size: the digit's height in pixels.
        aspect: its widening.
        half_angle: tangent of half the angle it is turned by.
        shear: its slant to the right, in heights per height.
    """
    cosine, sine = _rotation(half_angle)
    across, down = (x * cosine + y * sine) / size, (y * cosine - x * sine) / size
    return (across + down * shear) / aspect, down


def _glyph(labels: Array, draws: torch.Generator) -> Array:
    """Row of the bank (B,): the digit in a random font."""
    return _choice(draws, len(FONTS), len(labels)) * 10 + labels


def _ink(distance: Array, soft: Array) -> Array:
    """Coverage in [0, 1] from the distance outside a shape, in pixels; the edge is `soft` pixels wide."""
    t = np.clip(0.5 - distance / soft, 0, 1)
    return t * t * (3 - 2 * t)


def _bytes(values: Array) -> Array:
    return np.floor(np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
