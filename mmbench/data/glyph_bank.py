"""Every digit of every font, rendered once by FreeType, as distance maps: to its outline and to its centre line."""

from __future__ import annotations

from functools import cache as memoise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError

__all__ = ["FONTS", "Array", "Bank", "bank", "look_up", "rendered", "thinned"]

Array = np.ndarray

FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-BoldOblique", "DejaVuSans-Oblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-BoldOblique", "DejaVuSansMono-Oblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-BoldItalic", "DejaVuSerif-Italic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralBolIta", "STIXGeneralItalic",
    "cmb10", "cmr10", "cmss10", "cmti10", "cmtt10",
)  # fmt: skip
"""Fonts of matplotlib's folder that have lining digits (not the old-style ones of cmmi10)."""

CANVAS, HEIGHT = 80, 48
"""Pixels of a distance map, and of a digit's height in it."""


class Bank(NamedTuple):
    """Distance maps in canvas pixels; row 10 f + d is digit d of font f."""

    outline: Array
    """(10 F, CANVAS, CANVAS): distance to the digit's edge, negative inside."""
    centre: Array
    """(10 F, CANVAS, CANVAS): distance to the digit's centre line."""
    advance: Array
    """(F,): from one digit's centre to the next one's, in digit heights."""


@memoise
def bank() -> Bank:
    """The distance maps, made at the first call."""
    masks, advance = rendered()
    outline = np.where(masks, 0.5 - _depth(masks), _depth(~masks) - 0.5)
    return Bank(*(values.astype(np.float32) for values in (outline, _depth(~thinned(masks)), advance)))


def _depth(masks: Array) -> Array:
    """Distance of each pixel to the nearest one outside its shape, for shapes bool (G, H, W)."""
    from scipy.ndimage import distance_transform_edt

    return np.stack([np.asarray(distance_transform_edt(mask), dtype=np.float64) for mask in masks])


def rendered() -> tuple[Array, Array]:
    """Digits bool (10 F, CANVAS, CANVAS), centred, and each font's advance (F,) in digit heights."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    masks, advances = [], []
    for name in FONTS:
        try:
            font = ImageFont.truetype(str(folder / f"{name}.ttf"), 100, layout_engine=ImageFont.Layout.BASIC)
        except OSError as error:
            raise DataError(
                f"the font {name}.ttf is missing from {folder}; reinstall matplotlib (pip install --force-reinstall "
                "matplotlib), which ships it."
            ) from error
        _, top, _, bottom = font.getbbox("8")
        font = font.font_variant(size=round(100 * HEIGHT / (bottom - top)))
        advances.append(font.getlength("8") / HEIGHT)
        for digit in range(10):
            box = font.getbbox(str(digit))
            image = Image.new("L", (CANVAS, CANVAS))
            corner = (round((CANVAS - box[0] - box[2]) / 2), round((CANVAS - box[1] - box[3]) / 2))
            ImageDraw.Draw(image).text(corner, str(digit), font=font, fill=255)
            masks.append(np.asarray(image) >= 128)
    return np.stack(masks), np.array(advances)


def thinned(masks: Array) -> Array:
    """The centre lines, one pixel wide, of shapes bool (G, H, W) that do not touch the border.

    Source: Zhang and Suen, "A fast parallel algorithm for thinning digital patterns", CACM 27(3), 1984.
    """
    masks = masks.copy()
    removed = True
    while removed:
        removed = False
        for first in (True, False):
            # the eight neighbours, clockwise from north
            around = [
                np.roll(masks, (-down, -across), axis=(1, 2))
                for down, across in ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
            ]
            north, east, south, west = around[::2]
            count = sum(a.astype(np.int8) for a in around)
            starts = sum((~a & b).astype(np.int8) for a, b in zip(around, [*around[1:], north], strict=True))
            if first:
                open_side = ~(north & east & south) & ~(east & south & west)
            else:
                open_side = ~(north & east & west) & ~(north & south & west)
            gone = masks & (count >= 2) & (count <= 6) & (starts == 1) & open_side
            removed |= bool(gone.any())
            masks &= ~gone
    return masks


def look_up(maps: Array, glyph: Array, x: Array, y: Array) -> Array:
    """Distance (B, H, W), in digit heights, at positions x, y in digit heights: bilinear, the border going on outside.

    Arguments:
        maps: (G, CANVAS, CANVAS) in canvas pixels.
        glyph: rows of it (B,).
    """
    limit, middle = CANVAS - 1.001, (CANVAS - 1) / 2
    column, row = (np.clip(axis * HEIGHT + middle, 0, limit) for axis in (x, y))
    left, top = np.floor(column), np.floor(row)
    across, down = column - left, row - top
    corner = glyph[:, None, None] * (CANVAS * CANVAS) + (top * CANVAS + left).astype(np.int64)
    flat = maps.reshape(-1)
    upper = flat[corner] * (1 - across) + flat[corner + 1] * across
    lower = flat[corner + CANVAS] * (1 - across) + flat[corner + CANVAS + 1] * across
    return (upper * (1 - down) + lower * down) / HEIGHT
