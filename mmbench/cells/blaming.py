"""Whatever a plugin raises becomes one sentence that names it and the place; SystemExit too, which would otherwise end
the grid in silence."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from .. import untouched
from ..errors import MemoryShortageError, MmbenchError, PluginError, deed
from ..training import flops

__all__ = ["blaming"]

THEIRS = (str(Path(torch.__file__).parent), flops.__file__, untouched.__file__)
"""Where nobody who wrote a plugin looks: torch, what counts its operations and so stands between, what keeps Python
from ending."""


@contextmanager
def blaming(name: str) -> Iterator[None]:
    """An unforeseen error of a plugin becomes one sentence that names it, with the error as its cause.

    Raises PluginError, or MemoryShortageError. Our own errors and an interruption pass through.
    """
    try:
        yield
    except (MmbenchError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        if _is_shortage(error):
            raise MemoryShortageError(
                f"{name} ran out of memory ({_place(error)}); choose a smaller batch (--set schedule.batch_size=..., "
                "--set eval.batch_size=...) or a smaller --budget, or a machine with more"
            ) from error
        raise PluginError(f"{name} {deed(error)} ({_place(error)}); tell its author") from error


def _is_shortage(error: BaseException) -> bool:
    """torch has an error of its own for a GPU, and a RuntimeError for the CPU."""
    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or "DefaultCPUAllocator" in deed(error)


def _place(error: BaseException) -> str:
    """'my_net.py:12': the innermost line that is not torch's."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = [f for f in frames if not f.filename.startswith(THEIRS)][-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"
