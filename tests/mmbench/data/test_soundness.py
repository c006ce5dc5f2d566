"""What a dataset of somebody else's may get wrong: each is one sentence that says what to change."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench import Dataset, DatasetSource, DatasetSpec, Modality, Split
from mmbench.data.declared import loaded
from mmbench.errors import ConfigError, DataError

IMAGE: Mapping[str, Any] = {"name": "a", "shape": (1, 28, 28), "network": "mnist_mlp", "latent": 4}
OTHER: Mapping[str, Any] = {"name": "b", "shape": (3, 32, 32), "network": "svhn_conv", "latent": 4}
TEXT: Mapping[str, Any] = {
    "name": "t", "shape": (4,), "network": "word_mlp", "latent": 4, "likelihood": "categorical",
    "vocabulary": tuple("abcdef"),
}  # fmt: skip
F = torch.rand(12, 1, 28, 28)
N = torch.arange(12)


def spec(**more: Any) -> DatasetSpec:
    modalities = (Modality(**IMAGE), Modality(**OTHER), Modality(**TEXT))
    return DatasetSpec(**{"name": "x", "title": "X", "modalities": modalities, "classes": 3, **more})


def items(count: int = 12, seed: int = 0) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    shapes = {"a": (1, 28, 28), "b": (3, 32, 32)}
    images = {n: torch.randint(256, (count, *s), generator=rng).to(torch.uint8) for n, s in shapes.items()}
    return {**images, "t": torch.randint(6, (count, 4), generator=rng)}


def split(count: int = 12, seed: int = 0, own: Mapping[str, Any] | None = None, **more: Any) -> Split:
    rows = torch.arange(count)
    parts = {"index": torch.stack([rows] * 3, 1), "labels": rows % 3} | more
    return Split(items(count, seed) | dict(own or {}), **parts)


def with_items(**own: Any) -> Dataset:
    return Dataset(spec(), split(own=own), split(9, 1))


def with_train(**more: Any) -> Dataset:
    return Dataset(spec(), split(**more), split(9, 1))


class Source(DatasetSource):
    """Does what it is told to do."""

    title = summary = "mine"

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def load(self, root: Path, cache: Path) -> Dataset:
        return self.make()


def load(make: Callable[[], Any]) -> Dataset:
    return loaded(Source(make), "my_data:Mine", Path(), Path())


def test_sound_data_are_taken_as_they_are() -> None:
    data = load(lambda: Dataset(spec(), split(), split(9, 1)))
    assert (len(data.train), len(data.test)) == (12, 9)
    assert len(load(lambda: with_items(a=F)).train) == 12
    assert len(load(lambda: with_items(a=torch.zeros(12, 1, 28, 28, dtype=torch.uint8))).train) == 12


WRONG: dict[str, tuple[Callable[[], Any], str, str]] = {
    "0..255": (lambda: with_items(a=255 * F), "ranges", r"in \[0, 1\]: divide them by 255"),
    "-1..1": (lambda: with_items(a=2 * F - 1), "ranges", r"use x / 2 \+ 0.5"),
    "a NaN": (lambda: with_items(a=F.where(F > 0.1, float("nan"))), "ranges", "holds NaN or an infinity at"),
    "an infinity": (lambda: with_items(a=F.where(F > 0.1, float("inf"))), "ranges", "holds NaN or an infinity at"),
    "float64": (lambda: with_items(a=F.double()), "ranges", r"images are uint8 or float32: use \.float\(\)"),
    "float16": (lambda: with_items(a=F.half()), "ranges", r"use \.float\(\)"),
    "whole numbers": (lambda: with_items(a=(255 * F).long()), "ranges", r"use \.to\(torch.uint8\)"),
    "masks": (lambda: with_items(a=F > 0.5), "ranges", "torch.bool, and images are uint8"),
    "masks as bytes": (lambda: with_items(a=(F > 0.5).byte()), "ranges", "multiply by 255"),
    "channels last": (lambda: with_items(b=items()["b"].permute(0, 2, 3, 1)), "ranges", r"\.permute\(0, 3, 1, 2\)"),
    "no channel": (lambda: with_items(a=items()["a"][:, 0]), "ranges", r"items\[:, None\]"),
    "too few items": (lambda: with_items(a=items()["a"][:5]), "ranges", "index of a run from 0 to 11, .* 0 to 4"),
    "no items": (lambda: with_items(a=items()["a"][:0]), "ranges", "no items at all"),
    "a negative index": (lambda: with_train(index=torch.stack([N - 1] * 3, 1)), "ranges", "index of a run from -1"),
    "an index of floats": (lambda: with_train(index=torch.stack([N * 1.0] * 3, 1)), "ranges", "must be whole numbers"),
    "an index of masks": (lambda: with_train(index=torch.ones(12, 3).bool()), "ranges", "must be whole numbers"),
    "tokens beyond": (lambda: with_items(t=items()["t"] + 3), "ranges", "tokens of x.* must lie in 0 to 5"),
    "tokens below": (lambda: with_items(t=items()["t"] - 1), "ranges", "run from -1"),
    "tokens of floats": (lambda: with_items(t=items()["t"].float()), "ranges", r"use \.long\(\)"),
    "tokens of bytes": (lambda: with_items(t=items()["t"].byte()), "ranges", "read as an image's bytes"),
    "an index in one row": (lambda: with_train(index=N), "splits", r"index must be \(N, 3\), a column for each"),
    "an index on its side": (lambda: with_train(index=torch.stack([N] * 3)), "splits", "a column for each modality"),
    "an index of NumPy": (lambda: with_train(index=torch.stack([N] * 3, 1).numpy()), "splits", "use torch.as_tensor"),
    "no index": (lambda: with_train(index=None), "splits", "not NoneType"),
    "texts": (lambda: with_items(t=["abcd"] * 12), "splits", "items of t must be a torch.Tensor, not list"),
    "a gradient": (lambda: with_items(a=F.clone().requires_grad_()), "splits", r"use \.detach\(\)"),
    "a sparse tensor": (lambda: with_items(a=F.to_sparse()), "splits", r"use \.to_dense\(\)"),
    "items in a list": (lambda: Split([F, F], N[:, None]), "splits", "must be a dict, modality -> tensor"),  # type: ignore[arg-type]
    "a label too many": (lambda: with_train(labels=N % 4), "labels", "0 to 2: declare classes=4, or correct them"),
    "a negative label": (lambda: with_train(labels=N % 3 - 1), "labels", "number the classes from 0"),
    "labels from 1": (lambda: with_train(labels=N % 3 + 1), "labels", "count from 0, subtract 1"),
    "labels of floats": (lambda: with_train(labels=N % 3 * 1.0), "labels", "whole numbers, int64, not torch.float32"),
    "labels of bytes": (lambda: with_train(labels=(N % 3).byte()), "labels", r"labels.long\(\)"),
    "labels of masks": (lambda: with_train(labels=N % 2 == 0), "labels", r"labels.long\(\)"),
    "labels in a column": (lambda: with_train(labels=(N % 3)[:, None]), "splits", "12 tuples but labels of shape"),
    "labels one-hot": (lambda: with_train(labels=torch.eye(3)[N % 3]), "splits", "one whole number for each tuple"),
    "labels too few": (lambda: with_train(labels=N[:5] % 3), "splits", r"labels of shape \(5,\)"),
    "no labels": (lambda: with_train(labels=None), "labels", "no labels, and 3 classes are declared"),
    "no training tuples": (lambda: Dataset(spec(), split(0), split(9, 1)), "splits", "training tuples: there are none"),
    "one test tuple": (lambda: Dataset(spec(), split(), split(1, 1)), "splits", "test tuples: there is but one"),
    "splits in tuples": (lambda: Dataset(spec(), (1, 2), split(9, 1)), "splits", "must be a mmbench.Split"),  # type: ignore[arg-type]
    "no test split": (lambda: Dataset(spec(), split(), None), "splits", "test tuples: they must be a mmbench.Split"),  # type: ignore[arg-type]
    "a spec in a dict": (lambda: Dataset({"name": "x"}, split(), split(9, 1)), "spec", "must be a mmbench.DatasetSpec"),  # type: ignore[arg-type]
    "a foreign validation": (
        lambda: Dataset(spec(), split(), split(9, 1), held_out=split(9, 2)), "splits", r"train\.take\(rows\)",
    ),
    "the same splits": (lambda: Dataset(spec(), split(), split()), "splits", "12 of 12 test tuples are training"),
    "splits that overlap": (
        lambda: Dataset(spec(), split(12), split(9, own={k: v[:9] for k, v in items(12).items()})),
        "splits", "9 of 9 test tuples are training tuples, too: keep the splits apart",
    ),
    "a torn pairing": (
        lambda: with_train(index=torch.stack([N % 5, N, N], 1)), "pairing", "an item of a stands in tuples of two",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_unsound_is_told_at_load(case: str) -> None:
    make, rule, said = WRONG[case]
    with pytest.raises(DataError, match=said) as found:
        load(make)
    assert found.value.rule == rule
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("lost", "more", "said"),
    [
        (["t"], {}, "its items lack 't', and the spec declares a, b, t"),
        ([], {"z": F}, "its items hold 'z', and"),
        (["t"], {"z": F}, "its items lack 't' and hold 'z'"),
    ],
)
def test_modalities_missing_or_surplus_are_named(lost: list[str], more: dict[str, Tensor], said: str) -> None:
    own = {name: x for name, x in items().items() if name not in lost} | more
    with pytest.raises(DataError, match=said):
        load(lambda: Dataset(spec(), Split(own, torch.stack([N] * len(own), 1), N % 3), split(9, 1)))


def test_modalities_in_another_order_are_refused_since_columns_follow_it() -> None:
    own = dict(reversed(items().items()))
    with pytest.raises(DataError, match="give them in this order, the index's columns too"):
        load(lambda: Dataset(spec(), Split(own, torch.stack([N] * 3, 1), N % 3), split(9, 1)))


@pytest.mark.parametrize("value", [None, (1, 2), {"train": 1}, (x for x in ()), Dataset, 3])
def test_load_returns_a_dataset_and_nothing_else(value: Any) -> None:
    with pytest.raises(DataError, match=r"load must return an mmbench\.data\.dataset\.Dataset, and returned"):
        load(lambda: value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"modalities": {"a": 1}}, "modalities must be a tuple such as"),
        ({"modalities": ("a", "b")}, "modalities must be a tuple such as"),
        ({"metrics": "coherence"}, r"metrics must be a tuple such as \('coherence', 'fmd'\), got 'coherence'"),
        ({"classes": ("one", "two", "three")}, "classes must be a whole number >= 0"),
        ({"classes": 3.0}, "classes must be a whole number >= 0"),
        ({"classes": -1}, "classes must be a whole number >= 0"),
        ({"title": "two\nlines"}, "title must be a text on one line"),
        ({"primary": (("coherence", "joint"),)}, r"must be \(metric, task, modality\)"),
        ({"primary": "coherence"}, "primary must be a tuple"),
        ({"judge": None}, "judge must be a text"),
        ({"judge_share": 0}, "judge_share must be > 0"),
        ({"quality_count": 1}, "quality_count must be a whole number >= 2"),
    ],
)
def test_a_spec_of_wrong_types_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        spec(**more)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({**IMAGE, "shape": 784}, r"shape must be a tuple such as \(1, 28, 28\), got 784"),
        ({**IMAGE, "shape": "28x28"}, "shape must be a tuple"),
        ({**IMAGE, "shape": (1.0, 28, 28)}, "shape must be a tuple"),
        ({**IMAGE, "shape": (1, 0, 28)}, "every extent of its shape must be >= 1"),
        ({**IMAGE, "latent": "4"}, "latent must be a whole number >= 1, got '4'"),
        ({**IMAGE, "latent": 4.5}, "latent must be a whole number"),
        ({**IMAGE, "network": None}, "network must be a text"),
        ({**IMAGE, "scale": "wide"}, "scale must be > 0 and finite"),
        ({**TEXT, "vocabulary": "abcdef"}, "vocabulary must be a tuple"),
        ({**TEXT, "end": 9}, "end and unprinted are tokens, 0 to 5"),
        ({**TEXT, "unprinted": (-1,)}, "end and unprinted are tokens, 0 to 5"),
    ],
)
def test_a_modality_of_wrong_types_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Modality(**more)


def test_lists_are_taken_for_tuples() -> None:
    listed = Modality(**{**IMAGE, "shape": [1, 28, 28]})
    assert listed == Modality(**IMAGE)
    assert hash(listed) == hash(Modality(**IMAGE))
    assert spec(modalities=[Modality(**IMAGE), Modality(**OTHER)]).names == ("a", "b")


def test_a_text_that_says_another_class_than_its_tuple_is_told() -> None:
    says = Modality(**{**TEXT, "classes": ("aaaa", "bbbb", "cccc"), "separator": ""})
    declared = spec(modalities=(Modality(**IMAGE), Modality(**OTHER), says))
    words = torch.tensor([[0] * 4, [1] * 4, [2] * 4])

    def made(count: int, seed: int, owner: Tensor) -> Split:
        own = {**items(count, seed), "t": words}
        rows = torch.arange(count)
        return Split(own, torch.stack([rows, rows, owner[rows % 3]], 1), rows % 3)

    right, turned = torch.tensor([0, 1, 2]), torch.tensor([1, 0, 2])
    assert load(lambda: Dataset(declared, made(12, 0, right), made(9, 1, right))).spec == declared
    with pytest.raises(DataError, match="training tuples: t says 'bbbb' in tuples of class 0, which is 'aaaa'"):
        load(lambda: Dataset(declared, made(12, 0, turned), made(9, 1, right)))


def test_what_a_source_does_to_the_process_ends_with_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    threads = torch.get_num_threads()

    def rude() -> Dataset:
        print("hello")
        os.chdir("elsewhere")
        torch.set_num_threads(threads + 1)
        torch.set_default_dtype(torch.float64)
        return Dataset(spec(), split(), split(9, 1))

    load(rude)
    assert (torch.get_default_dtype(), torch.get_num_threads(), Path.cwd()) == (torch.float32, threads, tmp_path)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "hello\n"), "standard output is for results"
