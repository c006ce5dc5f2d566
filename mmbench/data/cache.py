"""Tensors that are made once and kept in a file: a picture drawn, a photograph read and resized."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from ..errors import DamagedError, ResultError, StorageError, UnreadableError
from ..store.files import set_aside
from ..tensors import form, load_tensors, save_tensors

__all__ = ["Made", "once"]

Made = tuple[dict[str, Tensor], dict[str, str]]
"""Tensors by name, and texts that go with them."""
OWN = "own"
"""In a file's metadata: a hash of its name and of its tensors' form, so that it is not taken for another."""


def once(path: Path, make: Callable[[], Made], say: Callable[[str], None]) -> Made:
    """What the file `path` holds; where there is none, what `make` returns, which is then kept there.

    What is damaged, or was written for another name, is set aside, with a sentence to `say`. A cache is not trusted,
    only used: one that cannot be written costs the next call its time. Raises UnreadableError where a file is there
    that may not be read: it is somebody's, and stays.
    """
    free = True
    try:
        return _read(path)
    except UnreadableError:
        raise
    except DamagedError as error:
        free = _moved(path, str(error), say)
    except ResultError:
        pass
    tensors, said = make()
    with suppress(StorageError):
        if free:
            save_tensors(path, tensors, {**said, OWN: form(tensors, said, path.name)})
    return tensors, said


def _read(path: Path) -> Made:
    tensors, said = load_tensors(path)
    if said.pop(OWN, None) != form(tensors, said, path.name):
        raise DamagedError(f"{path} is damaged (it holds other data)")
    return tensors, said


def _moved(path: Path, reason: str, say: Callable[[str], None]) -> bool:
    """Whether the place is free: a folder may not permit to rename what is in it."""
    try:
        say(f"{reason}; it was set aside as {set_aside(path).name} and is made again")
    except StorageError:
        return False
    return True
