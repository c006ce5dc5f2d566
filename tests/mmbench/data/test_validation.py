"""Validation tuples on every kind of pairing: part of the training tuples, and of items that no fitted tuple holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmbench.data.dataset import Dataset, Split
from mmbench.data.glyphs import draw
from mmbench.data.mnist_fashion import MnistFashion
from mmbench.data.pairing import pair
from mmbench.data.validation import apart, hold_out, hold_out_classes
from mmbench.errors import DataError
from mmbench.modality import DatasetSpec, Modality

from . import test_cub, test_flowers
from .test_pairing import MNIST_TRAIN, labels_of

WORD = Modality(
    name="word", shape=(2,), network="word_mlp", latent=2, likelihood="categorical", vocabulary=("a", "b"),
    classes=("aa", "ab", "ba"),
)  # fmt: skip


def image(name: str) -> Modality:
    return Modality(name=name, shape=(1, 4, 4), network="mnist_mlp", latent=2)


def noise(count: int, seed: int) -> Tensor:
    return torch.randint(256, (count, 1, 4, 4), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def paired(*names: str, word: bool = False) -> Dataset:
    """Images of three classes, 20 pairings of each, as MNIST-SVHN has; on demand with the word of the class."""
    splits = []
    for k, counts in enumerate([(150, 200, 250), (20, 20, 20)]):
        labels = [labels_of(counts, 10 * k + m) for m in range(len(names))]
        index, classes = pair(labels)
        items = {name: noise(sum(counts), 100 * k + m) for m, name in enumerate(names)}
        if word:
            index = torch.cat([index, classes[:, None].int()], dim=1)
            items["word"] = torch.tensor([[0, 0], [0, 1], [1, 0]])
        splits.append(Split(items, index, classes))
    modalities = (*map(image, names), *([WORD] if word else []))
    return Dataset(DatasetSpec(name="paired", title="Paired", modalities=modalities, classes=3), *splits)


def glyphs(root: Path) -> Dataset:
    return draw(train=300, test=40)


def pairs(root: Path) -> Dataset:
    return paired("a", "b")


def triples(root: Path) -> Dataset:
    return paired("a", "b", "c")


def pairs_with_words(root: Path) -> Dataset:
    return paired("a", "b", word=True)


def birds(root: Path) -> Dataset:
    test_cub.write(root)
    return test_cub.load(root)


def birds_of_one_class(root: Path) -> Dataset:
    test_cub.drop_class(test_cub.write(root), 3)
    return test_cub.load(root, allow_partial=True)


def flowers(root: Path) -> Dataset:
    test_flowers.write(root)
    return test_flowers.Tiny().load(root, root / "cache")


Make = Callable[[Path], Dataset]
LABELLED: list[Make] = [glyphs, pairs, triples, pairs_with_words]
CAPTIONED: list[Make] = [birds, flowers, birds_of_one_class]
every = pytest.mark.parametrize("make", [*LABELLED, *CAPTIONED])


def tuples(split: Split) -> Counter[tuple[int, ...]]:
    """Rows of the index with the class, and how often each occurs."""
    assert split.labels is not None
    return Counter((*row, label) for row, label in zip(split.index.tolist(), split.labels.tolist(), strict=True))


def telling(dataset: Dataset) -> list[int]:
    """Columns of the modalities whose items are not words that say the class."""
    return [k for k, modality in enumerate(dataset.spec.modalities) if not modality.classes]


@every
def test_each_training_tuple_serves_the_side_that_its_items_are_on(make: Make, tmp_path: Path) -> None:
    """All its items held out: it validates; none of them: it trains when settings are chosen; else neither."""
    dataset = make(tmp_path)
    validation, fit = tuples(dataset.validation), tuples(dataset.for_selection().train)
    held = [{row[k] for row in validation} for k in telling(dataset)]
    expected: dict[int, Counter[tuple[int, ...]]] = {0: Counter(), len(held): Counter()}
    for row, times in tuples(dataset.train).items():
        here = sum(row[k] in own for k, own in zip(telling(dataset), held, strict=True))
        expected.setdefault(here, Counter())[row] = times
    assert validation == expected[len(held)]
    assert fit == expected[0]
    assert validation
    assert fit
    assert all(dataset.validation.items[name] is dataset.train.items[name] for name in dataset.spec.names)


@every
def test_no_validation_image_is_a_test_image(make: Make, tmp_path: Path) -> None:
    dataset = make(tmp_path)
    for modality in dataset.spec.modalities:
        if not modality.is_text:
            known = {pixels.numpy().tobytes() for pixels in dataset.test.items[modality.name]}
            own = dataset.train.items[modality.name][dataset.validation.used(modality.name)]
            assert not [k for k, pixels in enumerate(own) if pixels.numpy().tobytes() in known]


@every
def test_the_choice_is_always_the_same_and_leaves_the_global_state_alone(make: Make, tmp_path: Path) -> None:
    first = make(tmp_path / "first").validation
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = make(tmp_path / "again")
    assert torch.equal(first.index, again.validation.index)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("make", LABELLED)
def test_every_class_validates_in_its_share(make: Make, tmp_path: Path) -> None:
    dataset = make(tmp_path)
    train, held, fit = (
        split.labels.bincount().double()
        for split in (dataset.train, dataset.validation, dataset.for_selection().train)
        if split.labels is not None
    )
    for part in (held, fit):
        torch.testing.assert_close(part / part.sum(), train / train.sum(), atol=0.05, rtol=0)


@pytest.mark.parametrize("make", [birds, flowers])
def test_captions_validate_on_unseen_classes_as_they_test(make: Make, tmp_path: Path) -> None:
    dataset = make(tmp_path)
    parts = (dataset.train, dataset.validation, dataset.for_selection().train)
    train, held, fit = (set(split.labels.tolist()) for split in parts if split.labels is not None)
    assert len(train) == 2
    assert len(held) == 1
    assert fit == train - held
    assert len(parts[0]) == len(parts[1]) + len(parts[2])


def test_a_tenth_of_the_classes_is_held_out() -> None:
    labels = torch.arange(40).repeat(3) * 7
    rows = hold_out_classes(labels)
    assert rows is not None
    assert len(labels[rows].unique()) == 4
    assert len(rows) == 12
    assert hold_out_classes(torch.zeros(9, dtype=torch.int64)) is None


def test_one_training_class_validates_on_whole_images(tmp_path: Path) -> None:
    dataset = birds_of_one_class(tmp_path)
    assert dataset.spec.name == "cub_partial"
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.for_selection().train)] == [30, 10, 20]


def test_one_training_image_cannot_choose_settings_but_validates(tmp_path: Path) -> None:
    test_cub.drop_class(test_cub.write(tmp_path), 2)
    dataset = test_cub.load(tmp_path, allow_partial=True)
    assert len(dataset.validation) == 2
    with pytest.raises(DataError, match=r"cub_partial is too small .* of its 10 training tuples none shares no item"):
        dataset.for_selection()


# --- sizes ---------------------------------------------------------------------------------------------------------


def sizes(index: Tensor, labels: Tensor | None = None) -> tuple[int, int]:
    """Tuples that validate, and tuples that train when settings are chosen."""
    rows = hold_out(index, labels)
    return len(rows), len(apart(index, index[rows]))


def own_items(count: int) -> Tensor:
    return torch.arange(count)[:, None].expand(-1, 2)


@pytest.mark.parametrize(("count", "expected"), [(2, 1), (3, 2), (60, 6), (20_000, 2_000), (150_000, 10_000)])
def test_of_tuples_with_items_of_their_own_a_tenth_but_no_more_than_10_000(count: int, expected: int) -> None:
    assert sizes(own_items(count)) == (expected, count - expected)


def test_few_tuples_have_one_of_each_class_held_out() -> None:
    labels = torch.arange(40) % 10
    rows = hold_out(own_items(40), labels)
    assert labels[rows].bincount().tolist() == [1] * 10
    assert sizes(own_items(10), torch.arange(10)) == (2, 8)  # no class has one to spare


def test_a_single_tuple_cannot_be_held_out() -> None:
    with pytest.raises(DataError, match="two training tuples or more"):
        hold_out(own_items(1), None)


def test_images_keep_their_captions() -> None:
    own = torch.arange(1000)
    assert sizes(torch.stack([own // 10, own], dim=1)) == (100, 900)
    assert sizes(torch.stack([own, own // 10], dim=1)) == (100, 900)


def test_what_hangs_together_by_others_is_held_out_together() -> None:
    """Forty chains of three tuples, the first and the last of which share no item."""
    block = torch.tensor([[0, 0, 0], [1, 0, 1], [1, 1, 2]])
    index = (block + torch.arange(40)[:, None, None] * torch.tensor([2, 2, 3])).flatten(0, 1)
    assert sizes(index) == (12, 108)
    assert sizes(index.flip(1)) == (12, 108)


def test_items_that_stand_in_no_tuple_do_not_count() -> None:
    assert sizes(own_items(60) * 5 + 3) == (6, 54)


def test_the_sizes_of_the_papers_kind_of_pairing() -> None:
    index, labels = pair([labels_of(MNIST_TRAIN, 0), labels_of((6000,) * 10, 1)])
    held, fit = sizes(index, labels)
    assert 3_000 < held < 3_500
    assert 0.055 < 1 - (held + fit) / len(index) < 0.07


def test_small_pairings_lose_less_than_a_fifth() -> None:
    dataset = paired("a", "b")
    held, fit = len(dataset.validation), len(dataset.for_selection().train)
    assert len(dataset.train) == 12_000
    assert held >= 60  # the seeds: a tenth of 600 items
    assert 0.8 * 12_000 < held + fit < 12_000


# --- the real data -------------------------------------------------------------------------------------------------


def test_the_real_mnist_fashion(data_root: Path, tmp_path: Path) -> None:
    if not (data_root / "FashionMNIST").is_dir():
        pytest.skip(f"{data_root} has no FashionMNIST")
    dataset = MnistFashion().load(data_root, tmp_path)
    held, fit = dataset.validation, dataset.for_selection().train
    assert 3_000 < len(held) < 3_500
    assert 0.055 < 1 - (len(held) + len(fit)) / len(dataset.train) < 0.07
    for name in dataset.spec.names:
        assert 1_900 < len(held.used(name)) <= 2_000
        assert not set(held.used(name).tolist()) & set(fit.used(name).tolist())
    assert held.labels is not None
    assert int(held.labels.bincount(minlength=10).min()) > 250
