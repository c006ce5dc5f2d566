"""CUB on folders written by the tests, and on the real part of it."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import Resize
from typer.testing import CliRunner

from mmbench.cells.forecast import Forecast
from mmbench.cli import app
from mmbench.data import captions, downloads, records
from mmbench.data.captioned import held_out
from mmbench.data.cub import TEST_CLASSES, Cub
from mmbench.data.dataset import Dataset
from mmbench.data.images import read_image
from mmbench.errors import DataError

BIRDS = {1: 2, 2: 3, 3: 1, 4: 2}
"""Images of each class of the tiny folder; classes 1 and 4 test."""


class Tiny(Cub):
    images: ClassVar[int] = sum(BIRDS.values())


def write(root: Path) -> Path:
    """A folder in Caltech's layout with captions; returns it."""
    folder = root / "CUB_200_2011"
    draws = np.random.default_rng(0)
    names, labels = [], []
    for label, count in BIRDS.items():
        for k in range(count):
            name = f"{label:03}.Bird/Bird_{k:04}.jpg"
            names.append(name)
            labels.append(label)
            for kind in ("images", "text_c10"):
                (folder / kind / name).parent.mkdir(parents=True, exist_ok=True)
            pixels = draws.integers(0, 256, (48 + 20 * k, 80, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / name)
            lines = [f"bird {label} is red, caption {k} {c}" for c in range(10)]
            (folder / "text_c10" / name).with_suffix(".txt").write_text("\n".join(lines))
    (folder / "images.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(names, 1)))
    (folder / "image_class_labels.txt").write_text("".join(f"{i} {label}\n" for i, label in enumerate(labels, 1)))
    return folder


def load(root: Path, *, allow_partial: bool = False, cache: Path | None = None) -> Dataset:
    source = Tiny()
    source.allow_partial = allow_partial
    return source.load(root, cache or root / "cache")


def message(act: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        act()
    return str(caught.value)


def test_the_papers_split_of_classes() -> None:
    assert len(set(TEST_CLASSES)) == 50
    assert 1 <= min(TEST_CLASSES) <= max(TEST_CLASSES) <= 200


def test_the_papers_counts(data_root: Path) -> None:
    files = list((data_root / "CUB_200_2011" / "text_c10").glob("*/*.txt"))
    if len(files) != Cub.images:
        pytest.skip(f"{data_root} does not hold the captions of all images")
    test = sum(int(path.parent.name[:3]) in TEST_CLASSES for path in files)
    assert (len(files) - test, test) == (8855, 2933)


def test_a_tuple_is_an_image_with_one_of_its_ten_captions(tmp_path: Path) -> None:
    folder = write(tmp_path)
    data = load(tmp_path)
    image, caption = data.spec.modalities
    assert (image.shape, image.latent, image.weight) == ((3, 64, 64), 64, 0.0078125)
    assert (caption.shape, caption.latent, caption.weight) == ((32,), 32, 5.0)
    assert (data.spec.name, data.spec.classes, data.spec.quality_count) == ("cub", 0, 10_000)
    for split, classes in ((data.train, [2, 3]), (data.test, [1, 4])):
        paths = [path for c in classes for path in sorted((folder / "images").glob(f"{c:03}.*/*.jpg"))]
        assert len(split) == 10 * len(paths)
        assert split.labels is not None
        for k in range(len(split)):
            batch = split.gather(torch.tensor([k]))
            path = paths[k // 10]
            assert torch.equal(batch["image"][0], read_image(path, (3, 64, 64)) / 255)
            lines = (folder / "text_c10" / path.relative_to(folder / "images")).with_suffix(".txt").read_text()
            kept = [w if w in caption.vocabulary else "<exc>" for w in captions.words(lines.split("\n")[k % 10])]
            row = batch["caption"][0].tolist()
            assert [caption.vocabulary[i] for i in row] == (kept + ["<eos>"] + ["<pad>"] * 32)[:32]
            assert int(split.labels[k]) + 1 == int(path.parent.name[:3])


def test_the_vocabulary_is_that_of_the_training_captions(tmp_path: Path) -> None:
    write(tmp_path)
    known = load(tmp_path).spec.modality("caption").vocabulary
    # classes 2 and 3 train; their numbers stand in 30 + and 10 captions, 1 and 4 also count captions and images
    assert known[:6] == ("<exc>", "<pad>", "<eos>", "bird", "2", "is")
    assert {"3", "red", ",", "caption", "."} <= set(known)
    assert "birds" not in known


def test_an_image_is_resized_as_torchvision_does_and_one_of_its_size_not_at_all(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    expected = np.asarray(Resize([64, 64])(Image.fromarray(pixels))).transpose(2, 0, 1)
    assert np.array_equal(read_image(path, (3, 64, 64)).numpy(), expected)
    Image.fromarray(pixels[:64, :64]).save(path)
    assert np.array_equal(read_image(path, (3, 64, 64)).numpy(), pixels[:64, :64].transpose(2, 0, 1))
    Image.fromarray(pixels[:, :, 0]).save(path)  # grey, as eight images of CUB are
    assert read_image(path, (3, 64, 64)).shape == (3, 64, 64)


def test_a_second_start_reads_the_cache_and_is_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    first = load(tmp_path)
    monkeypatch.setattr(records, "read_image", lambda path, shape: pytest.fail("the cache was not used"))
    second = load(tmp_path)
    assert second.fingerprint == first.fingerprint
    assert second.spec == first.spec


def test_changed_files_make_another_cache(tmp_path: Path) -> None:
    folder = write(tmp_path)
    first = load(tmp_path)
    path = folder / "text_c10" / "002.Bird" / "Bird_0000.txt"
    path.write_text(path.read_text().replace("red", "sad"))  # same size
    os.utime(path, ns=(1, 1))
    assert load(tmp_path).fingerprint != first.fingerprint
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, content: bytes) -> None:
    write(tmp_path)
    first = load(tmp_path)
    (cache,) = (tmp_path / "cache").iterdir()
    cache.write_bytes(content)
    assert load(tmp_path).fingerprint == first.fingerprint


def test_a_cache_that_cannot_be_written_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert len(load(tmp_path).train) == 40


# --- part of the images --------------------------------------------------------------------------------------------


def drop_class(folder: Path, label: int) -> None:
    for path in (folder / "images" / f"{label:03}.Bird").iterdir():
        path.unlink()
    (folder / "images" / f"{label:03}.Bird").rmdir()


def test_a_missing_class_folder_is_refused_in_one_sentence(tmp_path: Path) -> None:
    drop_class(write(tmp_path), 2)
    said = message(lambda: load(tmp_path))
    assert f"{tmp_path / 'CUB_200_2011'} holds 5 of the 8 images of CUB, of 3 classes" in said
    assert "missing: CUB_200_2011/images/002.Bird/Bird_0000.jpg" in said
    assert f"mmbench data fetch cub --data-root {tmp_path}" in said
    assert "--allow-partial" in said
    assert "\n" not in said
    assert message(lambda: Tiny().verify(tmp_path)) == said


def test_a_part_that_is_allowed_has_a_name_of_its_own_and_keeps_the_split(tmp_path: Path) -> None:
    drop_class(write(tmp_path), 2)
    data = load(tmp_path, allow_partial=True)
    assert (data.spec.name, data.spec.title) == ("cub_partial", "CUB (partial)")
    assert (len(data.train), len(data.test)) == (10, 40)


def test_a_list_of_fewer_images_is_a_part_too(tmp_path: Path) -> None:
    folder = write(tmp_path)
    lines = (folder / "images.txt").read_text().splitlines(keepends=True)
    (folder / "images.txt").write_text("".join(lines[:-1]))
    assert "holds 7 of the 8 images of CUB, of 4 classes; run" in message(lambda: load(tmp_path))
    assert load(tmp_path, allow_partial=True).spec.name == "cub_partial"


def test_a_whole_folder_keeps_its_name_where_a_part_were_allowed(tmp_path: Path) -> None:
    write(tmp_path)
    assert load(tmp_path, allow_partial=True).spec.name == "cub"


def test_the_command_line_names_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmbench.engine.hand.forecast", lambda *_: Forecast())  # a step on 64x64 images takes seconds
    write(tmp_path)
    command = ["run", "--dataset", "cub", "--dry-run"]
    for option in ("data-root", "runs", "results"):
        command += [f"--{option}", str(tmp_path if option == "data-root" else tmp_path / option)]
    assert isinstance(CliRunner().invoke(app, command).exception, DataError)
    assert "results/cub_partial/mld/paper-" in CliRunner().invoke(app, [*command, "--allow-partial"]).output


@pytest.mark.parametrize("labels", [(1, 2, 3), (1, 2, 3, 4)])
def test_a_part_of_one_class_or_none_is_refused(tmp_path: Path, labels: tuple[int, ...]) -> None:
    folder = write(tmp_path)
    for label in labels:
        drop_class(folder, label)
    assert "two classes or more" in message(lambda: load(tmp_path, allow_partial=True))


@pytest.mark.parametrize(
    ("present", "test", "expected"),
    [
        ([0, 1, 2, 3], {3}, {3}),
        ([0, 1, 2, 3], {9}, {3}),  # no test class: three quarters train
        ([0, 1, 2, 3], {0, 1, 2, 3}, {3}),  # no train class
        (range(20), {0, 1}, {0, 1}),  # a tenth will do
        (range(20), {0}, {15, 16, 17, 18, 19}),  # less will not
        ([4, 7], set(), {7}),
    ],
)
def test_which_classes_of_a_part_are_held_out(present: list[int], test: set[int], expected: set[int]) -> None:
    assert held_out(list(present), test) == expected


# --- damage --------------------------------------------------------------------------------------------------------


def test_all_damage_is_told_of_at_once(tmp_path: Path) -> None:
    folder = write(tmp_path)
    image = folder / "images" / "001.Bird" / "Bird_0000.jpg"
    image.write_bytes(image.read_bytes()[:700])
    (folder / "images" / "001.Bird" / "Bird_0001.jpg").write_bytes(b"")
    text = folder / "text_c10"
    (text / "002.Bird" / "Bird_0000.txt").write_text("")
    (text / "002.Bird" / "Bird_0001.txt").write_text("a bird\n" * 9)
    (text / "002.Bird" / "Bird_0002.txt").write_text("a bird\n" * 11)
    (text / "003.Bird" / "Bird_0000.txt").unlink()
    (text / "004.Bird" / "Bird_0000.txt").write_text("\n \n")
    said = message(lambda: load(tmp_path))
    assert f"CUB: 7 files under {tmp_path} cannot be used: " in said
    for named in (
        "CUB_200_2011/images/001.Bird/Bird_0000.jpg (no whole image)",
        "CUB_200_2011/images/001.Bird/Bird_0001.jpg (it is empty)",
        "CUB_200_2011/text_c10/002.Bird/Bird_0000.txt (0 captions, not 10)",
        "CUB_200_2011/text_c10/002.Bird/Bird_0001.txt (9 captions, not 10)",
        "CUB_200_2011/text_c10/002.Bird/Bird_0002.txt (11 captions, not 10) and 2 more; run `mmbench data fetch cub",
    ):
        assert named in said
    assert "\n" not in said
    assert message(lambda: Tiny().verify(tmp_path)) == said
    assert message(lambda: load(tmp_path, allow_partial=True)) == said


def test_one_damaged_file_is_one(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "text_c10" / "003.Bird" / "Bird_0000.txt").unlink()
    said = message(lambda: load(tmp_path))
    assert "CUB: 1 file under" in said
    assert "Bird_0000.txt (No such file or directory); run" in said


def test_latin_1_in_a_caption_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path)
    path = folder / "text_c10" / "003.Bird" / "Bird_0000.txt"
    path.write_bytes("\n".join(["a bird of Curaçao is red"] * 10).encode("latin-1"))
    data = load(tmp_path)
    texts = [data.spec.modality("caption").text(row) for row in data.train.items["caption"].tolist()]
    assert texts[-1] == "a bird of curacao is red ."


@pytest.mark.parametrize("label", ["0", "201", "one"])
def test_an_image_without_a_class_is_named(tmp_path: Path, label: str) -> None:
    folder = write(tmp_path)
    path = folder / "image_class_labels.txt"
    path.write_text(path.read_text().replace("4 2\n", f"4 {label}\n"))
    assert "gives no class of 1 to 200 to 1 of the images in images.txt, image 4 for one" in message(
        lambda: load(tmp_path)
    )


def test_no_folder_at_all(tmp_path: Path) -> None:
    said = message(lambda: load(tmp_path))
    assert said.startswith(f"CUB_200_2011/images.txt is missing under {tmp_path}; run `mmbench data fetch cub ")


def test_verify_counts(tmp_path: Path) -> None:
    write(tmp_path)
    assert Tiny().verify(tmp_path) == (
        f"CUB: 8 images of 4 classes with 10 captions each under {tmp_path / 'CUB_200_2011'} can be read."
    )


def test_a_part_can_be_verified(tmp_path: Path) -> None:
    write(tmp_path)
    command = ["data", "verify", "cub", "--data-root", str(tmp_path)]
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, DataError)
    assert "--allow-partial" in str(refused.exception)
    assert CliRunner().invoke(app, [*command, "--allow-partial"]).output.startswith("CUB: 8 images of 4 classes")


# --- fetching ------------------------------------------------------------------------------------------------------


def archive_of(folder: Path, prefix: str) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(folder, prefix)
    return content.getvalue()


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What the servers send for the file of a name."""
    import hashlib
    import shutil

    from mmbench.data import cub

    folder = write(tmp_path / "far")
    sent = {"cvpr2016_cub.tar.gz": archive_of(folder / "text_c10", "cvpr2016_cub/text_c10")}
    shutil.rmtree(folder / "text_c10")
    sent["CUB_200_2011.tgz"] = archive_of(folder, "CUB_200_2011")
    monkeypatch.setattr(cub, "MD5", hashlib.md5(sent["CUB_200_2011.tgz"]).hexdigest())

    def send(url: str, path: Path) -> None:
        path.write_bytes(sent[path.name.removesuffix(downloads.PART)])

    monkeypatch.setattr(downloads, "download", send)
    return sent


def test_what_is_fetched_is_unpacked_verified_and_complete(tmp_path: Path, far: dict[str, bytes]) -> None:
    root = tmp_path / "data"
    assert Tiny().fetch(root).startswith("CUB: 8 images of 4 classes")
    assert load(root).fingerprint == load(tmp_path_with(tmp_path)).fingerprint
    assert not list(root.rglob("*gz"))
    far.clear()  # a second fetch asks for nothing
    assert Tiny().fetch(root).startswith("CUB: 8 images")


def tmp_path_with(tmp_path: Path) -> Path:
    write(tmp_path / "same")
    return tmp_path / "same"


def test_a_damaged_archive_of_images_is_refused(tmp_path: Path, far: dict[str, bytes]) -> None:
    far["CUB_200_2011.tgz"] = far["CUB_200_2011.tgz"][:-9]
    assert "came damaged, or is another file: MD5 " in message(lambda: Tiny().fetch(tmp_path / "data"))
    assert not (tmp_path / "data" / "CUB_200_2011.tgz").exists()


@pytest.mark.parametrize("content", [b"<html>quota exceeded</html>", b""])
def test_a_page_instead_of_captions_says_what_to_put_where(
    tmp_path: Path, far: dict[str, bytes], content: bytes
) -> None:
    far["cvpr2016_cub.tar.gz"] = content
    said = message(lambda: Tiny().fetch(tmp_path / "data"))
    assert "get it with a browser from https://drive.google.com/file/d/" in said
    assert f"unpack its text_c10 to {tmp_path / 'data' / 'CUB_200_2011' / 'text_c10'}" in said


def test_captions_that_changed_at_their_home_are_refused(tmp_path: Path, far: dict[str, bytes]) -> None:
    root = tmp_path / "data"
    Tiny().fetch(root)
    (root / "CUB_200_2011" / "text_c10" / "001.Bird" / "Bird_0000.txt").unlink()
    whole = far["cvpr2016_cub.tar.gz"]
    far["cvpr2016_cub.tar.gz"] = whole + b"\0"
    assert "it is not the archive that " in message(lambda: Tiny().fetch(root))
    far["cvpr2016_cub.tar.gz"] = whole
    assert Tiny().fetch(root).startswith("CUB: 8 images")


# --- the real part -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    if not (data_root / "CUB_200_2011").is_dir():
        pytest.skip(f"{data_root} has no CUB_200_2011")
    source = Cub()
    source.allow_partial = True
    return source.load(data_root, tmp_path_factory.mktemp("cache"))


@pytest.mark.slow
def test_the_real_part(real: Dataset) -> None:
    if real.spec.name == "cub":
        assert (len(real.train), len(real.test)) == (88_550, 29_330)
    train, test = real.train, real.test
    assert train.labels is not None
    assert test.labels is not None
    assert not set(train.labels.tolist()) & set(test.labels.tolist())
    assert set(test.labels.tolist()) <= Cub.test_classes
    for split in (train, test):
        assert split.index[:, 0].bincount().unique().tolist() == [10]
        assert split.index[:, 1].bincount().unique().tolist() == [1]
    known = {image.numpy().tobytes() for image in train.items["image"]}
    assert not [k for k, image in enumerate(test.items["image"]) if image.numpy().tobytes() in known]


@pytest.mark.slow
def test_every_real_caption_decodes_to_its_words(real: Dataset, data_root: Path) -> None:
    known = real.spec.modality("caption").vocabulary
    records = [record for record in Cub().records(data_root) if record.image.is_file()]
    for split, held in ((real.train, False), (real.test, True)):
        own = [r for r in records if (r.label in Cub.test_classes) == held]
        lines = [line for record in own for line in captions.read_captions(record.captions)]
        assert len(lines) == len(split)
        for line, row in zip(lines, split.items["caption"].tolist(), strict=True):
            printed = [word if word in known else "<exc>" for word in captions.words(line)[:31]]
            assert [known[i] for i in row[: row.index(2)]] == printed
            assert set(row[row.index(2) + 1 :]) <= {1}


def test_the_real_part_is_refused_where_it_is_not_allowed(data_root: Path, tmp_path: Path) -> None:
    if not (data_root / "CUB_200_2011").is_dir():
        pytest.skip(f"{data_root} has no CUB_200_2011")
    if len(list((data_root / "CUB_200_2011" / "images").glob("*/*.jpg"))) == Cub.images:
        pytest.skip("the dataset is complete")
    assert " of the 11,788 images of CUB, of " in message(lambda: Cub().load(data_root, tmp_path))
