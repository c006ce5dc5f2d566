"""Samples as arrays for figures and as files for other tools: PNG images and lines of text."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..modality import Modality
from ..store.files import discard, whole, write_text
from ..store.reading import children, readable, unreadable

__all__ = ["as_array", "claimed", "export", "exported"]

LABEL = "artefact.txt"
"""Says which samples lie in a folder: the key of their artefact, their number, and a checksum of their files."""
NUMBERED = re.compile(r"\d{5,}\.png", re.ASCII)
"""Names that are given to images."""


def as_array(modality: Modality, values: Tensor) -> np.ndarray:
    """Items (n, *shape) as arrays: images uint8 (n, C, H, W), texts unicode (n,)."""
    if modality.is_text:
        return np.array([modality.text(tokens) for tokens in values.tolist()], dtype=np.str_)
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def export(folder: Path, samples: Mapping[Modality, Tensor], key: str) -> None:
    """Images as <folder>/<modality>/00000.png ..., texts as the lines of <folder>/<modality>.txt; the label comes last,
    so that what was interrupted is seen. Images of other samples that lay there go."""
    discard(folder / LABEL)
    sha, count = hashlib.sha256(), min(map(len, samples.values()))
    for modality, values in samples.items():
        for path, content in _files(folder, modality, as_array(modality, values)):
            with whole(path, synced=False) as temporary:
                temporary.write_bytes(content)
            sha.update(content)
        for path in children(folder / modality.name):
            if NUMBERED.fullmatch(path.name) and int(path.stem) >= count:
                discard(path)
    write_text(folder / LABEL, f"{key} {count} {sha.hexdigest()}\n")


def exported(folder: Path, modalities: Iterable[Modality], key: str) -> int:
    """How many samples of the artefact `key` lie in a folder as files, all of them as they were written; 0 where one is
    missing or damaged. Raises UnreadableError where one may not be read."""
    count, checksum = _label(folder, key)
    paths = [path for modality in modalities for path in _paths(folder, modality, count)]
    return count if count and _checksum(paths) == checksum else 0


def claimed(folder: Path, key: str) -> int:
    """How many samples of the artefact `key` a folder's label speaks of, whether or not they are whole."""
    return _label(folder, key)[0]


def _label(folder: Path, key: str) -> tuple[int, str]:
    """(number of samples, checksum) of a folder's label; (0, '') where there is none of the artefact `key`."""
    if not readable(folder / LABEL):
        return 0, ""
    try:
        made_by, count, *checksum = (folder / LABEL).read_text().split()
        return (int(count), "".join(checksum)) if made_by == key else (0, "")
    except ValueError:  # of another form
        return 0, ""


def _paths(folder: Path, modality: Modality, count: int) -> list[Path]:
    if modality.is_text:
        return [folder / f"{modality.name}.txt"]
    return [folder / modality.name / f"{number:05}.png" for number in range(count)]


def _checksum(paths: Iterable[Path]) -> str:
    """SHA-256 over the bytes of files in this order; '' where one is missing."""
    sha = hashlib.sha256()
    for path in paths:
        try:
            sha.update(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as error:
            raise unreadable(path, error) from None
    return sha.hexdigest()


def _files(folder: Path, modality: Modality, array: np.ndarray) -> Iterator[tuple[Path, bytes]]:
    """Each file of a modality's samples, with its bytes."""
    paths = _paths(folder, modality, len(array))
    if modality.is_text:
        yield paths[0], "".join(f"{line}\n" for line in array).encode(errors="backslashreplace")
        return
    yield from zip(paths, map(_png, array.transpose(0, 2, 3, 1)), strict=True)


def _png(image: np.ndarray) -> bytes:
    """An image (H, W, C) uint8 as a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(file, format="PNG")
    return file.getvalue()
