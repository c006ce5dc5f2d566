"""What a user declares has the types that it says: a wrong one is a sentence that shows a right one.

Lists are taken for tuples, as JSON and TOML have them; a text is no list of its letters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from .errors import ConfigError

__all__ = ["listed", "number", "whole", "word"]


def word(who: str, name: str, value: Any, example: str) -> None:
    """Raises ConfigError for what is no text on one line."""
    if not isinstance(value, str) or "\n" in value:
        raise ConfigError(f"{who}: {name} must be a text on one line, got {value!r:.80}: write {name}={example!r}")


def whole(who: str, name: str, value: Any, least: int) -> None:
    """Raises ConfigError for what is no whole number of at least `least`."""
    if not _is_whole(value) or value < least:
        raise ConfigError(f"{who}: {name} must be a whole number >= {least}, got {value!r:.80}")


def number(who: str, name: str, value: Any, *, least: float = 0.0, above: bool = False) -> None:
    """Raises ConfigError for what is no finite number of at least `least`, or above it."""
    fine = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not fine or not (float(value) > least if above else float(value) >= least):
        bound = f"> {least:g}" if above else f">= {least:g}"
        raise ConfigError(f"{who}: {name} must be {bound} and finite, got {value!r:.80}")


def listed(who: str, name: str, value: Any, kind: type, example: str) -> tuple[Any, ...]:
    """The values as a tuple; ConfigError where they are no sequence of a kind."""
    fine = isinstance(value, Iterable) and not isinstance(value, str | bytes | dict)
    found = tuple(value) if fine else ()
    if not fine or not all(_is_whole(one) if kind is int else isinstance(one, kind) for one in found):
        raise ConfigError(f"{who}: {name} must be a tuple such as {example}, got {value!r:.80}")
    return found


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
