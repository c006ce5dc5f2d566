"""Bounds on JSON data, checked on data made to lie on each side of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mmbench.store.bounds import excess, fitting, place


def nested(levels: int) -> Any:
    return json.loads("[" * levels + "]" * levels)


@pytest.mark.parametrize(
    "inside",
    [nested(20), {"a": 2**63 - 1, "b": -(2**63)}, ["x" * 100_000], [0] * 100_000, [1e308, True, None], "\U0001f600"],
    ids=["depth", "integers", "text", "items", "numbers", "character"],
)
def test_within(inside: Any) -> None:
    assert excess(inside) is None


@pytest.mark.parametrize(
    ("beyond", "says"),
    [
        (nested(21), "nested deeper"),
        ({"a": {"b": 2**63}}, "a.b: an integer"),
        ([-(2**63) - 1], "0: an integer"),
        (["x" * 100_001], "0: has more than 100,000 characters"),
        ({"x" * 100_001: 1}, "the file: a key has more than"),
        ([0] * 100_001, "the file: has more than 100,000 items"),
        ({"a": [0.0, float("inf")]}, "a.1: should be a finite number"),
        ({"a": "\udc00"}, "a: has half a character"),
        ({"a\0": 1}, "the file: a key has a NUL"),
    ],
)  # fmt: skip
def test_beyond(beyond: Any, says: str) -> None:
    assert says in str(excess(beyond))


def test_a_tree_deeper_than_python_can_recurse_is_no_crash() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert "nested deeper" in str(excess(deep))
    while deep:
        deep = deep[0]  # undone step by step: the interpreter's own clean-up recurses


def test_a_place_is_short_and_printable_whatever_the_keys() -> None:
    said = place(["rows", 3, "a\nb|<script>\x1b[0m" + "y" * 5000, *"abcdefgh" * 20])
    assert said.startswith("rows.3.a?b??script>??0m")
    assert said.isprintable()
    assert len(said) == 100


def test_what_is_made_to_fit_does() -> None:
    text = fitting("a\0b\ud800c" + "x" * 200_000)
    assert text.startswith("ab�c")
    assert excess(text) is None
