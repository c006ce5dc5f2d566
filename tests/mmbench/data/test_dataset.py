"""A dataset: what its fingerprint says, and the dataset on which settings are chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy
import pytest
import torch
from PIL import features

from mmbench.data import dataset as dataset_module
from mmbench.data.dataset import Dataset, Split
from mmbench.data.glyphs import STREET, draw
from mmbench.errors import DataError
from mmbench.modality import DatasetSpec, Modality


def pinned() -> Dataset:
    spec = DatasetSpec(name="pinned", title="Pinned", modalities=tuple(map(image_of_four, "ab")), classes=2)
    return Dataset(spec, numbered(20), numbered(6))


def image_of_four(name: str) -> Modality:
    return Modality(name=name, shape=(1, 2, 2), network="mnist_mlp", latent=2)


def numbered(count: int) -> Split:
    own = torch.arange(count, dtype=torch.int32)
    pixels = torch.arange(4 * count, dtype=torch.uint8)
    items = {"a": pixels.reshape(count, 1, 2, 2), "b": pixels.flip(0).reshape(count, 1, 2, 2)}
    return Split(items, torch.stack([own, own.flip(0)], dim=1), torch.arange(count) % 2)


def test_a_dataset_for_selection_is_another_with_the_same_spec() -> None:
    dataset = pinned()
    selection = dataset.for_selection()
    assert (dataset.split, selection.split) == ("test", "validation")
    assert selection.spec is dataset.spec
    assert selection.test is selection.validation is dataset.validation
    assert selection.fingerprint != dataset.fingerprint
    assert selection.fingerprint == pinned().for_selection().fingerprint
    assert selection.fingerprint == selection.for_selection().fingerprint
    assert selection.fingerprint != replace(selection, split="test").fingerprint


def test_nothing_is_held_out_before_it_is_asked_for_and_then_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(
        dataset_module, "hold_out", lambda items, labels: calls.append(1) or torch.arange(3, dtype=torch.int64)
    )
    dataset = pinned()
    assert dataset.fingerprint
    assert not calls
    assert len(dataset.validation) == len(dataset.validation) == 3
    assert calls == [1]


def test_the_fingerprint_is_that_of_before_there_was_a_validation_split() -> None:
    dataset = pinned()
    assert len(dataset.validation) == 2
    assert dataset.fingerprint == "fb7077aae51260fb"
    assert replace(dataset, held_out=dataset.train.take(torch.tensor([3]))).fingerprint == "fb7077aae51260fb"


@pytest.mark.skipif(features.version("freetype2") != "2.14.3", reason="another FreeType renders other digits")
def test_the_glyphs_of_the_street_are_those_of_the_first_edition() -> None:
    made = draw(train=64, test=32, spec=STREET)
    assert replace(made, spec=replace(STREET, name="glyphs", title="Glyphs")).fingerprint == "68c5b642405c2120"


def test_a_held_out_split_of_other_modalities_is_refused() -> None:
    with pytest.raises(
        DataError, match="its items lack 'a', 'b' and hold 'pen', 'sign', 'name', and the spec declares a, b"
    ):
        replace(pinned(), held_out=draw(train=10, test=10).train)


WORD = Modality(
    name="b", shape=(3,), network="word_mlp", latent=2, likelihood="categorical", vocabulary=("x", "y"), separator=""
)


def changed(split: Split, **fields: object) -> Split:
    return replace(split, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(("count", "said"), [(0, "there are none"), (1, "there is but one")])
def test_too_few_tuples_are_refused_before_any_training(part: str, count: int, said: str) -> None:
    dataset = pinned()
    few = getattr(dataset, part).take(torch.arange(count))
    with pytest.raises(DataError, match=f"pinned, {part}(ing)? tuples: {said}.*; 2 or more are needed"):
        replace(dataset, **{part: few})
    replace(dataset, **{part: getattr(dataset, part).take(torch.arange(2))})


def test_one_class_and_classes_without_tuples_are_data() -> None:
    train = numbered(20)
    assert len(replace(pinned(), train=changed(train, labels=torch.zeros(20, dtype=torch.int64))).train) == 20


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (torch.full((20,), 2), "the labels run from 2 to 2, and must lie in 0 to 1"),
        (torch.full((20,), -1), "the labels run from -1 to -1, and must lie in 0 to 1"),
        (torch.zeros(20), "the labels must be whole numbers, int64, not torch.float32"),
    ],
)
def test_impossible_labels_are_refused(labels: torch.Tensor, said: str) -> None:
    with pytest.raises(DataError, match=f"pinned, training tuples: {said}"):
        replace(pinned(), train=changed(numbered(20), labels=labels))


def test_labels_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"20 tuples but labels of shape \(20, 2\)"):
        changed(numbered(20), labels=torch.zeros(20, 2, dtype=torch.int64))


@pytest.mark.parametrize("field", ["items", "index", "labels"])
def test_what_is_no_tensor_is_refused(field: str) -> None:
    array = numpy.zeros((20, 2), int)
    with pytest.raises(DataError, match=r"must be a torch\.Tensor, not ndarray: use torch\.as_tensor"):
        changed(numbered(20), **{field: {"a": array, "b": array} if field == "items" else array})


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_no_items_at_all_are_refused(kind: torch.dtype) -> None:
    train = numbered(20)
    items = {**train.items, "b": torch.zeros(0, 1, 2, 2, dtype=kind)}
    with pytest.raises(DataError, match="pinned, training tuples: b has no items at all"):
        replace(pinned(), train=changed(train, items=items))


@pytest.mark.parametrize("wrong", [20, -1])
def test_an_index_beyond_the_items_is_refused(wrong: int) -> None:
    index = numbered(20).index.clone()
    index[3, 1] = wrong
    with pytest.raises(DataError, match=r"pinned, training tuples: the index of b run"):
        replace(pinned(), train=changed(numbered(20), index=index))


@pytest.mark.parametrize(
    ("items", "said"),
    [
        (torch.zeros(20, 1, 2, 2, dtype=torch.int64), "images are uint8, or floats"),
        (torch.full((20, 1, 2, 2), 255.0), "values from 255 to 255"),
        (torch.full((20, 1, 2, 2), torch.nan), "holds NaN or an infinity at"),
        (torch.zeros(20, 1, 3, 2, dtype=torch.uint8), "has shape"),
    ],
)
def test_items_that_no_model_can_see_are_refused(items: torch.Tensor, said: str) -> None:
    train = numbered(20)
    with pytest.raises(DataError, match=f"pinned, training tuples: b.*{said}"):
        replace(pinned(), train=changed(train, items={**train.items, "b": items}))


def test_tokens_beyond_the_vocabulary_are_refused() -> None:
    spec = replace(pinned().spec, modalities=(image_of_four("a"), WORD))
    splits = [
        changed(numbered(n), items={"a": numbered(n).items["a"], "b": torch.full((n, 3), token)})
        for n, token in ((20, 1), (6, 2))
    ]
    Dataset(spec, splits[0], splits[0])
    with pytest.raises(DataError, match="the tokens of pinned, test tuples: b run from 2 to 2, and must lie in 0 to 1"):
        Dataset(spec, splits[0], splits[1])
