"""Files of published datasets: found, checked, and missed with one clear sentence."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
import torch

from mmbench.data.idx import MNIST, IdxFiles, parse_idx
from mmbench.data.sources import check_md5, locate
from mmbench.errors import DataError

IMAGES = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (2, 28, 28)) + bytes(range(196)) * 8
LABELS = bytes([0, 0, 8, 1]) + (2).to_bytes(4, "big") + bytes([7, 0])
FILES = {"train-images-idx3-ubyte": IMAGES, "train-labels-idx1-ubyte": LABELS}
TINY = IdxFiles(name="MNIST", md5={name: hashlib.md5(content).hexdigest() for name, content in FILES.items()})


def write_tiny(root: Path, *, zipped: bool = False) -> Path:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in FILES.items():
        (raw / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(content) if zipped else content)
    return raw


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_are_read_unpacked_or_not(tmp_path: Path, zipped: bool) -> None:
    write_tiny(tmp_path, zipped=zipped)
    images, labels = TINY.load(tmp_path, "train", dataset="tiny")
    assert images.shape == (2, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert images[0, 0, 0, :3].tolist() == [0, 1, 2]
    assert labels.tolist() == [7, 0]
    assert TINY.verify(tmp_path, dataset="tiny") == 2


def test_idx_extents_are_big_endian() -> None:
    content = bytes([0, 0, 8, 2]) + (1).to_bytes(4, "big") + (3).to_bytes(4, "big") + bytes([4, 5, 6])
    assert parse_idx(content).tolist() == [[4, 5, 6]]


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        MNIST.load(tmp_path, "train", dataset="mnist_svhn")
    message = str(caught.value)
    assert message.startswith(f"MNIST/raw/train-images-idx3-ubyte is missing under {tmp_path}; ")
    assert f"`mmbench data fetch mnist_svhn --data-root {tmp_path}`" in message
    assert "MMBENCH_DATA" in message


@pytest.mark.parametrize("zipped", [False, True])
def test_a_truncated_file_is_named(tmp_path: Path, zipped: bool) -> None:
    raw = write_tiny(tmp_path, zipped=zipped)
    path = raw / f"train-images-idx3-ubyte{'.gz' if zipped else ''}"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="is damaged or another file") as caught:
        TINY.load(tmp_path, "train", dataset="tiny")
    assert str(path) in str(caught.value)


def test_locate_takes_the_first_place_that_has_the_file(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").touch()
    assert locate(tmp_path, "x", "b/x", dataset="d") == tmp_path / "b" / "x"
    (tmp_path / "x").touch()
    assert locate(tmp_path, "x", "b/x", dataset="d") == tmp_path / "x"


def test_a_file_in_place_of_the_data_root_is_no_missing_download(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(DataError, match=r"x is no folder: point --data-root .* at the one that has a/b\.$"):
        locate(tmp_path / "x", "a/b", dataset="d")


def test_check_md5_accepts_the_right_content(tmp_path: Path) -> None:
    check_md5(tmp_path / "f", b"abc", "900150983cd24fb0d6963f7d28e17f72", root=tmp_path, dataset="d")
