"""Files of photographs and their captions: read all of them, and tell of all damage at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ..errors import DataError
from .captions import read_captions
from .images import read_image

__all__ = ["CAPTIONS", "SIDE", "Fault", "Record", "read_records"]

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


@dataclass(frozen=True, slots=True)
class Fault:
    """A file that cannot be used."""

    kind: Literal["image", "captions"]
    path: Path
    reason: str

    def line(self, root: Path) -> str:
        """'file under root (what is wrong with it)'."""
        return f"{self.path.relative_to(root)} ({self.reason})"


def read_records(records: Sequence[Record]) -> tuple[Tensor, list[list[str]], list[Fault]]:
    """Images uint8 (n, 3, 64, 64), the captions of each, and all files that are damaged or missing.

    Where something is damaged the images and captions are not to be used.
    """
    faults: list[Fault] = []
    images = torch.zeros((len(records), 3, SIDE, SIDE), dtype=torch.uint8)
    captions: list[list[str]] = []
    with ThreadPoolExecutor() as pool:
        for k, (record, pixels) in enumerate(zip(records, pool.map(_try_image, records), strict=True)):
            if isinstance(pixels, Tensor):
                images[k] = pixels
            else:
                faults.append(Fault("image", record.image, pixels))
            lines = _try_captions(record)
            if isinstance(lines, list):
                captions.append(lines)
            else:
                faults.append(Fault("captions", record.captions, lines))
    return images, captions, faults


def _try_image(record: Record) -> Tensor | str:
    """The pixels, or what is wrong with the file."""
    try:
        return read_image(record.image, (3, SIDE, SIDE))
    except DataError as error:
        return str(error)


def _try_captions(record: Record) -> list[str] | str:
    """The captions, or what is wrong with their file."""
    try:
        lines = read_captions(record.captions)
    except DataError as error:
        return str(error)
    return lines if len(lines) == CAPTIONS else f"{len(lines)} captions, not {CAPTIONS}"
