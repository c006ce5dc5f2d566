"""Modalities, datasets' specifications, tasks and subsets."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from torch import nn

from mmbench.errors import ConfigError
from mmbench.modality import DatasetSpec, Modality, Task, subsets

IMAGE = Modality(name="image", shape=(3, 4, 5), network="svhn_conv", latent=4)
WORD = Modality(
    name="word",
    shape=(4,),
    network="word_mlp",
    latent=4,
    likelihood="categorical",
    vocabulary=("a", "b", "_"),
    separator="",
    unprinted=(2,),
)


def spec(*names: str) -> DatasetSpec:
    return DatasetSpec(name="d", title="D", modalities=tuple(replace(IMAGE, name=name) for name in names))


def test_image_and_text() -> None:
    assert (IMAGE.is_text, IMAGE.size) == (False, 60)
    assert (WORD.is_text, WORD.size) == (True, 4)


def test_a_text_is_printed_without_its_padding() -> None:
    assert WORD.text([0, 1, 0, 2]) == "aba"
    assert replace(WORD, unprinted=(), separator=" ").text([1, 2]) == "b _"


def test_a_text_ends_at_its_first_end() -> None:
    word = replace(WORD, vocabulary=("a", "b", "_", "."), end=3)
    assert word.text([0, 2, 1, 3, 0, 3]) == "ab"
    assert word.text([3, 0, 1]) == ""
    assert replace(word, end=None).text([0, 3, 1]) == "a.b"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "two words"}, "must be an identifier, got 'two words'"),
        ({"name": ""}, "must be an identifier"),
        ({"name": "a/b"}, "must be an identifier"),
        ({"name": 3}, "must be an identifier"),
        ({"name": "a" * 300}, "has at most 40 letters, got 300: a"),
        ({"name": "joint"}, "cannot be called 'joint'"),
        ({"name": "keys"}, "cannot be called 'keys'"),
        ({"name": "type"}, "cannot be called 'type'"),
        ({"name": "training"}, "cannot be called 'training'"),
        ({"shape": ()}, "every extent of its shape must be >= 1"),
        ({"shape": (3, 0, 2)}, "every extent of its shape must be >= 1"),
        ({"vocabulary": ("a",)}, "vocabulary goes with the categorical likelihood only"),
        ({"likelihood": "categorical"}, "vocabulary goes with the categorical likelihood only"),
        ({"likelihood": "laplce"}, "has no likelihood 'laplce'; did you mean 'laplace'"),
        ({"scale": 0.0}, "scale must be > 0 and finite, got 0.0"),
        ({"scale": -1.0}, "scale must be > 0"),
        ({"scale": math.nan}, "scale must be > 0 and finite, got nan"),
        ({"scale": math.inf}, "scale must be > 0 and finite, got inf"),
        ({"weight": math.nan}, "weight must be >= 0 and finite, got nan"),
        ({"weight": -1.0}, "weight must be >= 0"),
        ({"latent": 0}, "latent must be a whole number >= 1, got 0"),
    ],
)
def test_impossible_modalities_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(IMAGE, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("names", [("a",), ("a", "a"), ("a", "b", "a"), (), ("a", "A"), ("é", "e\u0301")])
def test_a_dataset_has_two_or_more_modalities_of_distinct_names(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="two or more modalities with distinct names"):
        spec(*names)


@pytest.mark.parametrize("name", ["", "a/b", "../x", "two words", "d" * 300, ".hidden", "a\nb", 3])
def test_a_dataset_is_named_as_a_folder_can_be(name: str) -> None:
    with pytest.raises(ConfigError, match="a dataset's name must be one word"):
        replace(spec("a", "b"), name=name)
    assert replace(spec("a", "b"), name="my-data.2+x").name == "my-data.2+x"


@pytest.mark.parametrize("name", ["fmd", "coherence", "given", "target", "класс", "class"])
def test_other_odd_names_are_names(name: str) -> None:
    assert nn.ModuleDict({m.name: nn.Identity() for m in spec(name, "b").modalities})[name]


def test_a_modality_is_found_by_name() -> None:
    assert spec("mnist", "svhn").modality("svhn").name == "svhn"
    with pytest.raises(ConfigError, match="d has no modality 'svhm'; did you mean 'svhn'"):
        spec("mnist", "svhn").modality("svhm")


def test_subsets_are_all_non_empty_ones_in_order() -> None:
    assert subsets("abc") == [("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]
    assert len(subsets("abcde")) == 2**5 - 1


def test_tasks_of_two_modalities() -> None:
    assert [t.name for t in spec("a", "b").tasks()] == ["joint", "a->b", "b->a"]


def test_tasks_of_three_modalities() -> None:
    tasks = spec("a", "b", "c").tasks()
    singles = ["a->b", "a->c", "b->a", "b->c", "c->a", "c->b"]
    assert [t.name for t in tasks] == ["joint", *singles, "a+b->c", "a+c->b", "b+c->a"]
    assert tasks[0] == Task((), ("a", "b", "c"))
    assert len({t.name for t in tasks}) == len(tasks)


def test_tasks_of_five_modalities_generate_all_others_at_once() -> None:
    tasks = spec(*"abcde").tasks()
    assert len(tasks) == 1 + 30
    assert tasks[0] == Task((), tuple("abcde"))
    assert [t.name for t in tasks[1:3]] == ["a->b+c+d+e", "b->a+c+d+e"]
    assert tasks[-1].name == "b+c+d+e->a"
    assert all({*t.given, *t.targets} == set("abcde") for t in tasks)


def test_names_of_other_tasks() -> None:
    assert Task(("a",), ("a",)).name == "a->a"
    assert Task(("a",), ("b", "c")).name == "a->b+c"
