"""`mmbench data fetch` over files that a user cannot get again: whatever the network does, their bytes stay."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path
from typing import ClassVar
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import Flowers102
from typer.testing import CliRunner

from mmbench.cli import app
from mmbench.data import downloads, flowers, idx, mnist_svhn
from mmbench.data.downloads import PART, Fetch, downloading, of_md5
from mmbench.data.flowers import Flowers
from mmbench.data.idx import IdxFiles
from mmbench.data.mnist_fashion import MnistFashion
from mmbench.errors import BusyError, DataError


def contents(root: Path) -> set[bytes]:
    """The bytes of every file below a folder."""
    return {path.read_bytes() for path in root.rglob("*") if path.is_file()}


def tree(root: Path) -> dict[str, bytes]:
    """Path -> bytes, but for what a fetch itself keeps: its lock."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(".mmbench-fetch")
    }


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What the servers send for the file of a name; there is no network for others."""
    sent: dict[str, bytes] = {}

    def send(url: str, part: Path) -> None:
        name = url.rpartition("/")[2]
        if name not in sent:
            raise URLError("no network")
        part.write_bytes(sent[name])

    monkeypatch.setattr(downloads, "download", send)
    return sent


def idx_bytes(values: np.ndarray) -> bytes:
    extents = b"".join(n.to_bytes(4, "big") for n in values.shape)
    return bytes([0, 0, 8, values.ndim]) + extents + values.astype(np.uint8).tobytes()


def idx_files(name: str, seed: int) -> tuple[IdxFiles, dict[str, bytes]]:
    draws = np.random.default_rng(seed)
    files = {}
    for split in ("train", "t10k"):
        files[f"{split}-images-idx3-ubyte"] = idx_bytes(draws.integers(0, 255, (20, 28, 28)))
        files[f"{split}-labels-idx1-ubyte"] = idx_bytes(np.arange(20) % 10)
    return IdxFiles(name=name, md5={f: hashlib.md5(c).hexdigest() for f, c in files.items()}), files  # type: ignore[arg-type]


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """MNIST and Fashion-MNIST in small: the right files of both."""
    from mmbench.data import mnist_fashion

    mnist, digits = idx_files("MNIST", 0)
    fashion, articles = idx_files("FashionMNIST", 1)
    monkeypatch.setattr(mnist_fashion, "MNIST", mnist)
    monkeypatch.setattr(mnist_fashion, "FASHION", fashion)
    return digits, articles


def lay(root: Path, folder: str, files: dict[str, bytes], suffix: str = "") -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / folder / f"{name}{suffix}").write_bytes(gzip.compress(content) if suffix else content)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_without_a_network_fashion_under_mnists_name_stays(
    tmp_path: Path, pair: tuple[dict[str, bytes], dict[str, bytes]], sent: dict[str, bytes], suffix: str
) -> None:
    lay(tmp_path, "MNIST/raw", pair[1], suffix)
    before = tree(tmp_path)
    result = CliRunner().invoke(app, ["data", "fetch", "mnist_fashion", "--data-root", str(tmp_path)])
    assert isinstance(result.exception, DataError)
    assert "no network" in str(result.exception)
    assert "No file was removed." in str(result.exception)
    assert tree(tmp_path) == before


def test_what_stands_in_the_way_is_set_aside_when_the_right_files_are_whole(
    tmp_path: Path, pair: tuple[dict[str, bytes], dict[str, bytes]], sent: dict[str, bytes]
) -> None:
    digits, articles = pair
    lay(tmp_path, "MNIST/raw", articles)  # the labels of both agree: they are right, and stay
    lay(tmp_path, "FashionMNIST/raw", articles)
    sent.update({f"{name}.gz": gzip.compress(content) for name, content in digits.items()})
    said = MnistFashion().fetch(tmp_path)
    raw = tmp_path / "MNIST/raw"
    assert said.startswith("MNIST-Fashion: 8 files")
    assert {path.name for path in raw.iterdir()} == {
        *digits, "train-images-idx3-ubyte.damaged-1", "t10k-images-idx3-ubyte.damaged-1"
    }  # fmt: skip
    for name, content in digits.items():
        assert (raw / name).read_bytes() == content
    assert (raw / "train-images-idx3-ubyte.damaged-1").read_bytes() == articles["train-images-idx3-ubyte"]
    assert f"What was there before is set aside: {raw / 'train-images-idx3-ubyte.damaged-1'}, " in said


def test_a_whole_archive_beside_a_wrong_file_needs_no_network(
    tmp_path: Path, pair: tuple[dict[str, bytes], dict[str, bytes]], sent: dict[str, bytes]
) -> None:
    digits, articles = pair
    lay(tmp_path, "MNIST/raw", digits, ".gz")
    lay(tmp_path, "FashionMNIST/raw", articles)
    (tmp_path / "MNIST/raw/train-images-idx3-ubyte").write_bytes(b"mine")
    before = contents(tmp_path)
    MnistFashion().fetch(tmp_path)
    assert before <= contents(tmp_path)
    assert (tmp_path / "MNIST/raw/train-images-idx3-ubyte").read_bytes() == digits["train-images-idx3-ubyte"]


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", gzip.compress(b"another file", mtime=0)])
def test_a_wrong_checksum_changes_nothing(
    tmp_path: Path, pair: tuple[dict[str, bytes], dict[str, bytes]], sent: dict[str, bytes], content: bytes
) -> None:
    lay(tmp_path, "MNIST/raw", pair[1])
    before = tree(tmp_path)
    sent["train-images-idx3-ubyte.gz"] = content
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz came damaged, or is another file"):
        MnistFashion().fetch(tmp_path)
    assert tree(tmp_path) == before


def test_an_interrupted_fetch_loses_nothing_and_the_next_goes_on(
    tmp_path: Path, pair: tuple[dict[str, bytes], dict[str, bytes]], sent: dict[str, bytes], monkeypatch
) -> None:
    digits, articles = pair
    lay(tmp_path, "MNIST/raw", articles)
    lay(tmp_path, "FashionMNIST/raw", articles)
    mine = contents(tmp_path)
    sent.update({f"{name}.gz": gzip.compress(content) for name, content in digits.items()})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda self, to: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):  # between setting aside and putting in place, the worst moment
            MnistFashion().fetch(tmp_path)
    assert mine <= contents(tmp_path)
    sent.clear()
    sent["t10k-images-idx3-ubyte.gz"] = gzip.compress(digits["t10k-images-idx3-ubyte"])
    MnistFashion().fetch(tmp_path)  # the file that was whole is not asked for again
    assert mine <= contents(tmp_path)
    assert not list(tmp_path.rglob(f"*{PART}"))


def test_a_link_is_set_aside_and_what_it_points_to_is_not_written(tmp_path: Path, sent: dict[str, bytes]) -> None:
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (tmp_path / "file").symlink_to("elsewhere")
    sent["file"] = b"right"
    fetch = Fetch()
    fetch.bring(["http://x/file"], tmp_path / "file", of_md5(hashlib.md5(b"right").hexdigest()))
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"
    assert (tmp_path / "file").read_bytes() == b"right"
    assert os.readlink(tmp_path / "file.damaged-1") == "elsewhere"


def test_a_folder_in_the_way_is_set_aside_with_all_in_it(tmp_path: Path, sent: dict[str, bytes]) -> None:
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "note").write_bytes(b"mine")
    sent["file"] = b"right"
    Fetch().bring(["http://x/file"], tmp_path / "file", of_md5(hashlib.md5(b"right").hexdigest()))
    assert (tmp_path / "file.damaged-1" / "note").read_bytes() == b"mine"


def test_a_users_own_part_file_is_not_ours(tmp_path: Path, sent: dict[str, bytes]) -> None:
    (tmp_path / "file.part").write_bytes(b"of a browser")
    sent["file"] = b"right"
    Fetch().bring(["http://x/file"], tmp_path / "file", of_md5(hashlib.md5(b"right").hexdigest()))
    assert tree(tmp_path) == {"file": b"right", "file.part": b"of a browser"}


def test_a_second_mirror_is_asked_where_the_first_sends_another_file(tmp_path: Path, sent: dict[str, bytes]) -> None:
    sent.update(first=b"wrong", second=b"right")
    Fetch().bring(["http://x/first", "http://y/second"], tmp_path / "f", of_md5(hashlib.md5(b"right").hexdigest()))
    assert tree(tmp_path) == {"f": b"right"}


def test_two_fetches_to_one_folder_do_not_meet(tmp_path: Path) -> None:
    with (
        downloading("a", tmp_path),
        pytest.raises(BusyError, match=f"another `mmbench data fetch` is at work in {tmp_path}"),
        downloading("b", tmp_path),
    ):
        pass


# --- SVHN ----------------------------------------------------------------------------------------------------------


def test_a_damaged_svhn_stays_until_the_right_one_is_whole(
    tmp_path: Path, sent: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = {}
    for split in ("train", "test"):
        made = io.BytesIO()
        savemat(made, {"X": np.zeros((32, 32, 3, 10), np.uint8), "y": np.arange(1, 11)[:, None]})
        right[f"{split}_32x32.mat"] = made.getvalue()
    mnist, digits = idx_files("MNIST", 0)
    monkeypatch.setattr(mnist_svhn, "MNIST", mnist)
    lay(tmp_path, "MNIST/raw", digits)
    lay(tmp_path, "", dict.fromkeys(right, b"mine"))

    class Tiny(mnist_svhn.MnistSvhn):
        md5: ClassVar[dict[str, str]] = {name: hashlib.md5(content).hexdigest() for name, content in right.items()}

    before = tree(tmp_path)
    with pytest.raises(DataError, match="no network"):
        Tiny().fetch(tmp_path)
    assert tree(tmp_path) == before
    sent.update(right)
    said = Tiny().fetch(tmp_path)
    assert "6 files" in said
    assert tree(tmp_path) == before | right | {f"{name}.damaged-1": b"mine" for name in right}


# --- flowers -------------------------------------------------------------------------------------------------------

LABELS = [83, 1, 102, 82, 1]


class TinyFlowers(Flowers):
    images: ClassVar[int] = len(LABELS)


def tar_of(root: Path, prefix: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        archive.add(root, prefix)
    return made.getvalue()


@pytest.fixture
def far(tmp_path: Path, sent: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The archives of five flowers, as their servers send them."""
    folder = tmp_path / "far"
    (folder / "jpg").mkdir(parents=True)
    savemat(folder / "imagelabels.mat", {"labels": np.array([LABELS], dtype=np.uint8)})
    for number, label in enumerate(LABELS, 1):
        Image.new("RGB", (70, 50), (number, 0, 0)).save(folder / "jpg" / f"image_{number:05}.jpg")
        text = folder / "text_c10" / f"class_{label:05}" / f"image_{number:05}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(f"flower {label}\n" * 10)
    made = {
        "102flowers.tgz": tar_of(folder / "jpg", "jpg"),
        "imagelabels.mat": (folder / "imagelabels.mat").read_bytes(),
        Flowers.captions.url.rpartition("/")[2]: tar_of(folder / "text_c10", "cvpr2016_flowers/text_c10"),
    }
    monkeypatch.setattr(flowers, "IMAGES", hashlib.md5(made["102flowers.tgz"]).hexdigest())
    monkeypatch.setattr(flowers, "LABELS", hashlib.md5(made["imagelabels.mat"]).hexdigest())
    return made


def test_flowers_without_a_network_lose_nothing(tmp_path: Path, far: dict[str, bytes], sent: dict[str, bytes]) -> None:
    root = tmp_path / "data"
    (root / "flowers-102" / "jpg").mkdir(parents=True)
    for name in ("setid.mat", "imagelabels.mat", "102flowers.tgz", "jpg/image_00001.jpg", "cvpr2016_flowers.tar.gz"):
        (root / "flowers-102" / name).write_bytes(f"my {name}".encode())
    before = tree(root)
    with pytest.raises(DataError, match="no network"):
        TinyFlowers().fetch(root)
    assert tree(root) == before
    sent.update(far)
    said = TinyFlowers().fetch(root)
    assert said.startswith("Flowers: 5 images of 4 classes")
    assert set(before.values()) <= set(tree(root).values())
    assert (root / "flowers-102" / "setid.mat").read_bytes() == b"my setid.mat"
    assert (root / "flowers-102" / "102flowers.tgz").read_bytes() == b"my 102flowers.tgz"
    assert (root / "flowers-102" / "jpg" / "image_00001.jpg.damaged-1").read_bytes() == b"my jpg/image_00001.jpg"
    assert str(root / "flowers-102" / "imagelabels.mat.damaged-1") in said


def test_archives_that_a_user_has_are_unpacked_and_kept(
    tmp_path: Path, far: dict[str, bytes], sent: dict[str, bytes]
) -> None:
    root = tmp_path / "data"
    folder = root / "flowers-102"
    folder.mkdir(parents=True)
    images, labels, captions = far.values()
    mine = {"102flowers.tgz": images, "imagelabels.mat": labels, "cvpr2016_flowers.tar.gz": captions}
    for name, content in mine.items():
        (folder / name).write_bytes(content)
    assert TinyFlowers().fetch(root).startswith("Flowers: 5 images")  # and there is no network
    for name, content in mine.items():
        assert (folder / name).read_bytes() == content


def test_one_missing_caption_leaves_the_others_alone(
    tmp_path: Path, far: dict[str, bytes], sent: dict[str, bytes]
) -> None:
    root = tmp_path / "data"
    sent.update(far)
    TinyFlowers().fetch(root)
    text = root / "flowers-102" / "text_c10"
    (text / "class_00001" / "image_00002.txt").write_text("my own words\n" * 10)
    (text / "class_00083" / "image_00001.txt").unlink()
    times = {path: path.stat().st_mtime_ns for path in (root / "flowers-102" / "jpg").iterdir()}
    said = TinyFlowers().fetch(root)
    assert (text / "class_00001" / "image_00002.txt.damaged-1").read_text() == "my own words\n" * 10
    assert "image_00002.txt.damaged-1" in said
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_images_on_another_disk_are_filled_through_their_link(
    tmp_path: Path, far: dict[str, bytes], sent: dict[str, bytes]
) -> None:
    root, disk = tmp_path / "data", tmp_path / "disk"
    disk.mkdir()
    (root / "flowers-102").mkdir(parents=True)
    (root / "flowers-102" / "jpg").symlink_to(disk)
    sent.update(far)
    assert TinyFlowers().fetch(root).startswith("Flowers: 5 images")
    assert (root / "flowers-102" / "jpg").is_symlink()
    assert len(list(disk.iterdir())) == 5


def test_the_flowers_files_are_torchvisions() -> None:
    files = Flowers102._file_dict
    assert (files["image"][1], files["label"][1]) == (flowers.IMAGES, flowers.LABELS)
    assert {f"{flowers.URL}/{files[kind][0]}" for kind in ("image", "label")} == {
        f"{Flowers102._download_url_prefix}{name}" for name in ("102flowers.tgz", "imagelabels.mat")
    }


def test_the_mirrors_are_torchvisions() -> None:
    urls = idx.MNIST._urls("train-images-idx3-ubyte.gz")
    assert len(urls) >= 2
    assert all(url.startswith("http") and url.endswith("/train-images-idx3-ubyte.gz") for url in urls)
