"""What is wrong with a value, in a user's words: the checker's own are of parsers and of Python's types."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from .progress import one_line

__all__ = ["MISSING", "mistake", "refusal", "shown"]

LENGTH = 100
"""Characters of a value that a sentence shows."""
MISSING, MUST = "is missing", "it must be"
GROUP = 'a group of settings, {"name": value}'
LIST = "a list, [value, value]"
KINDS: Mapping[str, str] = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "string": "a word",
    "bytes": "a word",
    "none": "none",
    "finite": "a finite number",
    "list": LIST,
    "tuple": LIST,
    "set": LIST,
    "frozen": LIST,
    "iterable": LIST,
    "sequence": LIST,
    "dict": GROUP,
    "mapping": GROUP,
    "dataclass": GROUP,
    "model": GROUP,
    "path": "a path",
    "date": "a date",
    "datetime": "a date with its time",
    "time": "a time of the day",
    "uuid": "a UUID",
    "url": "an address",
}
"""First word of an error's type ('int_parsing', 'list_type') -> what was wanted."""
BOUNDS: Mapping[str, str] = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_too_short": "a word of at least {min_length} characters",
    "string_too_long": "a word of at most {max_length} characters",
    "string_pattern_mismatch": "a word of the form {pattern}",
}
PREFIXES = ("Value error, ", "Assertion failed, ", "Input should be ")


def mistake(error: ValidationError, data: Any) -> tuple[str, str, str]:
    """Where in the data ('score.lr', '' for the whole), the value there in print, and what is wrong: 'it must be a
    number', or `MISSING`. Of several mistakes the first; of a value of several kinds, all of them."""
    found = [(_place(one["loc"], data, one["type"]), one) for one in error.errors(include_url=False)]
    where = max((place for place, _ in found if place[:1] == found[0][0][:1]), key=len)
    own = [one for place, one in found if place == where]
    return ".".join(map(str, where)), shown(own[0]["input"]), _wanted(own)


def refusal(error: ValidationError) -> str:
    """What is wrong with a value that has no parts: "'x' will not do: it must be a number"."""
    errors = error.errors(include_url=False)
    wanted = _wanted([one for one in errors if one["loc"] == errors[0]["loc"]])
    return f"{shown(errors[0]['input'])} will not do: {wanted}" if wanted.startswith(MUST) else wanted


def shown(value: Any) -> str:
    """A value as a user would type it after '=', on one line: 'wide', none, true, [1, 2]."""
    if isinstance(value, str):
        text = repr(value)
    else:
        try:
            text = "none" if value is None else json.dumps(value)
        except (TypeError, ValueError):  # no JSON data
            text = repr(value)
    text = one_line(text)
    return text if len(text) <= LENGTH else f"{text[:LENGTH]}..."


def _place(names: Sequence[Any], data: Any, kind: str) -> tuple[Any, ...]:
    """The names that lead through the data; the others are the checker's, of the kinds that it tried."""
    place: list[Any] = []
    for name in names:
        known = range(len(data)) if isinstance(data, list | tuple) else data if isinstance(data, Mapping) else ()
        if name in known:
            data = data[name]
            place.append(name)
        elif kind.startswith("missing") and name == names[-1]:
            place.append(name)
    return tuple(place)


def _wanted(errors: Sequence[Any]) -> str:
    """'it must be a whole number or none'; of a refusal by the value's owner, its words."""
    said = [one for one in errors if one["type"] in ("value_error", "assertion_error")]
    if said:
        return _bare(said[0]["msg"])
    if all(one["type"].startswith("missing") for one in errors):
        return MISSING
    return f"{MUST} {' or '.join(sorted(dict.fromkeys(map(_kind, errors)), key='none'.__eq__))}"


def _kind(error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in BOUNDS:
        return BOUNDS[kind].format(**context)
    if kind in ("literal_error", "enum"):
        return str(context["expected"])
    if kind == "union_tag_invalid":
        return f"of a kind {context['expected_tags']}"
    return KINDS.get(kind.partition("_")[0]) or _bare(error["msg"])


def _bare(message: str) -> str:
    for prefix in PREFIXES:
        message = message.removeprefix(prefix)
    return one_line(message).strip()
