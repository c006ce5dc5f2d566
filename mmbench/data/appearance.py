"""What a decoded image looks like: the way up, its depth, its colours, its ground."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from ..errors import DataError

__all__ = ["as_shown", "on_ground", "pending_key"]

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What puts an image upright, by EXIF's tag 0x0112 (CIPA DC-008, 4.6.4)."""
STEPS = {"L;2": 85, "L;4": 17}
"""Grey of 2 and 4 bits is spread to 8 as it is read."""
FAINT = 32
"""Of 255: a contrast on the ground below this is doubted."""
PHOTOMETRIC = 262
"""The tag of a TIFF that says which end of its range is white (TIFF 6.0)."""
SPACES = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK"}
"""The kinds of colour profiles, and the images that they fit."""


def pending_key(image: Image.Image) -> None:
    """The colour that a PNG declares transparent, in the depth of the pixels to come; Pillow keeps the file's own."""
    key = image.info.get("transparency")
    tiles = getattr(image, "tile", ())
    raw = tiles[0].args if tiles else None
    if isinstance(key, int) and raw in STEPS:
        image.info["transparency"] = key * STEPS[raw]
    if isinstance(key, tuple) and raw == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in key)


def as_shown(image: Image.Image, orientation: int) -> Image.Image:
    """A decoded image as a viewer shows it, in mode L, LA, RGB or RGBA: upright, 8 bits a channel, colours in sRGB."""
    profile = image.info.get("icc_profile")
    image = _in_eight_bits(image)
    image = _in_srgb(image, profile) if profile else image
    turn = TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def on_ground(image: Image.Image, mode: str) -> Image.Image:
    """An image in mode 'L' or 'RGB'; what is transparent lies on black in 'L', on white in 'RGB'.

    DataError where it is not seen on that ground, as ink of nearly the ground's colour that another one would show.
    """
    if "A" not in image.mode:
        return image.convert(mode)
    layers = image.convert("RGBA")
    own, other = ("black", "white") if mode == "L" else ("white", "black")
    whole = _laid(layers, own).convert(mode)
    if layers.getchannel("A").getextrema() != (255, 255):
        seen = _contrast(whole)
        if seen == 0 or (seen < FAINT and 4 * seen < _contrast(_laid(layers, other).convert(mode))):
            raise DataError(f"nothing of it is seen on {own}, on which transparent images are laid: fill its ground")
    return whole


def _laid(layers: Image.Image, ground: str) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", layers.size, ground), layers)


def _contrast(image: Image.Image) -> int:
    """Between the darkest and the brightest pixel of any channel, 0 to 255."""
    return int(np.ptp(np.asarray(image), axis=(0, 1)).max())


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """Mode L, LA, RGB, RGBA or CMYK."""
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled(image)
    transparent = image.has_transparency_data
    if image.mode in ("1", "L", "LA"):
        return image.convert("LA" if transparent else "L")
    return image if image.mode == "CMYK" else image.convert("RGBA" if transparent else "RGB")


def _scaled(image: Image.Image) -> Image.Image:
    """Greys of 16 bits, or floats in [0, 1], as 8 bits; DataError for others, whose white nobody can know."""
    if image.mode == "I" and image.format not in ("PNG", "PPM"):
        raise DataError("its values are integers of 32 bits, or have a sign: save it with 8 bits")
    white = 1.0 if image.mode == "F" else 65535.0
    stored = np.asarray(image)
    values = stored.astype(np.float32) / white
    if not (values.min() >= 0 and values.max() <= 1):
        raise DataError(f"its values do not lie in 0 to {white:g}, save it with 8 bits")
    if image.format == "TIFF" and getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == 0:
        values = 1 - values  # white is zero, which Pillow heeds for 8 bits alone
    grey = Image.fromarray((255 * values).round().astype(np.uint8))
    if isinstance(key := image.info.get("transparency"), int):
        grey.putalpha(Image.fromarray(np.where(stored == key, 0, 255).astype(np.uint8)))
    return grey


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Colours as their profile says. One that is damaged or of another kind of image says nothing, as in viewers."""
    colours = image.convert(image.mode.removesuffix("A"))
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space, title = getattr(source.profile, "xcolor_space", ""), ImageCms.getProfileDescription(source)
        if SPACES.get(space) != colours.mode or "sRGB" in title:
            return image
        shown = ImageCms.profileToProfile(colours, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    assert shown is not None  # as it is not done in place
    if "A" in image.mode:
        shown.putalpha(image.getchannel("A"))
    return shown
