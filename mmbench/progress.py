"""Progress of long work: what the library reports, and a silent default; words for lines and for shells."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Advance", "Progress", "duration", "one_line", "pasted"]

Advance = Callable[..., None]
"""advance(steps, note='loss 12.3', left=90.0): so many more steps are done; the seconds that are left, where they are
known better than by the pace."""


class Progress:
    """Silent progress; the command line passes a subclass that draws bars."""

    @contextmanager
    def phase(self, title: str, total: int, unit: str = "step", done: int = 0) -> Iterator[Advance]:
        """A phase of `total` steps, of which `done` were made before; yields `advance`."""

        def advance(steps: int = 1, note: str = "", left: float | None = None) -> None:
            return None

        yield advance

    def say(self, message: str) -> None:
        """A sentence for the user."""
        return

    def lane(self, who: str) -> Progress:
        """The progress of one of several workers, whose phases are shown beside the others' under a name."""
        return self


def duration(seconds: float) -> str:
    """'40 s', '12 min', '5.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def one_line(text: str) -> str:
    """A text on one line: what ends a line, and what else controls a terminal, is a blank; what turns the direction of
    other words is left out."""
    return re.sub("[\u202a-\u202e\u2066-\u2069]+", "", re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text))


def pasted(word: str | os.PathLike[str]) -> str:
    """A word of a command that a user may paste into a shell: quoted where it must be, and by the bytes of what is not
    seen or no text (bash, zsh and ksh read $'...')."""
    text = os.fspath(word)
    if text.isprintable():
        return shlex.quote(text)
    parts = (c if c.isprintable() and c not in "\\'" else _escaped(c) for c in text)
    return f"$'{''.join(parts)}'"


def _escaped(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))
