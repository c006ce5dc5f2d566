"""What a rule of the contract is: a small function that raises ContractError with what to change."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import untouched
from ..described import described
from ..errors import MmbenchError, deed
from .subject import ContractError

__all__ = ["Check", "Checks", "cause", "refuse"]

Rule = Callable[[Any], str | None]
"""(a model or a metric on a toy) -> what is told of it where it keeps the rule."""


@described
@dataclass(frozen=True, slots=True)
class Check:
    """One rule of the contract."""

    name: str
    """The word used in `known_failures`, in test ids and on the command line."""
    title: str
    """The rule as a sentence."""
    function: Rule
    needs: tuple[str, ...]
    """Checks that must pass before this one says anything."""


class Checks(dict[str, Check]):
    """The checks of one subject by name, in the order in which they are run."""

    def add(self, *needs: str) -> Callable[[Rule], Rule]:
        """A decorator: `check_answers` becomes the check 'answers', the first line of its docstring the title."""

        def register(function: Rule) -> Rule:
            name = function.__name__.removeprefix("check_")
            title = (function.__doc__ or name).splitlines()[0].rstrip(".")
            self[name] = Check(name, title, function, needs)
            return function

        return register


def refuse(condition: bool, message: str) -> None:
    if condition:
        raise ContractError(message)


def cause(error: BaseException) -> str:
    """The message of our own errors; otherwise also the kind of error and the line that raised it."""
    if isinstance(error, (ContractError, MmbenchError)):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    frame = [frame for frame in frames if frame.filename != untouched.__file__][-1]  # what keeps Python from ending
    return f"{deed(error).removeprefix('failed with ')} ({Path(frame.filename).name}, line {frame.lineno})"
