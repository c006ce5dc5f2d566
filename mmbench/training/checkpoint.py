"""Checkpoints of an unfinished training: the two newest, verified before one is believed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import DamagedError
from ..store.files import set_aside
from ..tensors import load_tensors, save_tensors

__all__ = ["Checkpoints"]


class Checkpoints:
    """`training.safetensors` in a folder, and the one before it.

    Arguments:
        say: told of damage, one sentence.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.newest, self.before = folder / "training.safetensors", folder / "training.before.safetensors"
        self.say = say

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write a checkpoint; the one that was newest is kept as the one before."""
        with suppress(FileNotFoundError):
            os.replace(self.newest, self.before)
        save_tensors(self.newest, tensors, {"state": json.dumps(state)})

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The newest whole checkpoint; None where there is none. Damaged ones are set aside."""
        for path in (self.newest, self.before):
            if not path.exists():
                continue
            try:
                tensors, metadata = load_tensors(path)
                return tensors, json.loads(metadata["state"])
            except (DamagedError, KeyError, ValueError) as error:
                self.say(f"{error or path}; set aside as {set_aside(path).name}, the one before is tried")
        return None

    def clear(self) -> None:
        """Remove them: the training is finished."""
        for path in (self.newest, self.before):
            path.unlink(missing_ok=True)
