"""MNIST-SVHN: SVHN's file format on real and written bytes, and the errors of damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torchvision.datasets import SVHN

from mmbench.data import mnist_svhn
from mmbench.data.dataset import Dataset
from mmbench.data.mnist_svhn import MnistSvhn, MnistSvhnSubset, parse_svhn
from mmbench.errors import DataError


def write_mat(path: Path, x: np.ndarray, y: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"X": x, "y": y}, do_compression=True)
    return path


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3, count), dtype=np.uint8)


@pytest.fixture(scope="module")
def subset(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    if not (data_root / "svhn-subset").is_dir():
        pytest.skip(f"{data_root} has no svhn-subset")
    return MnistSvhnSubset().load(data_root, tmp_path_factory.mktemp("cache"))


def test_the_real_subset_is_paired(subset: Dataset) -> None:
    assert subset.spec.name == "mnist_svhn_subset"
    assert [len(split.items["svhn"]) for split in (subset.train, subset.test)] == [1083, 486]
    for split in (subset.train, subset.test):
        used = split.used("svhn")
        assert len(split) == 20 * len(used) == 20 * len(split.used("mnist"))
        assert split.labels is not None
        assert split.labels.unique().tolist() == list(range(10))


def test_the_subset_verifies(subset: Dataset, data_root: Path) -> None:
    assert "6 files" in MnistSvhnSubset().verify(data_root)


def test_the_papers_settings() -> None:
    spec = MnistSvhn.spec
    assert [(m.name, m.shape, m.latent, m.weight) for m in spec.modalities] == [
        ("mnist", (1, 28, 28), 16, 3.92),
        ("svhn", (3, 32, 32), 64, 1.0),
    ]
    assert MnistSvhn.default_budget == "paper"
    assert MnistSvhnSubset.default_budget == "laptop"


def test_a_mat_file_is_read_in_the_order_of_channels_and_digits(tmp_path: Path) -> None:
    x, y = images(12), np.array([[10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1]], dtype=np.uint8).T
    path = write_mat(tmp_path / "a.mat", x, y)
    pixels, labels = parse_svhn(path, path.read_bytes())
    assert pixels.shape == (12, 3, 32, 32)
    assert pixels.dtype == torch.uint8
    assert pixels.is_contiguous()
    assert labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert all(int(pixels[n, c, i, j]) == x[i, j, c, n] for n, c, i, j in [(0, 0, 0, 1), (7, 2, 31, 4), (11, 1, 9, 0)])


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (images(4)[:28], np.ones((4, 1), np.uint8), r"must hold X, uint8 \(32, 32, 3, N\), but holds uint8 \(28"),
        (images(4).astype(np.float64), np.ones((4, 1), np.uint8), "holds float64"),
        (images(4), np.ones((3, 1), np.uint8), "one label of 1 to 10 for each of its 4 images"),
        (images(4), np.full((4, 1), 11, np.uint8), "one label of 1 to 10"),
    ],
)
def test_wrong_contents_are_refused(tmp_path: Path, x: np.ndarray, y: np.ndarray, message: str) -> None:
    path = write_mat(tmp_path / "a.mat", x, y)
    with pytest.raises(DataError, match=message):
        parse_svhn(path, path.read_bytes())


@pytest.mark.parametrize("keep", [0, 50, 200, 3000])
def test_a_truncated_file_is_named(tmp_path: Path, keep: int) -> None:
    path = write_mat(tmp_path / "a.mat", images(4), np.ones((4, 1), np.uint8))
    with pytest.raises(DataError, match=r"a\.mat"):
        parse_svhn(path, path.read_bytes()[:keep])


def test_a_file_that_is_not_mat_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"page\.mat is not a whole \.mat file"):
        parse_svhn(tmp_path / "page.mat", b"<html>not found</html>" * 100)


@pytest.mark.parametrize("folder", ["", "SVHN", "svhn"])
def test_another_file_in_the_place_of_svhn_fails_its_checksum(tmp_path: Path, folder: str) -> None:
    for split in ("train", "test"):
        write_mat(tmp_path / folder / f"{split}_32x32.mat", images(4), np.ones((4, 1), np.uint8))
    with pytest.raises(DataError, match=r"MD5 .*, not e26dedcc434d2e4c54c9b2d4a06d8373"):
        MnistSvhn()._svhn(tmp_path, "train")


def test_the_full_dataset_pairs_whole_files(tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of the true files, on short ones whose checksum is not asked for."""
    (tmp_path / "MNIST").symlink_to(data_root / "MNIST")
    y = np.arange(1, 31).reshape(30, 1).astype(np.uint8) % 10 + 1
    for split in ("train", "test"):
        write_mat(tmp_path / f"{split}_32x32.mat", images(30), y)
    monkeypatch.setattr(MnistSvhn, "md5", {})
    dataset = MnistSvhn().load(tmp_path, tmp_path)
    assert dataset.spec.title == "MNIST-SVHN"
    assert len(dataset.train) == len(dataset.test) == 20 * 30


def test_what_is_missing_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train_32x32\.mat is missing under .*mmbench data fetch mnist_svhn "):
        MnistSvhn()._svhn(tmp_path, "train")
    with pytest.raises(DataError, match=r"svhn-subset/train_32x32\.mat is missing under .*put any part of SVHN there"):
        MnistSvhnSubset().fetch(tmp_path)


def test_the_two_files_are_asked_for_where_torchvision_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Path]] = []
    monkeypatch.setattr(
        mnist_svhn.Fetch, "bring", lambda self, urls, path, check: asked.extend((url, path) for url in urls)
    )
    MnistSvhn()._fetch_svhn(tmp_path, mnist_svhn.Fetch())
    known = [SVHN.split_list[split] for split in ("train", "test")]
    assert asked == [(url, tmp_path / file) for url, file, _ in known]
    assert [MnistSvhn.md5[file] for _, file, _ in known] == [md5 for *_, md5 in known]
