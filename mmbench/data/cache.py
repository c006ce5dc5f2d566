"""Tensors that are made once and kept in a file: a picture drawn, a photograph read and resized."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from ..errors import ResultError, StorageError, UnreadableError
from ..tensors import load_tensors, save_tensors

__all__ = ["Made", "once"]

Made = tuple[dict[str, Tensor], dict[str, str]]
"""Tensors by name, and texts that go with them."""


def once(path: Path, make: Callable[[], Made]) -> Made:
    """What the file `path` holds; where there is none, or it is damaged, what `make` returns, which is then kept there.

    A cache is not trusted, only used: one that cannot be written costs the next call its time. Raises UnreadableError
    where a file is there that may not be read: it is somebody's, and stays.
    """
    try:
        return load_tensors(path)
    except UnreadableError:
        raise
    except ResultError:
        pass
    made = make()
    with suppress(StorageError):
        save_tensors(path, *made)
    return made
