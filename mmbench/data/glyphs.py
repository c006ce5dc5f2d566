"""Glyphs: the embedded dataset. Digits drawn from the fonts that matplotlib ships; needs no network.

Three modalities of one class: 'pen', a digit as if written with a pen (after MNIST); 'sign', a digit of a street sign
with colours, clutter and neighbouring digits (after SVHN); 'name', its English name letter by letter.

How a picture is drawn: FreeType renders every digit of every font once; from it come two distance maps, to the digit's
outline and to its centre line. A picture looks the map up at warped positions, and the distance, minus a line width,
becomes ink with a soft edge. All of that is NumPy arithmetic on a hundred pictures at a time.

One seed gives the same bytes on any machine with the same library versions: after the random draws (uniform numbers
of 24 bits) there are only single additions, multiplications, divisions, comparisons and look-ups per value, which
IEEE 754 rounds in one way. There are no threads, no sum whose order could change, no fused multiply-add, and no sine
or exponential, whose last digit differs between processors: rotations come from the tangent of the half angle.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache as memoise
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..config import digest
from ..errors import DataError
from ..modality import DatasetSpec, Modality
from ..seeding import generator
from .dataset import Dataset, DatasetSource, Split

__all__ = ["FONTS", "MIN_CONTRAST", "NAMES", "Glyphs", "draw"]

VERSION = 1
"""Raised when the drawing changes, so that no old cache is taken for the new dataset."""

FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-BoldOblique", "DejaVuSans-Oblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-BoldOblique", "DejaVuSansMono-Oblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-BoldItalic", "DejaVuSerif-Italic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralBolIta", "STIXGeneralItalic",
    "cmb10", "cmr10", "cmss10", "cmti10", "cmtt10",
)  # fmt: skip
"""Fonts of matplotlib's folder that have lining digits (not the old-style ones of cmmi10)."""

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LETTERS = ("_", *sorted(set("".join(NAMES))))
"""The vocabulary of 'name': the padding, then the letters that the names need."""
LENGTH = max(map(len, NAMES))

MIN_CONTRAST = 0.22
"""Least difference in brightness (luma, 0 to 1) between a sign's digits and its ground."""

LUMA = (0.299, 0.587, 0.114)
CANVAS, HEIGHT = 80, 48
"""Pixels of a distance map, and of a digit's height in it."""
CHUNK = 100
"""Tuples drawn at once, each chunk with a generator of its own; so few that a chunk stays in the processor's cache."""

SPLITS = ("train", "test")
PARTS = ("pen", "sign", "labels")
"""What is drawn of each split, and kept in the cache."""

Array = np.ndarray

SPEC = DatasetSpec(
    name="glyphs",
    title="Glyphs",
    modalities=(
        # weights: size of the sign / size of the modality, the rule behind the paper's 3.92 for MNIST
        Modality(name="pen", shape=(1, 28, 28), network="mnist_mlp", latent=16, weight=3.92),
        Modality(name="sign", shape=(3, 32, 32), network="svhn_conv", latent=64),
        Modality(
            name="name",
            shape=(LENGTH,),
            network="word_mlp",
            latent=8,
            likelihood="categorical",
            weight=3072 / LENGTH,
            vocabulary=LETTERS,
            classes=NAMES,
            separator="",
            unprinted=(0,),
        ),
    ),
    classes=len(NAMES),
    metrics=("coherence", "fmd"),
)


class Glyphs(DatasetSource):
    """20,000 train and 5,000 test tuples, drawn in seconds and kept in the cache."""

    title: ClassVar[str] = SPEC.title
    summary: ClassVar[str] = "embedded: a digit as pen stroke, street sign and word; drawn in seconds, no network"

    def load(self, root: Path, cache: Path) -> Dataset:
        path = cache / f"glyphs-{_key()}.safetensors"
        drawn = _recall(path)
        if drawn is None:
            drawn = _draw_images(20_000, 5_000, seed=0)
            _keep(drawn, path)
        return _assemble(drawn)


def draw(train: int = 20_000, test: int = 5_000, seed: int = 0) -> Dataset:
    """The dataset with so many tuples. Classes are balanced; every tuple has a pen and a sign of its own."""
    return _assemble(_draw_images(train, test, seed))


# --- the dataset from its pictures ---------------------------------------------------------------------------------


def _assemble(drawn: Mapping[str, Tensor]) -> Dataset:
    return Dataset(SPEC, *(_split({k: drawn[f"{split}.{k}"] for k in PARTS}) for split in SPLITS))


def _split(parts: Mapping[str, Tensor]) -> Split:
    labels = parts["labels"]
    own = torch.arange(len(labels), dtype=torch.int32)
    items = {"pen": parts["pen"], "sign": parts["sign"], "name": _names()}
    return Split(items, torch.stack([own, own, labels.int()], dim=1), labels)


def _names() -> Tensor:
    """The ten names as tokens, int64 (10, 5)."""
    return torch.tensor([[LETTERS.index(letter) for letter in name.ljust(LENGTH, "_")] for name in NAMES])


def _draw_images(train: int, test: int, seed: int) -> dict[str, Tensor]:
    """'train.pen', 'train.sign', 'train.labels' and the same of 'test'."""
    drawn: dict[str, Tensor] = {}
    for split, count in zip(SPLITS, (train, test), strict=True):
        sizes = [min(CHUNK, count - start) for start in range(0, count, CHUNK)]
        chunks = [_draw_chunk(size, generator(seed, "glyphs", split, k)) for k, size in enumerate(sizes)]
        for part, tensors in zip(PARTS, zip(*chunks, strict=True), strict=True):
            drawn[f"{split}.{part}"] = torch.from_numpy(np.concatenate(tensors))
    return drawn


def _draw_chunk(count: int, draws: torch.Generator) -> tuple[Array, Array, Array]:
    """Pens (B, 1, 28, 28), signs (B, 3, 32, 32) and their labels (B,)."""
    labels = torch.randperm(count, generator=draws).numpy() % len(NAMES)
    return pens(labels, draws), signs(labels, draws), labels


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
    distance = _look_up(_bank().centre, _glyph(labels, draws), x, y) * size
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
    step = (_bank().advance[font // 10])[:, None, None] * _uniform(draws, 0.95, 1.15, len(labels), 1, 1)
    distance = _look_up(_bank().outline, glyph, x, y)
    for side in (-1, 1):
        digit = _choice(draws, 10, len(labels))
        beside = _look_up(_bank().outline, font + digit, x + side * step, y)
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


def _look_up(maps: Array, glyph: Array, x: Array, y: Array) -> Array:
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


def _ink(distance: Array, soft: Array) -> Array:
    """Coverage in [0, 1] from the distance outside a shape, in pixels; the edge is `soft` pixels wide."""
    t = np.clip(0.5 - distance / soft, 0, 1)
    return t * t * (3 - 2 * t)


def _bytes(values: Array) -> Array:
    return np.floor(np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)


# --- the bank: every digit of every font, rendered once ------------------------------------------------------------


class Bank(NamedTuple):
    """Distance maps in canvas pixels; row 10 f + d is digit d of font f."""

    outline: Array
    """(10 F, CANVAS, CANVAS): distance to the digit's edge, negative inside."""
    centre: Array
    """(10 F, CANVAS, CANVAS): distance to the digit's centre line."""
    advance: Array
    """(F,): from one digit's centre to the next one's, in digit heights."""


@memoise
def _bank() -> Bank:
    masks, advance = _rendered()
    outline = np.where(masks, 0.5 - _depth(masks), _depth(~masks) - 0.5)
    return Bank(*(values.astype(np.float32) for values in (outline, _depth(~thinned(masks)), advance)))


def _depth(masks: Array) -> Array:
    """Distance of each pixel to the nearest one outside its shape, for shapes bool (G, H, W)."""
    from scipy.ndimage import distance_transform_edt

    return np.stack([np.asarray(distance_transform_edt(mask), dtype=np.float64) for mask in masks])


def _rendered() -> tuple[Array, Array]:
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


# --- the cache -----------------------------------------------------------------------------------------------------


def _key() -> str:
    """What the bytes depend on: the drawing's version and the libraries'."""
    from PIL import features

    packages = {name: importlib.metadata.version(name) for name in ("matplotlib", "numpy", "pillow", "scipy", "torch")}
    return digest({"version": VERSION, "freetype": features.version("freetype2"), **packages})


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(name.encode())
        sha.update(tensors[name].numpy().tobytes())
    return sha.hexdigest()


def _recall(path: Path) -> dict[str, Tensor] | None:
    """The kept tensors, or None where there are none or they are damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            expected = (file.metadata() or {}).get("sha256")
    except (OSError, SafetensorError):
        return None
    return tensors if _checksum(tensors) == expected else None


def _keep(tensors: dict[str, Tensor], path: Path) -> None:
    """Writes a temporary file and renames it; a cache that cannot be written costs only the next drawing."""
    with suppress(OSError, SafetensorError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            temporary = Path(folder) / path.name
            save_file(tensors, temporary, metadata={"sha256": _checksum(tensors)})
            os.replace(temporary, path)
