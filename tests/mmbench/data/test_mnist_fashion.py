"""MNIST-Fashion on the real files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mmbench.data.dataset import Dataset
from mmbench.data.mnist_fashion import MnistFashion
from mmbench.errors import DataError

MNIST_TRAIN = torch.tensor([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
MNIST_TEST = torch.tensor([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])


@pytest.fixture(scope="module")
def dataset(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    if not (data_root / "FashionMNIST").is_dir():
        pytest.skip(f"{data_root} has no FashionMNIST")
    return MnistFashion().load(data_root, tmp_path_factory.mktemp("cache"))


def test_the_splits_hold_every_item(dataset: Dataset) -> None:
    for split, count in ((dataset.train, 60_000), (dataset.test, 10_000)):
        for name in ("mnist", "fashion"):
            assert split.items[name].shape == (count, 1, 28, 28)
            assert split.items[name].dtype == torch.uint8


def test_the_number_of_pairs_follows_from_the_label_counts(dataset: Dataset) -> None:
    """Fashion-MNIST has 6,000 and 1,000 items of each class, so MNIST's counts or those decide."""
    for split, mnist, fashion in ((dataset.train, MNIST_TRAIN, 6000), (dataset.test, MNIST_TEST, 1000)):
        assert split.labels is not None
        assert torch.equal(split.labels.bincount(), 20 * mnist.clamp(max=fashion))


def test_every_used_item_has_one_class(dataset: Dataset) -> None:
    counts = {name: dataset.train.item_labels(name) for name in dataset.spec.names}
    for name, labels in counts.items():
        assert torch.equal(labels[labels >= 0].bincount(), MNIST_TRAIN.clamp(max=6000)), name


def test_a_batch_is_what_models_see(dataset: Dataset) -> None:
    batch = dataset.test.gather(torch.arange(0, 195_000, 1000))
    assert batch["mnist"].dtype == torch.float32
    assert 0 <= float(batch["mnist"].min()) < float(batch["fashion"].max()) <= 1


def test_verify_counts_the_files(dataset: Dataset, data_root: Path) -> None:
    assert "8 files" in MnistFashion().verify(data_root)


def test_an_empty_root_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mmbench data fetch mnist_fashion"):
        MnistFashion().load(tmp_path, tmp_path)
