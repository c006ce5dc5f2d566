"""Flowers: torchvision's layout on a folder written by the test, and the real dataset."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mmbench.data.dataset import Dataset
from mmbench.data.flowers import Flowers
from mmbench.errors import DataError

LABELS = [83, 1, 102, 82, 1]


class Tiny(Flowers):
    images: ClassVar[int] = len(LABELS)


def write(root: Path) -> Path:
    folder = root / "flowers-102"
    (folder / "jpg").mkdir(parents=True)
    savemat(folder / "imagelabels.mat", {"labels": np.array([LABELS], dtype=np.uint8)})
    for number, label in enumerate(LABELS, 1):
        Image.new("RGB", (70, 50), (number, 0, 0)).save(folder / "jpg" / f"image_{number:05}.jpg", quality=100)
        text = folder / "text_c10" / f"class_{label:05}" / f"image_{number:05}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(f"flower {label}\n" * 10)
    return folder


def test_classes_1_to_82_train(tmp_path: Path) -> None:
    write(tmp_path)
    data = Tiny().load(tmp_path, tmp_path / "cache")
    assert data.spec.name == "flowers"
    assert data.train.labels is not None
    assert data.test.labels is not None
    assert (data.train.labels[::10] + 1).tolist() == [1, 82, 1]
    assert (data.test.labels[::10] + 1).tolist() == [83, 102]
    assert data.spec.modality("caption").vocabulary == ("<exc>", "<pad>", "<eos>", "flower", "1", ".", "82")
    caption = data.spec.modality("caption")
    assert [caption.text(row) for row in data.train.items["caption"][::10].tolist()] == [
        "flower 1 .",
        "flower 82 .",
        "flower 1 .",
    ]


def test_a_part_is_flowers_partial(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "jpg" / "image_00001.jpg").unlink()
    with pytest.raises(DataError, match=r"holds 4 of the 5 images of Flowers, of 3 classes \(missing: .*image_00001"):
        Tiny().load(tmp_path, tmp_path / "cache")
    source = Tiny()
    source.allow_partial = True
    assert source.load(tmp_path, tmp_path / "cache").spec.name == "flowers_partial"


@pytest.mark.parametrize("content", [b"", b"damaged", b"MATLAB 5.0" * 100])
def test_damaged_labels_are_named(tmp_path: Path, content: bytes) -> None:
    folder = write(tmp_path)
    (folder / "imagelabels.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"imagelabels.mat is damaged .*; run `mmbench data fetch flowers"):
        Tiny().load(tmp_path, tmp_path / "cache")


def test_impossible_labels_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path)
    savemat(folder / "imagelabels.mat", {"labels": np.array([[0, 1, 2, 3, 4]])})
    with pytest.raises(DataError, match="must hold classes from 1 to 102"):
        Tiny().load(tmp_path, tmp_path / "cache")


@pytest.fixture(scope="module")
def real(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    if not (data_root / "flowers-102").is_dir():
        pytest.skip(f"{data_root} has no flowers-102")
    return Flowers().load(data_root, tmp_path_factory.mktemp("cache"))


@pytest.mark.slow
def test_the_real_flowers(real: Dataset) -> None:
    assert [len(split.items["image"]) for split in (real.train, real.test)] == [6433, 1756]
    assert [len(split) for split in (real.train, real.test)] == [64_330, 17_560]
    assert real.train.labels is not None
    assert real.test.labels is not None
    assert real.train.labels.unique().tolist() == list(range(82))
    assert real.test.labels.unique().tolist() == list(range(82, 102))
