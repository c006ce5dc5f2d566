"""Checkpoints of an unfinished training: the two newest, verified before one is believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import DamagedError
from ..store.files import make_way, move, set_aside
from ..store.reading import there
from ..tensors import form, load_tensors, save_tensors

__all__ = ["Checkpoints", "State"]

State = dict[str, Any]
"""What a checkpoint says beside its tensors: JSON data."""
OWN = "own"
"""In a file's metadata: a hash of its folder's name, its state and its tensors' form."""


class Checkpoints:
    """`training.safetensors` in a folder, and the one before it.

    Arguments:
        say: told of damage, one sentence.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.newest, self.before = folder / "training.safetensors", folder / "training.before.safetensors"
        self.owner, self.say = "/".join(folder.absolute().parts[-2:]), say

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write a checkpoint; the one that was newest is kept as the one before."""
        for path in (self.newest, self.before):
            make_way(path, self.say)
        if self.newest.exists():
            move(self.newest, self.before)
        said = {"state": json.dumps(state)}
        save_tensors(self.newest, tensors, {**said, OWN: form(tensors, said, self.owner)})

    def load(self, misfit: Callable[[dict[str, Tensor], State], str]) -> tuple[dict[str, Tensor], State] | None:
        """The newest whole checkpoint; None where there is none. Damaged ones are set aside. Raises UnreadableError.

        Arguments:
            misfit: why tensors and state are none of this training's; '' where they are.
        """
        for path in (self.newest, self.before):
            if not there(path):
                continue
            try:
                return self._read(path, misfit)
            except DamagedError as error:
                older = path == self.newest and self.before.exists()
                then = "the one before is tried" if older else "the training begins anew"
                self.say(f"{error}; it was set aside as {set_aside(path).name}, {then}")
        return None

    def clear(self) -> None:
        """Remove them: the training is finished."""
        for path in (self.newest, self.before):
            with suppress(IsADirectoryError, PermissionError):  # a folder is nothing of ours
                path.unlink(missing_ok=True)

    def _read(self, path: Path, misfit: Callable[[dict[str, Tensor], State], str]) -> tuple[dict[str, Tensor], State]:
        tensors, said = load_tensors(path)
        if said.pop(OWN, None) != form(tensors, said, self.owner):
            raise DamagedError(f"{path} is damaged (it is of another training)")
        try:
            state = json.loads(said["state"])
            wrong = misfit(tensors, state)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise DamagedError(f"{path} is damaged (it does not say how far it has come)") from None
        if wrong:
            raise DamagedError(f"{path} is damaged ({wrong})")
        return tensors, state
