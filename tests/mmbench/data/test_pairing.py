"""The pairing of uni-modal datasets: its arithmetic on the published counts, and its invariants."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mmbench.data.dataset import Split
from mmbench.data.pairing import pair, pair_counts
from mmbench.errors import DataError

MNIST_TRAIN = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
MNIST_TEST = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
SVHN_TRAIN = (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659)
SVHN_TEST = (1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595)


def labels_of(counts: tuple[int, ...], seed: int) -> Tensor:
    """A label vector with so many items of each class, in random order."""
    vector = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return vector[torch.randperm(len(vector), generator=torch.Generator().manual_seed(seed))]


@pytest.fixture(scope="module")
def small() -> tuple[list[Tensor], Tensor, Tensor]:
    """Three modalities, five copies: their labels, the index and its labels."""
    labels = [labels_of((7, 0, 12, 5), 0), labels_of((9, 4, 6, 5), 1), labels_of((8, 3, 20, 6), 2)]
    return labels, *pair(labels, copies=5, cap=6, seed=3)


def test_the_papers_sizes_follow_from_the_label_counts() -> None:
    train, test = pair_counts([MNIST_TRAIN, SVHN_TRAIN]), pair_counts([MNIST_TEST, SVHN_TEST])
    assert train == [4948, 6742, 5958, 6131, 5842, 5421, 5727, 5595, 5045, 4659]
    assert (20 * sum(train), 20 * sum(test)) == (1_121_360, 200_000)


def test_the_full_train_pairing_has_the_papers_size_and_balanced_use() -> None:
    index, labels = pair([labels_of(MNIST_TRAIN, 0), labels_of(SVHN_TRAIN, 1)])
    assert index.shape == (1_121_360, 2)
    assert index.dtype == torch.int32
    assert labels.dtype == torch.int64
    for column in index.T:
        _, uses = torch.unique(column, return_counts=True)
        assert len(uses) == 56_068
        assert bool((uses == 20).all())


def test_the_cap_limits_every_class() -> None:
    assert pair_counts([(30, 5), (20, 9), (25, 7)], cap=10) == [10, 5]


def test_tuples_share_a_class(small: tuple[list[Tensor], Tensor, Tensor]) -> None:
    vectors, index, labels = small
    for vector, column in zip(vectors, index.T, strict=True):
        assert torch.equal(vector[column.long()], labels)


def test_the_used_items_agree_with_a_brute_force_count(small: tuple[list[Tensor], Tensor, Tensor]) -> None:
    """Against a plain NumPy reading of the recipe: the first n_c items of each class, five times each."""
    vectors, index, _ = small
    arrays = [vector.numpy() for vector in vectors]
    for array, column in zip(arrays, index.numpy().T, strict=True):
        expected: list[int] = []
        for c in range(4):
            n = min(6, *(int((other == c).sum()) for other in arrays))
            expected += [k for k in range(len(array)) if array[k] == c][:n] * 5
        assert sorted(column.tolist()) == sorted(expected)


def test_every_round_is_a_fresh_and_independent_order(small: tuple[list[Tensor], Tensor, Tensor]) -> None:
    index, _ = pair([torch.zeros(50), torch.zeros(50)], copies=4)
    rounds = index.reshape(4, 50, 2)
    orders = {tuple(rounds[k, :, m].tolist()) for k in range(4) for m in range(2)}
    assert len(orders) == 8
    partners = np.array([[row[row[:, 0].argsort()][:, 1].numpy() for row in rounds]])
    assert len({tuple(p) for p in partners[0]}) == 4


def test_one_seed_gives_one_pairing_whatever_the_global_state() -> None:
    vectors = [labels_of((20, 20), 0), labels_of((20, 20), 1)]
    torch.manual_seed(1)
    first, _ = pair(vectors, seed=5)
    torch.manual_seed(2)
    again, _ = pair(vectors, seed=5)
    other, _ = pair(vectors, seed=6)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_class_that_one_modality_lacks_is_left_out() -> None:
    index, labels = pair([torch.tensor([0, 1, 2]), torch.tensor([0, 0, 2, 1])[:3]], copies=2)
    assert labels.tolist() == [0, 0, 2, 2]
    assert index[:2].unique().tolist() == [0]


def test_counts_of_different_classes_are_refused() -> None:
    with pytest.raises(DataError, match="one count for each class"):
        pair_counts([(1, 2), (1, 2, 3)])


@pytest.mark.parametrize("total", [1000, 1020])
def test_spread_does_not_fall_in_step_with_the_pairing(total: int) -> None:
    """Ten captions an image, in order: every place among the ten is seen, and every tenth of the (sorted) tuples."""
    split = Split({"x": torch.zeros(1, 1)}, torch.zeros(total, 1, dtype=torch.int64))
    rows = split.spread(100)
    assert rows.tolist() == sorted(set(rows.tolist())) == split.spread(100).tolist()
    assert len(rows) == 100
    assert set((rows % 10).tolist()) == set(range(10))
    assert set((rows * 10 // total).tolist()) == set(range(10))
    assert split.spread(total + 5).tolist() == list(range(total))
