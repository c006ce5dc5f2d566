"""Cells' files as a broken disk, a hurried editor or a stranger might leave them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from random import Random
from typing import Any

__all__ = ["HOSTILE", "mutant"]

RAW = {"@0@": "1e999", "@1@": "NaN", "@2@": "-Infinity", "@3@": "[" * 2000 + "]" * 2000, "@4@": "9" * 5000,
       "@5@": '{"a":' * 2000 + "1" + "}" * 2000, "@6@": "-0.0", "@7@": "1e308"}  # fmt: skip
"""Texts that no value of Python is written as, by the value that stands for them until then."""
HOSTILE: tuple[Any, ...] = (
    *(None, [], {}, "", " ", "x" * 10**5, "x" * 200_000, -1, 0, 1, 2**53, 2**63, 2**70, -(2**63) - 1, 0.1, -1e-300),
    *(
        "\ud800",
        "a\udfffb",
        "\0",
        "a\0b",
        "a\nb\\input{x}",
        "|<script>",
        "$\\frac$",
        "=cmd()",
        "../../etc",
        "é→\U0001f600",
    ),
    *(True, False, [None], [[[[]]]], [1, "a", None], {"": 1}, {"\0": 1}, {"\ud800": {}}, {"x" * 2000: 1}),
    *({" ": {"step": [1]}}, {"a\nb": [1]}, {"step": []}, [[1, 2], [3]], "joint", "mnist->svhn", "+", "->", "model"),
    *RAW,
)
"""Values that may stand in anything's place."""
Place = tuple[Any, Any]
"""A container and a key or index of it."""


def mutant(cell: Any, draw: Random) -> bytes:
    """The file of a cell after one to four random mutations."""
    box = [copy.deepcopy(cell)]
    bytewise = draw.random() < 0.15
    for _ in range(0 if bytewise else draw.choice((1, 1, 1, 2, 3, 4))):
        draw.choice(MUTATIONS)(box, draw)
    text = json.dumps(box[0], indent=1)
    for mark, raw in RAW.items():
        text = text.replace(json.dumps(mark), raw)
    content = text.encode()
    return _bytewise(content, draw) if bytewise else content


def _places(node: Any) -> list[Place]:
    """Every place in a tree."""
    found: list[Place] = []
    waiting = [node]
    while waiting:
        at = waiting.pop()
        keys = list(at) if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else []
        found += [(at, key) for key in keys]
        waiting += [at[key] for key in keys]
    return found


def _replace(box: list[Any], draw: Random) -> None:
    at, key = draw.choice(_places(box))
    at[key] = copy.deepcopy(draw.choice(HOSTILE))


def _delete(box: list[Any], draw: Random) -> None:
    if places := _places(box)[1:]:
        at, key = draw.choice(places)
        del at[key]


def _add(box: list[Any], draw: Random) -> None:
    """A key that nobody asked for, or a name changed."""
    if places := [place for place in _places(box) if isinstance(place[0], dict)]:
        at, key = draw.choice(places)
        name = draw.choice([value for value in HOSTILE if isinstance(value, str) and len(value) < 3000])
        at[name] = at.pop(key) if draw.random() < 0.5 else copy.deepcopy(at[key])


def _double(box: list[Any], draw: Random) -> None:
    if places := [place for place in _places(box)[1:] if isinstance(place[0], list)]:
        at, key = draw.choice(places)
        at.insert(key, copy.deepcopy(at[key]))


def _swap(box: list[Any], draw: Random) -> None:
    places = _places(box)
    (one, a), (other, b) = draw.choice(places), draw.choice(places)
    one[a], other[b] = copy.deepcopy(other[b]), copy.deepcopy(one[a])


def _number(box: list[Any], draw: Random) -> None:
    """Another number in a number's place."""
    if places := [(at, key) for at, key in _places(box) if type(at[key]) in (int, float)]:
        at, key = draw.choice(places)
        at[key] = draw.choice([0, -1, 1e-320, 1e99, 1e101, 1e308, -1e308, 2**62, 2**64, 10**300, 0.5, True])


def _word(box: list[Any], draw: Random) -> None:
    """Another text in a text's place."""
    if places := [(at, key) for at, key in _places(box) if isinstance(at[key], str)]:
        at, key = draw.choice(places)
        at[key] = draw.choice([value for value in HOSTILE if isinstance(value, str)])


def _bytewise(content: bytes, draw: Random) -> bytes:
    """Cut short, bits flipped, or a piece of it said twice."""
    if draw.random() < 0.3:
        return content[: draw.randrange(len(content))]
    data = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    start = draw.randrange(len(data))
    return bytes(data + data[start:]) if draw.random() < 0.1 else bytes(data)


Mutation = Callable[[list[Any], Random], None]
MUTATIONS: tuple[Mutation, ...] = (_replace, _delete, _add, _double, _swap, _number, _number, _word, _word)
