"""Questions about plugins, asked in a process of its own: one that ends it, or takes too long, is given up."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

__all__ = ["TOO_LONG", "answer", "asked"]

TOO_LONG = -9
"""The exit code of a process that was given up."""


def asked(module: str, arguments: Sequence[str], names: Sequence[str], limit: float) -> Iterator[tuple[str, Any]]:
    """Each name with what `python -m MODULE ARGUMENTS... NAMES...` answers, JSON data; with the exit code of the
    process, an int, where that ended over it; with None where no process can be begun.

    Arguments:
        limit: seconds for one name.
    """
    waiting = list(names)
    while waiting:
        answers = _child([module, *arguments, *waiting], len(waiting), limit)
        for name, found in zip(list(waiting), answers, strict=False):
            waiting.remove(name)
            yield name, found


def answer(names: Sequence[str], look: Callable[[str], Any]) -> None:
    """The other side: a line of JSON for each name. What plugins print is no answer."""
    out, sys.stdout = sys.stdout, sys.stderr
    for name in names:
        print(json.dumps(look(name)), file=out, flush=True)


def _child(words: Sequence[str], count: int, limit: float) -> Iterator[Any]:
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError:
        yield from [None] * count
        return
    with child:
        assert child.stdout is not None
        try:
            for _ in range(count):
                clock = threading.Timer(limit, child.kill)
                clock.start()
                line = child.stdout.readline()
                clock.cancel()
                if not line:
                    yield child.wait()
                    return
                yield json.loads(line)
        finally:
            child.kill()
