"""What a source's `load` gives: a Dataset, under the name that was asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmbench.checks import toys
from mmbench.data.dataset import Dataset, DatasetSource
from mmbench.data.declared import loaded
from mmbench.errors import DataError


class Source(DatasetSource):
    """Gives what it is told to."""

    title = summary = "mine"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def load(self, root: Path, cache: Path) -> Dataset:
        return self.answer


def named(name: str) -> Dataset:
    data = toys()[0]
    return replace(data, spec=replace(data.spec, name=name))


@pytest.mark.parametrize("name", ["mine", "mine_partial", "mine_4", "mine_4_partial"])
def test_a_dataset_has_the_name_of_its_entry_point(name: str) -> None:
    assert loaded(Source(named(name)), "mine", Path(), Path()).spec.name == name


def test_one_that_is_not_installed_has_any_name_but_an_installed_ones() -> None:
    assert loaded(Source(named("other")), "my_data:Mine", Path(), Path()).spec.name == "other"
    with pytest.raises(DataError, match="as an installed dataset: give it another name"):
        loaded(Source(named("glyphs")), "my_data:Mine", Path(), Path())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (named("other"), r"'mine' has a spec called 'other': give DatasetSpec\(name='mine'\)"),
        (named("mine2"), "has a spec called 'mine2'"),
        ((1, 2), "load must return an mmbench.data.dataset.Dataset, and returned a tuple"),
        (None, "returned a NoneType"),
    ],
)
def test_what_is_none_is_one_sentence(answer: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        loaded(Source(answer), "mine", Path(), Path())
