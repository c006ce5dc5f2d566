"""Files of photographs and their captions: read all of them, and tell of all damage at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import DataError
from .captions import read_captions
from .images import opened

__all__ = ["CAPTIONS", "SIDE", "Record", "read_image", "read_records"]

CAPTIONS = 10
"""Of each image."""
SIDE = 64
"""Pixels of an image, in height and in width."""


@dataclass(frozen=True, slots=True)
class Record:
    """One image, the file of its captions, and its class from 0."""

    image: Path
    captions: Path
    label: int


def read_records(records: Sequence[Record], root: Path) -> tuple[Tensor, list[list[str]], list[str]]:
    """Images uint8 (n, 3, 64, 64), the captions of each, and 'file (what is wrong with it)' for all that are damaged.

    Where something is damaged the images and captions are not to be used.
    """
    damage: list[str] = []
    images = torch.zeros((len(records), 3, SIDE, SIDE), dtype=torch.uint8)
    captions: list[list[str]] = []
    with ThreadPoolExecutor() as pool:
        for k, (record, pixels) in enumerate(zip(records, pool.map(_try_image, records), strict=True)):
            if isinstance(pixels, Tensor):
                images[k] = pixels
            else:
                damage.append(f"{record.image.relative_to(root)} ({pixels})")
            lines = _try_captions(record)
            if isinstance(lines, list):
                captions.append(lines)
            else:
                damage.append(f"{record.captions.relative_to(root)} ({lines})")
    return images, captions, damage


def read_image(path: Path) -> Tensor:
    """An image as RGB, both sides forced to 64 pixels, uint8 (3, 64, 64); bilinear with antialiasing.

    The same as torchvision's Resize on a PIL image: as in the paper's code, no orientation of a camera is looked at.
    Raises OSError or DataError, see `images.opened`.
    """
    with opened(path) as image:
        resized = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)


def _try_image(record: Record) -> Tensor | str:
    """The pixels, or what is wrong with the file."""
    try:
        return read_image(record.image)
    except (OSError, DataError) as error:
        return _reason(error)


def _try_captions(record: Record) -> list[str] | str:
    """The captions, or what is wrong with their file."""
    try:
        lines = read_captions(record.captions)
    except OSError as error:
        return _reason(error)
    return lines if len(lines) == CAPTIONS else f"{len(lines)} captions, not {CAPTIONS}"


def _reason(error: Exception) -> str:
    """The system's word for it ('No such file or directory'), or ours."""
    return getattr(error, "strerror", None) or str(error)
