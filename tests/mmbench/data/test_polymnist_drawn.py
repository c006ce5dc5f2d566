"""PolyMNIST's construction, on digits and photographs that the test makes: each claim is checked pixel by pixel."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmbench.data import polymnist_drawn
from mmbench.data.dataset import Dataset
from mmbench.data.idx import IdxFiles
from mmbench.data.polymnist_drawn import PolymnistDrawn, draw_views, inverted, patches
from mmbench.errors import DataError

COUNTS = {"train": 60, "t10k": 20}


def idx_bytes(values: np.ndarray) -> bytes:
    extents = b"".join(n.to_bytes(4, "big") for n in values.shape)
    return bytes([0, 0, 8, values.ndim]) + extents + values.astype(np.uint8).tobytes()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with 60 + 20 digits of random pixels, each of its own, and six photographs, the last one unused."""
    draws, files = np.random.default_rng(0), {}
    for split, count in COUNTS.items():
        files[f"{split}-images-idx3-ubyte"] = idx_bytes(draws.integers(0, 256, (count, 28, 28)))
        files[f"{split}-labels-idx1-ubyte"] = idx_bytes(draws.permutation(count) % 10)
    (tmp_path / "MNIST/raw").mkdir(parents=True)
    for name, content in files.items():
        (tmp_path / "MNIST/raw" / name).write_bytes(content)
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(polymnist_drawn, "MNIST", IdxFiles(name="MNIST", md5=md5))
    (tmp_path / "polymnist-backgrounds").mkdir()
    for k in range(6):
        pixels = draws.integers(0, 256, (40, 33, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"polymnist-backgrounds/{k}.png")
    return tmp_path


def load(root: Path, views: int | None = None, cache: str = "cache") -> Dataset:
    source = PolymnistDrawn()
    source.views = views
    return source.load(root, root / cache)


def photograph(root: Path, k: int) -> np.ndarray:
    return np.asarray(Image.open(root / f"polymnist-backgrounds/{k}.png")).transpose(2, 0, 1)


def digits(root: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    images = np.frombuffer((root / f"MNIST/raw/{prefix}-images-idx3-ubyte").read_bytes()[16:], np.uint8)
    labels = np.frombuffer((root / f"MNIST/raw/{prefix}-labels-idx1-ubyte").read_bytes()[8:], np.uint8)
    return images.reshape(-1, 28, 28), labels


def places(root: Path, k: int, image: np.ndarray, digit: np.ndarray) -> list[tuple[int, int]]:
    """Where in a view's photograph an image can come from, if it shows this digit: (top, left)."""
    ground = np.where((digit > 128)[None], 255 - image, image)
    windows = np.lib.stride_tricks.sliding_window_view(photograph(root, k), (3, 28, 28))[0]
    return [(int(top), int(left)) for top, left in np.argwhere((windows == ground).all((2, 3, 4)))]


def test_every_image_is_a_patch_with_one_digit_inverted(root: Path) -> None:
    """Each digit of the split stands once in every view, on a patch that lies within that view's photograph."""
    data = load(root)
    for split, prefix in ((data.train, "train"), (data.test, "t10k")):
        originals, classes = digits(root, prefix)
        assert split.labels is not None
        for k in range(5):
            images, shown = split.items[f"m{k}"].numpy(), []
            assert images.shape == (len(originals), 3, 28, 28)
            assert images.dtype == np.uint8
            for image, label in zip(images, split.labels.tolist(), strict=True):
                own = [j for j, digit in enumerate(originals) if places(root, k, image, digit)]
                assert len(own) == 1
                assert classes[own[0]] == label
                shown += own
            assert sorted(shown) == list(range(len(originals)))


def test_the_threshold_is_above_128_and_the_colours_become_one_minus_c() -> None:
    digit = torch.zeros(1, 28, 28, dtype=torch.uint8)
    digit[0, 0, :4] = torch.tensor([127, 128, 129, 255], dtype=torch.uint8)
    ground = torch.full((3, 28, 28), 0, dtype=torch.uint8)
    ground[0], ground[1], ground[2] = 10, 200, 255
    (view,), labels = draw_views(digit, torch.tensor([7]), [ground], seed=0)
    assert labels.tolist() == [7]
    assert view[0, :, 0, :5].tolist() == [[10, 10, 245, 245, 10], [200, 200, 55, 55, 200], [255, 255, 0, 0, 255]]
    assert torch.equal(view[0, :, 1:], ground[:, 1:])


def test_inversion_in_unit_range_is_one_minus_c() -> None:
    images = torch.arange(256, dtype=torch.uint8).repeat(10)[: 784 * 3].reshape(1, 3, 28, 28)
    made = inverted(images, torch.ones(1, 28, 28, dtype=torch.bool))
    assert torch.allclose(made.double() / 255, 1 - images.double() / 255, atol=1e-12)


def test_patches_reach_every_edge_and_no_further() -> None:
    """A photograph whose pixels say where they are: all 6 x 3 places come, equally often, and no others."""
    place = torch.arange(33 * 30, dtype=torch.int64).reshape(33, 30)
    picture = torch.stack([place % 256, place // 256, torch.zeros_like(place)]).to(torch.uint8)
    made = patches(picture, 9000, torch.Generator().manual_seed(1)).long()
    corner = made[:, 0, 0, 0] + 256 * made[:, 1, 0, 0]
    top, left = corner // 30, corner % 30
    assert sorted(set(zip(top.tolist(), left.tolist(), strict=True))) == [(t, x) for t in range(6) for x in range(3)]
    counts = torch.bincount(top * 3 + left).double()
    assert float(((counts - 500).square() / 500).sum()) < 33.4  # chi-squared of 17 degrees of freedom, p = 0.01
    last = made[:, 0, -1, -1] + 256 * made[:, 1, -1, -1]
    assert torch.equal(last, (top + 27) * 30 + left + 27)


def test_views_of_a_tuple_share_their_class_and_nothing_else() -> None:
    """Of 2,000 digits of one class: which digit one view shows says nothing of what the other shows, nor of the
    patch."""
    count = 2000
    own = torch.zeros(count, 28, 28, dtype=torch.uint8)
    bits = (torch.arange(count)[:, None] >> torch.arange(11)) & 1
    own[:, 0, :11] = 255 * bits.to(torch.uint8)  # the digit's number in its first row
    grounds = [torch.zeros(3, 60, 60, dtype=torch.uint8) for _ in range(2)]
    for ground in grounds:
        ground[1] = torch.arange(60, dtype=torch.uint8)[:, None]
        ground[2] = torch.arange(60, dtype=torch.uint8)
    views, _ = draw_views(own, torch.zeros(count), grounds, seed=3)
    numbers = [((view[:, 0, 0, :11] == 255).long() << torch.arange(11)).sum(1).double() for view in views]
    tops = [view[:, 1, -1, -1].double() for view in views]
    lefts = [view[:, 2, -1, -1].double() for view in views]
    assert all(sorted(n.long().tolist()) == list(range(count)) for n in numbers)
    assert int((numbers[0] == numbers[1]).sum()) < 10  # one in expectation
    found = torch.corrcoef(torch.stack([*numbers, *tops, *lefts]))
    assert float((found - torch.eye(6)).abs().max()) < 4 / count**0.5


def test_a_seed_gives_the_same_bytes_and_another_one_others(root: Path) -> None:
    first, again = load(root, cache="a"), load(root, cache="b")
    assert first.fingerprint == again.fingerprint
    for one, other in ((first.train, again.train), (first.test, again.test)):
        for name, images in one.items.items():
            assert images.numpy().tobytes() == other.items[name].numpy().tobytes()
    images, labels = (torch.from_numpy(each.copy()) for each in digits(root, "train"))
    ground = [torch.from_numpy(photograph(root, k).copy()) for k in range(2)]
    (one, other), _ = draw_views(images, labels, ground, 0)
    (same, _), _ = draw_views(images, labels, ground, 0)
    (new, _), _ = draw_views(images, labels, ground, 1)
    assert torch.equal(one, same)
    assert not torch.equal(one, new)
    assert not torch.equal(one, other)


def test_the_cache_is_one_file_and_is_used(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load(root).fingerprint
    (file,) = (root / "cache").iterdir()
    assert file.suffix == ".safetensors"
    monkeypatch.setattr(polymnist_drawn, "draw_views", None)
    assert load(root).fingerprint == before


def test_other_photographs_are_other_data(root: Path) -> None:
    before = load(root).fingerprint
    (root / "polymnist-backgrounds/0.png").write_bytes((root / "polymnist-backgrounds/5.png").read_bytes())
    assert load(root).fingerprint != before


def test_fewer_views_are_the_first_ones_under_another_name(root: Path) -> None:
    whole, three = load(root), load(root, 3)
    assert (whole.spec.name, three.spec.name) == ("polymnist_drawn", "polymnist_drawn_3")
    assert three.spec.names == ("m0", "m1", "m2")
    assert all(torch.equal(three.train.items[name], whole.train.items[name]) for name in three.spec.names)
    assert load(root, 5).fingerprint == whole.fingerprint != three.fingerprint


def test_too_few_photographs(root: Path) -> None:
    for k in (0, 1):
        (root / f"polymnist-backgrounds/{k}.png").unlink()
    with pytest.raises(DataError, match=r"needs 5 photographs in .*polymnist-backgrounds, and 4 are there"):
        load(root)
    with pytest.raises(DataError, match="needs 5 photographs"):
        PolymnistDrawn().fetch(root)


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_a_damaged_photograph_is_named(root: Path, content: bytes) -> None:
    (root / "polymnist-backgrounds/2.png").write_bytes(content)
    with pytest.raises(DataError, match=r"2\.png cannot be used"):
        load(root)


def test_a_small_photograph_is_named(root: Path) -> None:
    Image.new("RGB", (27, 50)).save(root / "polymnist-backgrounds/3.png")
    with pytest.raises(DataError, match=r"3\.png has 27 x 50 pixels"):
        load(root)


def test_verify_names_the_photographs(root: Path) -> None:
    said = PolymnistDrawn().verify(root)
    assert "4 files of MNIST" in said
    assert "0.png, 1.png, 2.png, 3.png, 4.png." in said
