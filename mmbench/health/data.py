"""Whether the files of each dataset are there and whole, looked at in a process of its own that is given up when it
takes too long: `python -m mmbench.health.data ROOT DATASET...` says a line of JSON for each."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .. import plugins
from ..errors import DataError, MmbenchError
from ..progress import pasted

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
    waiting = list(plugins.available(plugins.DATASETS))
    while waiting:
        for name, found in zip(list(waiting), _child(root, waiting, limit), strict=False):
            waiting.remove(name)
            yield found


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


def _child(root: Path, names: Sequence[str], limit: float) -> Iterator[Looked]:
    """What a process says of datasets until it ends; the one that it did not come to an end with is unknown."""
    command = [sys.executable, "-m", __name__, str(root), *names]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        try:
            for name in names:
                clock = threading.Timer(limit, child.kill)
                clock.start()
                line = child.stdout.readline()
                clock.cancel()
                if not line:
                    yield Looked(name, "unknown", _given_up(name, root, limit, child.wait()))
                    return
                yield Looked(**json.loads(line))
        finally:
            child.kill()


def _given_up(name: str, root: Path, limit: float, code: int) -> str:
    why = f"not read through within {limit:.0f} s" if code == -9 else f"its check ended with code {code}"
    return f"{why}; `mmbench data verify {name} --data-root {pasted(root)}` looks at all of it"


def main() -> None:
    out = sys.stdout
    sys.stdout = sys.stderr  # what a dataset prints is no answer
    for name in sys.argv[2:]:
        print(json.dumps(vars(look(name, Path(sys.argv[1])))), file=out, flush=True)


if __name__ == "__main__":
    main()
