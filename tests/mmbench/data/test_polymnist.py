"""PolyMNIST's published files: a folder or an archive in their layout that the test makes."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import ClassVar
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from mmbench.data import downloads
from mmbench.data.dataset import Dataset
from mmbench.data.polymnist import Polymnist
from mmbench.errors import DataError

DIGITS = {"train": [0, 0, 0, 1, 1, 7, 7, 7], "test": [0, 1, 7]}


class Small(Polymnist):
    tuples: ClassVar = {split: len(digits) for split, digits in DIGITS.items()}


def names(split: str) -> list[str]:
    """<k>.<digit>.png; k counts within a digit."""
    digits = DIGITS[split]
    return [f"{digits[:j].count(digit)}.{digit}.png" for j, digit in enumerate(digits)]


def pixels(split: str, view: int, name: str) -> np.ndarray:
    """(28, 28, 3), of each file its own."""
    seed = int(hashlib.md5(f"{split}{view}{name}".encode()).hexdigest()[:8], 16)
    return np.random.default_rng(seed).integers(0, 256, (28, 28, 3)).astype(np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split in DIGITS:
        for view in range(5):
            folder = tmp_path / f"MMNIST/{split}/m{view}"
            folder.mkdir(parents=True)
            for name in names(split):
                Image.fromarray(pixels(split, view, name)).save(folder / name)
    return tmp_path


def load(root: Path, views: int | None = None, partial: bool = False) -> Dataset:
    source = Small()
    source.views, source.allow_partial = views, partial
    return source.load(root, root / "cache")


def zipped(root: Path, name: str = "MMNIST.zip", inside: str = "MMNIST") -> Path:
    """The folder as an archive; the folder itself goes."""
    with zipfile.ZipFile(root / name, "w") as archive:
        for path in sorted((root / "MMNIST").rglob("*")):
            archive.write(path, inside / path.relative_to(root / "MMNIST"))
    shutil.rmtree(root / "MMNIST")
    return root / name


def check_whole(data: Dataset) -> None:
    for split, own in (("train", data.train), ("test", data.test)):
        assert own.labels is not None
        assert len(own) == len(DIGITS[split])
        order = sorted(names(split), key=lambda name: [int(part) for part in name.split(".")[:2]])
        assert own.labels.tolist() == [int(name.split(".")[1]) for name in order]
        batch = own.gather(torch.arange(len(own)))
        for view in range(len(data.spec.names)):
            right = np.stack([pixels(split, view, name) for name in order]).transpose(0, 3, 1, 2)
            assert torch.equal(batch[f"m{view}"], torch.from_numpy(right).float() / 255)


def test_a_folder_in_the_published_layout_is_read(root: Path) -> None:
    data = load(root)
    check_whole(data)
    assert data.spec.name == "polymnist"


@pytest.mark.parametrize("inside", ["MMNIST", "data/MMNIST", "."])
def test_so_is_the_archive_as_it_is(root: Path, inside: str) -> None:
    folder = load(root).fingerprint
    zipped(root, inside=inside)
    data = load(root)
    check_whole(data)
    assert data.fingerprint == folder


def test_what_was_read_once_comes_from_the_cache(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load(root).fingerprint
    monkeypatch.setattr(Small, "_read", None)
    assert load(root).fingerprint == before
    assert len(list((root / "cache").iterdir())) == 1


def test_changed_files_are_read_anew(root: Path) -> None:
    before = load(root).fingerprint
    Image.new("RGB", (28, 28)).save(root / "MMNIST/test/m0/0.7.png")
    assert load(root).fingerprint != before


def test_three_views_are_the_first_ones(root: Path) -> None:
    data = load(root, 3)
    check_whole(data)
    assert (data.spec.name, data.spec.names) == ("polymnist_3", ("m0", "m1", "m2"))


def picture(mode: str, size: tuple[int, int] = (28, 28)):
    def spoil(path: Path) -> None:
        Image.new(mode, size).save(path)

    return spoil


FAULTS = {
    "missing": (Path.unlink, "missing"),
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "no image": (lambda path: path.write_bytes(b"GIF89a..."), "no PNG image"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-400]), "no whole image"),
    "grey": (picture("L"), "28 x 28 L, not 28 x 28 RGB"),
    "with alpha": (picture("RGBA"), "28 x 28 RGBA, not 28 x 28 RGB"),
    "32 x 32": (picture("RGB", (32, 32)), "32 x 32 RGB, not 28 x 28 RGB"),
    "on its side": (picture("RGB", (28, 27)), "28 x 27 RGB, not 28 x 28 RGB"),
}


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("kind", FAULTS)
def test_a_file_that_will_not_do_is_named(root: Path, kind: str, archive: bool) -> None:
    spoil, reason = FAULTS[kind]
    spoil(root / "MMNIST/train/m3/1.7.png")
    if archive:
        zipped(root)
    with pytest.raises(DataError) as error:
        load(root)
    assert f"1 file in {root / 'MMNIST'}" in str(error.value)
    assert f"train/m3/1.7.png ({reason})" in str(error.value)
    assert "mmbench data fetch polymnist" in str(error.value)


def test_a_mislabelled_file_is_named(root: Path) -> None:
    path = root / "MMNIST/train/m2/2.7.png"
    path.rename(path.with_name("2.1.png"))
    with pytest.raises(DataError) as error:
        load(root)
    assert "train/m2/2.1.png (no other view has this number and digit: mislabelled?)" in str(error.value)
    assert "train/m2/2.7.png (missing)" in str(error.value)


def test_a_file_of_another_name_is_named(root: Path) -> None:
    (root / "MMNIST/test/m1/notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"test/m1/notes\.txt \(not named <number>\.<digit>\.png\)"):
        load(root)


def test_many_faults_are_counted(root: Path) -> None:
    shutil.rmtree(root / "MMNIST/train/m4")
    with pytest.raises(DataError, match=r"8 files .*train/m4/0\.0\.png \(missing\).* and 3 more"):
        load(root)


def test_a_damaged_archive_is_named(root: Path) -> None:
    path = zipped(root)
    content = bytearray(path.read_bytes())
    at = content.index(b"IHDR") + 300
    content[at] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"test/m0/0\.0\.png \(damaged in the archive"):
        load(root)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"MMNIST\.zip is not a whole archive"):
        load(root)


def test_fewer_tuples_need_a_word_and_another_name(root: Path) -> None:
    for path in root.rglob("2.7.png"):
        path.unlink()
    with pytest.raises(DataError, match=r"7 of 8 train tuples are there; .*polymnist_partial"):
        load(root)
    assert load(root, partial=True).spec.name == "polymnist_partial"
    assert load(root, 4, partial=True).spec.name == "polymnist_partial_4"


def test_an_empty_root_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"MMNIST\.zip is missing under .*mmbench data fetch polymnist"):
        load(tmp_path)


def test_the_published_counts() -> None:
    assert Polymnist.tuples == {"train": 60_000, "test": 10_000}


# --- fetching ---


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What Zenodo sends, by address."""
    sent: dict[str, bytes] = {}

    def send(url: str, part: Path) -> None:
        if url not in sent:
            raise URLError("no network")
        part.write_bytes(sent[url])

    monkeypatch.setattr(downloads, "download", send)
    return sent


RECORD = "https://zenodo.org/api/records/4899160"
FILE = "https://zenodo.org/records/4899160/files/Poly%20MNIST.zip?download=1"


def publish(sent: dict[str, bytes], content: bytes, md5: str | None = None) -> str:
    """Zenodo's answers; returns the MD5 that it states."""
    md5 = hashlib.md5(content).hexdigest() if md5 is None else md5
    files = [{"key": "Poly MNIST.zip", "checksum": f"md5:{md5}"}, {"key": "readme.md", "checksum": "md5:0"}]
    sent[RECORD] = json.dumps({"id": 4899160, "files": files}).encode()
    sent[FILE] = content
    return md5


def test_fetch_brings_the_archive_and_notes_its_checksum(root: Path, sent: dict[str, bytes]) -> None:
    content = zipped(root).read_bytes()
    (root / "MMNIST.zip").unlink()
    md5 = publish(sent, content)
    said = Small().fetch(root)
    assert "8 train and 3 test tuples of 5 views" in said
    assert "Poly MNIST.zip" in said
    assert (root / "MMNIST.zip").read_bytes() == content
    assert (root / "MMNIST.zip.md5").read_text() == f"{md5}  MMNIST.zip\n"
    check_whole(load(root))


def test_the_noted_checksum_is_checked_ever_after(root: Path, sent: dict[str, bytes]) -> None:
    content = zipped(root).read_bytes()
    publish(sent, content)
    (root / "MMNIST.zip").unlink()
    Small().fetch(root)
    with zipfile.ZipFile(root / "MMNIST.zip", "a") as archive:
        archive.writestr("readme.txt", "whole, and another file")
    for use in (lambda: load(root), lambda: Small().verify(root)):
        with pytest.raises(DataError, match=r"MMNIST\.zip is damaged or another file \(MD5 \w{32}, and \w{32} was"):
            use()
    said = Small().fetch(root)
    assert (root / "MMNIST.zip").read_bytes() == content
    assert "MMNIST.zip.damaged-1" in said


@pytest.mark.parametrize("md5", ["0" * 32, ""])
def test_what_does_not_hold_the_data_takes_no_place(root: Path, sent: dict[str, bytes], md5: str) -> None:
    """A checksum that disagrees; and, where none is stated, an archive without a view."""
    if not md5:
        shutil.rmtree(root / "MMNIST/test/m1")
    content = zipped(root).read_bytes()
    (root / "MMNIST.zip").unlink()
    publish(sent, content, md5)
    with pytest.raises(DataError, match="came damaged, or is another file" if md5 else "does not hold PolyMNIST"):
        Small().fetch(root)
    assert not (root / "MMNIST.zip").exists()
    assert not (root / "MMNIST.zip.md5").exists()


@pytest.mark.parametrize("answer", [b"", b"<html>", b"{}", b'{"files": [{"key": "a.txt"}]}', b'{"files": 3}', b"[]"])
def test_an_answer_that_names_no_archive_is_one_sentence(tmp_path: Path, sent: dict[str, bytes], answer: bytes) -> None:
    sent[RECORD] = answer
    with pytest.raises(DataError, match=r"polymnist could not be downloaded .*Zenodo"):
        Small().fetch(tmp_path)


def test_a_whole_folder_needs_no_network(root: Path, sent: dict[str, bytes]) -> None:
    assert "can be read" in Small().fetch(root)


def test_without_a_network_a_damaged_folder_stays(root: Path, sent: dict[str, bytes]) -> None:
    (root / "MMNIST/train/m3/1.7.png").write_bytes(b"mine")
    with pytest.raises(DataError, match="no network"):
        Small().fetch(root)
    assert (root / "MMNIST/train/m3/1.7.png").read_bytes() == b"mine"
