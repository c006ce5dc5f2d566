"""Whether the files of each dataset are there and whole, looked at in a process of its own that is given up when it
takes too long: `python -m mmbench.health.data ROOT DATASET...` says a line of JSON for each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .. import plugins
from ..errors import DataError, MmbenchError
from ..progress import pasted
from .child import TOO_LONG, answer, asked

__all__ = ["LIMIT", "Looked", "look", "look_at_all"]

LIMIT = 60.0
"""Seconds for one dataset."""


@dataclass(frozen=True)
class Looked:
    """What was found of one dataset."""

    name: str
    state: Literal["whole", "partial", "unusable", "unknown"]
    said: str
    """The dataset's own sentence."""


def look_at_all(root: Path, limit: float = LIMIT) -> Iterator[Looked]:
    """Every installed dataset, one after the other; the files of one may be read for `limit` seconds."""
    for name, found in asked(__name__, [str(root)], list(plugins.available(plugins.DATASETS)), limit):
        told = isinstance(found, dict)
        yield Looked(**found) if told else Looked(name, "unknown", _given_up(name, root, limit, found))


def look(name: str, root: Path) -> Looked:
    """One dataset, in this process."""
    from ..data.dataset import DatasetSource

    try:
        kind: type[DatasetSource] = plugins.load(plugins.DATASETS, name, DatasetSource)
        source = kind()
        try:
            return Looked(name, "whole", source.verify(root))
        except DataError as error:
            if "--allow-partial" not in str(error):
                raise
            source.allow_partial = True
            return Looked(name, "partial", source.verify(root))
    except MmbenchError as error:
        return Looked(name, "unusable", str(error))
    except Exception as error:  # a stranger's dataset may raise anything
        return Looked(name, "unusable", f"{type(error).__name__}: {error}")


def _given_up(name: str, root: Path, limit: float, code: int | None) -> str:
    why = f"not read through within {limit:.0f} s" if code == TOO_LONG else f"its check ended with code {code}"
    return f"{why}; `mmbench data verify {name} --data-root {pasted(root)}` looks at all of it"


if __name__ == "__main__":
    answer(sys.argv[2:], lambda name: vars(look(name, Path(sys.argv[1]))))
