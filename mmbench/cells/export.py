"""Samples as arrays for figures and as files for other tools: PNG images and lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import StorageError
from ..modality import Modality
from ..store.files import write_text

__all__ = ["as_array", "export", "exported"]

LABEL = "artefact.txt"
"""Says which samples lie in a folder: the key of their artefact and their number."""


def as_array(modality: Modality, values: Tensor) -> np.ndarray:
    """Items (n, *shape) as arrays: images uint8 (n, C, H, W), texts unicode (n,)."""
    if modality.is_text:
        return np.array([modality.text(tokens) for tokens in values.tolist()], dtype=np.str_)
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def export(folder: Path, samples: Mapping[Modality, Tensor], key: str) -> None:
    """Images as <folder>/<modality>/00000.png ..., texts as the lines of <folder>/<modality>.txt."""
    for modality, values in samples.items():
        _write(folder, modality, as_array(modality, values))
    write_text(folder / LABEL, f"{key} {min(map(len, samples.values()))}\n")


def exported(folder: Path, key: str) -> int:
    """How many samples of the artefact `key` lie in a folder as files."""
    try:
        made_by, count = (folder / LABEL).read_text().split()
        return int(count) if made_by == key else 0
    except (OSError, ValueError):
        return 0


def _write(folder: Path, modality: Modality, array: np.ndarray) -> None:
    from PIL import Image

    if modality.is_text:
        write_text(folder / f"{modality.name}.txt", "".join(f"{line}\n" for line in array))
        return
    place = folder / modality.name
    try:
        place.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(array.transpose(0, 2, 3, 1)):
            Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(place / f"{number:05}.png")
    except OSError as error:
        raise StorageError(f"cannot write samples to {place}: {error.strerror or error}; free some space") from error
