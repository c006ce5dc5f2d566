"""The one reader of image files, of datasets and of what users give. They may be anything: each is read as a viewer
shows it, or refused in a few words that the caller puts behind the file's name.

What is transparent lies on a ground: black where an image becomes one channel, as the digits of MNIST are white on
black, and white where it becomes three, as paper is, on which drawings and cut-out photographs are laid.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ..errors import DataError
from .appearance import as_shown, on_ground, pending_key
from .sources import regular

__all__ = ["read_image", "read_photograph"]

KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM", "JPEG2000", "TGA", "ICO")
"""Formats that are read; not those whose reading starts another program (EPS)."""
PHOTOGRAPHS = frozenset({"MPO"})
"""Formats of cameras and phones, whose first picture is the photograph and whose others go with it."""
_LOCK = Lock()  # Python's filters of warnings belong to all threads


def read_image(path: Path, shape: tuple[int, ...]) -> Tensor:
    """An image file as uint8 (C, H, W), both sides forced to `shape`; bilinear with antialiasing.

    An 8-bit RGB image without more is what torchvision's Resize gives: CUB and Oxford-102 hold no other. Else it is
    turned as its camera says, its depth is made 8 bits, its colour profile sRGB, and what is transparent lies on the
    ground. Raises DataError with what is wrong, without the file's name: no file, empty, no image, cut, more pixels
    than Pillow holds for honest (89 million), several pictures, values of unknown range, nothing seen on its ground.
    """
    channels, height, width = shape if len(shape) == 3 else (0, 0, 0)
    if channels not in (1, 3):
        raise DataError(f"an image file gives 1 channel or 3, and the modality has the shape {tuple(shape)}")
    with _opened(path) as image:
        shown = on_ground(as_shown(image, _orientation(image)), "L" if channels == 1 else "RGB")
        pixels = torch.from_numpy(np.array(shown.resize((width, height), Image.Resampling.BILINEAR)))
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1)


def read_photograph(path: Path) -> Tensor:
    """An image file as uint8 (3, H, W), at its own size; else as `read_image`."""
    with _opened(path) as image:
        shown = on_ground(as_shown(image, _orientation(image)), "RGB")
        return torch.from_numpy(np.array(shown)).permute(2, 0, 1).contiguous()


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A decoded image; whatever goes wrong inside is a DataError."""
    try:
        if not regular(path):
            raise DataError("it is empty")
        with path.open("rb") as file, _open(file) as image:
            _check_single(image)
            pending_key(image)
            image.load()
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"it declares more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels") from None
    except UnidentifiedImageError:
        raise DataError(f"no image, or damaged from its first bytes on; these are read: {', '.join(KINDS)}") from None
    except DataError:
        raise
    except MemoryError:
        raise DataError("it does not fit into memory") from None
    except OSError as error:
        raise DataError(error.strerror or "no whole image") from error
    except Exception as error:  # each of Pillow's formats has its own
        raise DataError("no whole image") from error


def _open(file: BinaryIO) -> Image.Image:
    """Of a file and not of its path: with that, Pillow 13 maps a plain TIFF that lies on its side into wrong rows."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        Image.init()
        return Image.open(file, formats=[kind for kind in (*KINDS, *PHOTOGRAPHS, "DIB") if kind in Image.OPEN])


def _check_single(image: Image.Image) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format not in PHOTOGRAPHS:
        raise DataError(f"it holds {frames} pictures, save the one that is meant")


def _orientation(image: Image.Image) -> int:
    """EXIF's 1 to 8 of a decoded image; 1, upright, where it says nothing that can be read."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return int(image.getexif().get(0x0112, 1))
        except Exception:  # a damaged record of the camera leaves the pixels whole
            return 1
