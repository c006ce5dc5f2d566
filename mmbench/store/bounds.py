"""What JSON data may be, whatever it says: bounded in depth and size, numbers of 64 bits, texts that can be written.

A report walks, prints and hashes what it reads; a file from elsewhere must not be able to exhaust it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

__all__ = ["DEPTH", "ITEMS", "LENGTH", "excess", "fitting", "place"]

DEPTH = 20
"""Lists and objects inside each other."""
ITEMS = 100_000
"""Of one list or object."""
LENGTH = 100_000
"""Characters of one text."""
WHOLE = 2**63
"""Integers lie in [-WHOLE, WHOLE)."""
SURROGATE = re.compile(r"[\ud800-\udfff]")


def excess(data: Any) -> str | None:
    """The first thing in JSON data that is beyond the bounds, 'rows.3.value: should be a finite number'; else None."""
    waiting: list[tuple[tuple[Any, ...], Any]] = [((), data)]
    known: set[str] = set()  # keys, of which a file has few that differ
    while waiting:
        where, value = waiting.pop()
        if reason := _reason(value, len(where)):
            return f"{place(where)}: {reason}"
        if isinstance(value, dict):
            if not value.keys() <= known:
                for key in value:
                    if isinstance(key, str) and (reason := _of_text(key)):
                        return f"{place(where)}: a key {reason}"
                known.update(value)
            waiting += [((*where, key), item) for key, item in value.items() if not _plain(item)]
        elif isinstance(value, list) and not _are_numbers(value):
            waiting += [((*where, k), item) for k, item in enumerate(value) if not _plain(item)]
    return None


def _plain(value: Any) -> bool:
    """Whether a value needs no further look, as nearly all do: reports read thousands of files."""
    kind = type(value)
    if kind is str:
        return value.isascii() and len(value) <= LENGTH and "\0" not in value
    if kind is int:
        return -WHOLE <= value < WHOLE
    return value is None or kind is bool or (kind is float and math.isfinite(value))


def _are_numbers(values: list[Any]) -> bool:
    """Whether all of a list, which may be a training's history, are finite floats, or integers that fit; it takes no
    look at each."""
    kinds = set(map(type, values))
    if kinds == {int}:
        return min(values) >= -WHOLE and max(values) < WHOLE
    return kinds == {float} and all(map(math.isfinite, values))


def fitting(text: str) -> str:
    """A text as a file may hold it: without NUL and lone surrogates, cut where it is too long."""
    return SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text).replace("\0", "")[:LENGTH]


def place(where: Sequence[Any]) -> str:
    """'rows.3.value': where in a file, as it may stand in a sentence, whatever the keys are."""
    words = [re.sub(r"[^\w .+>-]", "?", str(word)[:40]) for word in where]
    text = ".".join(words) or "the file"
    return text if len(text) <= 100 else f"{text[:97]}..."


def _reason(value: Any, depth: int) -> str | None:
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, float):
        return None if math.isfinite(value) else "should be a finite number"
    if isinstance(value, int):
        return None if -WHOLE <= value < WHOLE else "an integer of more than 64 bits"
    if isinstance(value, dict | list):
        return _of_container(value, depth)
    return None


def _of_text(text: str) -> str | None:
    if len(text) > LENGTH:
        return f"has more than {LENGTH:,} characters"
    if "\0" in text:
        return "has a NUL character"
    return "has half a character (a lone surrogate)" if SURROGATE.search(text) else None


def _of_container(value: dict[Any, Any] | list[Any], depth: int) -> str | None:
    if len(value) > ITEMS:
        return f"has more than {ITEMS:,} items"
    return f"is nested deeper than {DEPTH} levels" if depth >= DEPTH else None
