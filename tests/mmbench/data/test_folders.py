"""A dataset of files that a TOML file describes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmbench import check_dataset
from mmbench.data.dataset import Dataset
from mmbench.data.declared import loaded
from mmbench.data.named import source_of
from mmbench.errors import DataError

PETS = """
name = "pets"
title = "Pets"
labels = "folder"
test = 0.25

[modalities.photo]
files = "photos/*/*.png"
size = [3, 32, 32]

[modalities.sketch]
files = "sketches/*/*.png"
size = [1, 28, 28]
latent = 16
"""
TALK = """
name = "talk"

[modalities.photo]
files = "photos/*/*.png"
size = [3, 32, 32]

[modalities.caption]
files = "captions/*/*.txt"
"""
COUNT = 12
"""Items of each class."""


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Item k of a class has the grey value k, and 100 more of the second class; captions say it."""
    for c, kind in enumerate(("cat", "dog")):
        for folder in ("photos", "sketches", "captions"):
            (tmp_path / folder / kind).mkdir(parents=True)
        for k in range(COUNT):
            value = 10 + k + 100 * c
            Image.fromarray(np.full((40, 40, 3), value, np.uint8)).save(tmp_path / f"photos/{kind}/{k}.png")
            Image.fromarray(np.full((28, 28), value, np.uint8)).save(tmp_path / f"sketches/{kind}/{k}.png")
            (tmp_path / f"captions/{kind}/{k}.txt").write_text(f"A {kind} sits\n\nnumber n{k} of {kind}\n")
    (tmp_path / "pets.toml").write_text(PETS)
    (tmp_path / "talk.toml").write_text(TALK)
    return tmp_path


def load(path: Path) -> Dataset:
    return loaded(source_of(str(path)), str(path), Path("nowhere"), Path("nowhere"))


def test_files_of_one_name_are_tuples_and_folders_are_classes(pets: Path) -> None:
    data = load(pets / "pets.toml")
    photo, sketch = data.spec.modalities
    assert (data.spec.name, data.spec.title, data.spec.classes) == ("pets", "Pets", 2)
    assert (photo.shape, photo.network, photo.latent) == ((3, 32, 32), "svhn_conv", 32)
    assert (sketch.shape, sketch.network, sketch.latent) == ((1, 28, 28), "mnist_mlp", 16)
    assert data.spec.metrics == ("coherence", "fmd")
    assert (len(data.train), len(data.test)) == (18, 6)
    seen = []
    for split in (data.train, data.test):
        batch = split.gather(torch.arange(len(split)))
        values = (255 * batch["photo"].mean((1, 2, 3))).round()
        assert torch.equal(values, (255 * batch["sketch"].mean((1, 2, 3))).round()), "pairs of one name"
        assert torch.equal((values > 100).long(), split.labels), "a class for each folder"
        seen += values.tolist()
    assert sorted(seen) == [10 + k + 100 * c for c in (0, 1) for k in range(COUNT)], "each file once, in one split"
    assert torch.bincount(data.test.labels).tolist() == [3, 3], "a quarter of each class"  # type: ignore[arg-type]


def test_the_split_is_the_seeds(pets: Path) -> None:
    first = load(pets / "pets.toml").fingerprint
    assert load(pets / "pets.toml").fingerprint == first
    (pets / "pets.toml").write_text("seed = 1\n" + PETS)
    assert load(pets / "pets.toml").fingerprint != first


def test_other_bytes_of_one_file_are_other_data_and_a_file_that_is_touched_is_not(pets: Path) -> None:
    first = load(pets / "pets.toml").fingerprint
    path = pets / "photos/cat/3.png"
    content = path.read_bytes()
    Image.fromarray(np.full((40, 40, 3), 99, np.uint8)).save(path)
    assert load(pets / "pets.toml").fingerprint != first
    path.write_bytes(content)
    assert load(pets / "pets.toml").fingerprint == first


def test_each_line_of_a_text_is_a_caption_and_the_vocabulary_is_the_training_texts(pets: Path) -> None:
    data = load(pets / "talk.toml")
    caption = data.spec.modality("caption")
    assert data.spec.classes == 0
    assert "caption_match" in data.spec.metrics
    assert (len(data.train), len(data.test)) == (2 * 19, 2 * 5), "two lines of each item"
    for split in (data.train, data.test):
        batch = split.gather(torch.arange(len(split)))
        for value, tokens in zip(batch["photo"].mean((1, 2, 3)), batch["caption"].tolist(), strict=True):
            kind = "dog" if 255 * value > 100 else "cat"
            assert kind in caption.text(tokens).split()
    said = [caption.text(tokens) for tokens in data.train.items["caption"].tolist()]
    assert set(caption.vocabulary[3:]) == {word for text in said for word in text.split()}
    words = {f"n{k}" for k in range(COUNT)} - set(caption.vocabulary)
    assert all(word not in text for text in said for word in words), "unknown words stand in test texts alone"


def test_labels_come_from_a_table(pets: Path) -> None:
    rows = [f"{kind}/{k},{'odd' if k % 2 else 'even'}" for kind in ("cat", "dog") for k in range(COUNT)]
    (pets / "labels.csv").write_text("item,label\n" + "\n".join(rows))
    (pets / "pets.toml").write_text(PETS.replace('"folder"', '"labels.csv"'))
    data = load(pets / "pets.toml")
    values = (255 * data.train.gather(torch.arange(len(data.train)))["photo"].mean((1, 2, 3))).round().long()
    assert torch.equal(values % 2, data.train.labels), "10 + k and 110 + k are as even as k; 'even' is the first class"


def test_it_keeps_the_rules_of_datasets(pets: Path) -> None:
    results = check_dataset(str(pets / "pets.toml"))
    assert [result.line() for result in results if not result.passed] == []


WRONG = {
    "no file": ("", "", lambda p: (p / "pets.toml").unlink(), r"pets\.toml cannot be read \(No such file"),
    "no TOML": ('"pets"', '"pets', None, r"pets\.toml is no TOML \(.*line 2"),
    "unknown word": ("test = 0.25", "tset = 0.25", None, "there is no setting 'tset'; did you mean 'test'"),
    "no name": ('name = "pets"', "", None, "name is missing|name"),
    "no modalities": (PETS[PETS.index("[") :], "", None, "modalities"),
    "one modality": (PETS[PETS.index("[modalities.sketch") :], "", None, "two or more modalities"),
    "a share of all": ("test = 0.25", "test = 1.0", None, "test must be a share between 0 and 1"),
    "a size of text": ("[1, 28, 28]", '"28x28"', None, r"modalities\.sketch\.size"),
    "two channels": ("[1, 28, 28]", "[2, 28, 28]", None, r"modalities\.sketch: size must be \[channels"),
    "no size": ("size = [1, 28, 28]", "", None, "modalities.sketch: size must be"),
    "an absolute pattern": ("sketches/*", "/sketches/*", None, "files must be a pattern below"),
    "no such files": ("sketches/", "drawings/", None, "no file of sketch is at .*drawings"),
    "a partner lost": ("", "", lambda p: (p / "sketches/cat/3.png").unlink(), "1 of 24 items have no sketch: cat/3;"),
    "a surplus": (
        "", "", lambda p: (p / "sketches/cat/3.png").rename(p / "sketches/cat/x.png"), "items have no photo: cat/x",
    ),
    "a damaged image": (
        "", "", lambda p: (p / "photos/dog/5.png").write_bytes(b"\x89PNG"), r"1 files cannot be used: .*dog/5\.png \(",
    ),
    "an empty image": ("", "", lambda p: (p / "photos/dog/5.png").write_bytes(b""), r"dog/5\.png \(it is empty\)"),
    "no folders": ("photos/*/*.png", "*.png", lambda p: Image.new("L", (9, 9)).save(p / "a.png"), "items have no"),
    "no table": ('"folder"', '"labels.csv"', None, r"labels\.csv cannot be read \(No such file"),
    "a table without its columns": (
        '"folder"', '"labels.csv"', lambda p: (p / "labels.csv").write_text("file,class\na,b\n"), "line 2: it needs",
    ),
    "a label lost": (
        '"folder"', '"labels.csv"', lambda p: (p / "labels.csv").write_text("item,label\ncat/0,cat\n"),
        r"labels\.csv has no label of cat/1",
    ),
    "two labels": (
        '"folder"', '"labels.csv"', lambda p: (p / "labels.csv").write_text("item,label\ncat/0,a\ncat/0,b\n"),
        "line 3: cat/0 has the labels a and b",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_sentence_that_names_the_file(pets: Path, case: str) -> None:
    old, new, change, said = WRONG[case]
    (pets / "pets.toml").write_text(PETS.replace(old, new) if old else PETS)
    if change:
        change(pets)
    with pytest.raises(Exception, match=said) as found:
        load(pets / "pets.toml")
    assert type(found.value).__module__ == "mmbench.errors"
    assert "\n" not in str(found.value)


def test_a_text_without_a_word_is_named(pets: Path) -> None:
    (pets / "captions/cat/0.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"1 files cannot be used: .*captions/cat/0\.txt \(it holds no text\)"):
        load(pets / "talk.toml")


def test_two_files_of_one_item_are_named(pets: Path) -> None:
    (pets / "pets.toml").write_text(PETS.replace("photos/*/*.png", "photos/*/*"))
    Image.new("L", (9, 9)).save(pets / "photos/cat/3.jpg")
    with pytest.raises(DataError, match=r"3\.jpg and 3\.png are both the item 'cat/3' of photo"):
        load(pets / "pets.toml")
