"""Image files, which may be anything: opened within bounds, and every way to be damaged told in a few words."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image, ImageOps

from ..errors import DataError

__all__ = ["on_ground", "opened", "upright"]

_LOCK = Lock()  # Python's filters of warnings belong to all threads


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file, whose pixels are read inside.

    Raises OSError where there is no file that can be read, DataError with what is wrong ('no whole image') where it is
    damaged, no image, or declares more pixels than Pillow holds for honest (89 million).
    """
    try:
        with _open(path) as image:
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"it declares more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels") from None
    except (DataError, MemoryError):
        raise
    except OSError as error:
        if error.strerror:
            raise
        raise DataError("no whole image") from error
    except Exception as error:  # each of Pillow's formats has its own
        raise DataError("no whole image") from error


def _open(path: Path) -> Image.Image:
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(path)


def upright(image: Image.Image) -> Image.Image:
    """An image as a viewer shows it: turned as its camera says (EXIF), 8 bits a channel.

    16-bit values are scaled, and so are floats in [0, 1]; DataError for other values, whose white nobody can know.
    """
    image = ImageOps.exif_transpose(image)
    white = 65535.0 if image.mode.startswith("I") else 1.0 if image.mode == "F" else None
    if white is None:
        return image
    values = np.asarray(image, dtype=np.float32) / white
    if not (values.min() >= 0 and values.max() <= 1):
        raise DataError(f"its values do not lie in 0 to {white:g}, save it with 8 bits")
    return Image.fromarray((255 * values).round().astype(np.uint8))


def on_ground(image: Image.Image, mode: str) -> Image.Image:
    """An image in mode 'L' or 'RGB'; what is transparent lies on black in 'L' (digits are white on black), on white in
    'RGB'. DataError where nothing can be seen on that ground, as black ink on black."""
    if not image.has_transparency_data:
        return image.convert(mode)
    layers = image.convert("RGBA")
    ground = "black" if mode == "L" else "white"
    whole = Image.alpha_composite(Image.new("RGBA", image.size, ground), layers).convert(mode)
    if layers.getchannel("A").getextrema() != (255, 255) and not np.ptp(np.asarray(whole), axis=(0, 1)).any():
        raise DataError(f"nothing of it is seen on {ground}, on which transparent images are laid: fill its ground")
    return whole
