"""Sample files for the figures: a few samples and conditions of each task, as images and texts.

    <runs>/samples/<dataset>/<model>/<budget>-<hash>/seed-<k>.<token>.npz

The token is a hash of the weights and settings that made them; a cell records the whole name, so that samples of
other weights are never shown for its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import ResultError
from .files import whole
from .reading import unreadable

__all__ = ["read_samples", "sample_key", "write_samples"]


def sample_key(task: str, role: Literal["given", "target"], modality: str) -> str:
    """The name of one array of a sample file: 'mnist->svhn/given/mnist', 'joint/target/svhn'."""
    return f"{task}/{role}/{modality}"


def write_samples(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a sample file: images (n, C, H, W) uint8 or float32, texts (n,) unicode, by `sample_key`."""
    for name, array in arrays.items():
        if array.dtype.kind not in "uifU":
            raise ResultError(f"samples {name!r} have dtype {array.dtype}: give numbers or unicode strings")
    with whole(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **dict(arrays))


def read_samples(path: Path) -> dict[str, np.ndarray]:
    """The inverse of `write_samples`; raises ResultError if the file is missing, damaged or may not be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise ResultError(f"there are no samples at {path}: run the cell again to draw them") from None
    except OSError as error:
        raise unreadable(path, error) from None
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise ResultError(
            f"the samples {path} are damaged ({type(error).__name__}): delete the file and run its cell again"
        ) from None
