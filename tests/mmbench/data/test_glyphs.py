"""The embedded dataset: balanced, legible, the same bytes everywhere, and cached without trust."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import label
from torch import Tensor

from mmbench.data import glyph_bank, glyph_drawing, glyph_street, glyphs
from mmbench.data.cache import once
from mmbench.data.dataset import Dataset
from mmbench.data.glyph_bank import FONTS
from mmbench.data.glyph_pictures import GROUNDS, INKS, SHADE
from mmbench.data.glyph_street import LUMA, MIN_CONTRAST
from mmbench.data.glyphs import NAMES, SPEC, STREET, Glyphs, GlyphsStreet, draw
from mmbench.modality import DatasetSpec
from mmbench.seeding import generator
from mmbench.tensors import load_tensors, save_tensors


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return draw(train=1500, test=500)


@pytest.fixture(scope="module")
def street() -> Dataset:
    return draw(train=1500, test=500, spec=STREET)


def labels_of(dataset: Dataset, split: str) -> Tensor:
    labels = getattr(dataset, split).labels
    assert labels is not None
    return labels


@pytest.mark.parametrize(("name", "sign"), [("dataset", (3, 28, 28)), ("street", (3, 32, 32))])
def test_counts_shapes_and_ranges(request: pytest.FixtureRequest, name: str, sign: tuple[int, ...]) -> None:
    dataset: Dataset = request.getfixturevalue(name)
    for split, count in ((dataset.train, 1500), (dataset.test, 500)):
        assert len(split) == count
        assert split.items["pen"].shape == (count, 1, 28, 28)
        assert split.items["sign"].shape == (count, *sign)
        assert split.items["name"].shape == (10, 5)
        assert split.items["pen"].dtype == split.items["sign"].dtype == torch.uint8
        assert len(split.used("pen")) == len(split.used("sign")) == count


def test_labels_are_balanced(dataset: Dataset) -> None:
    assert labels_of(dataset, "train").bincount().tolist() == [150] * 10
    assert labels_of(dataset, "test").bincount().tolist() == [50] * 10


def test_names_spell_the_labels(dataset: Dataset) -> None:
    name = dataset.spec.modality("name")
    batch = dataset.test.gather(torch.arange(50), ["name"])["name"]
    assert batch.dtype == torch.int64
    spelt = [name.text(tokens) for tokens in batch.tolist()]
    assert spelt == [NAMES[label] for label in labels_of(dataset, "test")[:50].tolist()]
    assert name.classes == NAMES
    assert int(dataset.test.items["name"].max()) == len(name.vocabulary) - 1


def test_pens_are_white_on_black_and_centred(dataset: Dataset) -> None:
    pens = dataset.train.items["pen"][:, 0].numpy()
    assert np.median(pens) == 0
    assert pens.reshape(1500, -1).max(axis=1).min() > 150
    border = np.concatenate([pens[:, 0], pens[:, -1], pens[:, :, 0], pens[:, :, -1]], axis=1)
    assert (border.max(axis=1) > 100).mean() < 0.03
    mass = pens.sum(axis=(1, 2))
    for axis in (1, 2):
        centre = (pens.sum(axis=3 - axis) * np.arange(28)).sum(axis=1) / mass
        assert abs(centre.mean() - 13.5) < 0.7
        assert np.quantile(np.abs(centre - 13.5), 0.95) < 4


def test_signs_are_light_strokes_of_one_colour_on_another(dataset: Dataset) -> None:
    """Each pixel lies on the line from a ground's colour to an ink's, both within SHADE of the palette."""
    signs = dataset.train.items["sign"].double().numpy() / 255
    ground = np.median(signs.reshape(1500, 3, -1), axis=2)
    brightest = signs.sum(axis=1).reshape(1500, -1).argmax(axis=1)
    ink = signs.reshape(1500, 3, -1)[np.arange(1500), :, brightest]
    for seen, palette in ((ground, GROUNDS), (ink, INKS)):
        gap = np.abs(seen[:, None] - np.array(palette)).max(axis=2)
        assert (gap.min(axis=1) < SHADE + 0.05).mean() > 0.97
        assert (np.bincount(gap.argmin(axis=1)) > 1500 / len(palette) / 2).all()
    across = (signs - ground[..., None, None]).reshape(1500, 3, -1)
    line = ink - ground
    place = np.einsum("bcp,bc->bp", across, line) / (line**2).sum(axis=1, keepdims=True)
    assert np.abs(across - place[:, None] * line[..., None]).max() < 0.03  # ink above 1, by up to 0.03, is cut
    luma = np.array(LUMA)
    assert ((ink - ground) @ luma).min() > MIN_CONTRAST


def test_street_signs_are_coloured_and_keep_a_contrast(street: Dataset) -> None:
    ink, ground = glyph_street.colours(2000, generator(0, "test"))
    contrast = np.abs((ink - ground) @ np.array(LUMA))
    assert contrast.min() > MIN_CONTRAST - 1e-4
    assert contrast.max() > 0.6
    for colour in (ink, ground):
        assert colour.min() >= 0
        assert colour.max() <= 1
    signs = street.train.items["sign"].float()
    assert float(signs.std(dim=(2, 3)).mean(dim=1).min()) > 6
    assert float((signs.amax(dim=1) - signs.amin(dim=1)).mean()) > 5


@pytest.mark.parametrize(
    ("of", "name", "least"), [("dataset", "pen", 0.6), ("dataset", "sign", 0.6), ("street", "sign", 0.13)]
)
def test_classes_can_be_told_apart_by_their_means(
    request: pytest.FixtureRequest, of: str, name: str, least: float
) -> None:
    """Nearest class mean: far above the chance of 0.1 for strokes; colours and clutter hide the mean of a street's."""
    dataset: Dataset = request.getfixturevalue(of)
    x, t = (getattr(dataset, s).items[name].numpy().astype(float).mean(axis=1) for s in ("train", "test"))
    x, t = (_standardised(values.reshape(len(values), -1)) for values in (x, t))
    y = labels_of(dataset, "train").numpy()
    means = np.stack([x[y == c].mean(axis=0) for c in range(10)])
    guess = ((t[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (guess == labels_of(dataset, "test").numpy()).mean() > least


def _standardised(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(axis=1, keepdims=True)
    return np.abs(x / x.std(axis=1, keepdims=True))


def test_one_seed_gives_the_same_bytes_whatever_threads_and_global_state() -> None:
    first = draw(train=64, test=32)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        torch.manual_seed(7)
        again = draw(train=64, test=32)
    finally:
        torch.set_num_threads(threads)
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != draw(train=64, test=32, seed=1).fingerprint


def test_both_kinds_have_the_same_classes(dataset: Dataset, street: Dataset) -> None:
    assert torch.equal(labels_of(dataset, "train"), labels_of(street, "train"))
    assert torch.equal(dataset.train.items["pen"], street.train.items["pen"])
    assert (SPEC.names, SPEC.classes) == (STREET.names, STREET.classes)


def test_a_smaller_draw_is_the_beginning_of_a_larger_one(dataset: Dataset) -> None:
    few = draw(train=200, test=100)
    assert torch.equal(few.train.items["sign"], dataset.train.items["sign"][:200])


def test_no_test_picture_is_a_train_picture(dataset: Dataset) -> None:
    for name in ("pen", "sign"):
        pictures = torch.cat([dataset.train.items[name], dataset.test.items[name]]).flatten(1)
        assert len(torch.unique(pictures, dim=0)) == 2000


def test_drawing_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    draw(train=10, test=10)
    assert torch.equal(before, torch.get_rng_state())


def test_the_bank_has_every_digit_of_every_font() -> None:
    bank = glyph_bank.bank()
    assert len(bank.outline) == len(bank.centre) == 10 * len(FONTS)
    assert bool((bank.outline.min(axis=(1, 2)) < -1).all())
    height = (bank.outline < 0).any(axis=2).sum(axis=1)
    assert 40 <= height.min() <= height.max() <= 64
    assert bool((bank.centre.min(axis=(1, 2)) == 0).all())


def test_thinning_leaves_a_line_of_one_pixel_in_one_piece() -> None:
    bar = np.zeros((1, 30, 40), dtype=bool)
    bar[:, 10:19, 5:35] = True
    line = glyph_bank.thinned(bar)
    assert bool((line <= bar).all())
    assert line.sum(axis=1).max() == 1
    assert line.any(axis=1).sum() > 18


def test_centre_lines_hang_together() -> None:
    """But for the dot in the zeros of DejaVu Sans Mono, which shrinks away: a pen does not write it."""
    masks, _ = glyph_bank.rendered()
    before, after = map(_pieces, (masks, glyph_bank.thinned(masks)))
    dotted = [10 * k for k, font in enumerate(FONTS) if "Mono" in font]
    assert np.flatnonzero(before != after).tolist() == dotted
    assert set(after) == {1}


def _pieces(masks: np.ndarray) -> np.ndarray:
    """How many connected pieces each shape (G, H, W) has, diagonal steps counting as connected."""
    near = np.zeros((3, 3, 3), dtype=bool)
    near[1] = True
    marked = np.asarray(label(masks, near)[0])  # type: ignore[index]
    return np.array([len(np.unique(m)) - 1 for m in marked])


def test_a_distance_becomes_a_soft_edge() -> None:
    coverage = glyph_drawing.ink_of(np.array([-2.0, -0.5, 0.0, 0.5, 2.0]), soft=np.array(1.0))
    assert coverage.tolist() == [1, 1, 0.5, 0, 0]


def test_quarter_turns_are_rotations() -> None:
    cosine, sine = glyph_street._upright(np.full(200, 0.1), generator(0, "test"))
    np.testing.assert_allclose(cosine**2 + sine**2, 1)
    angles = np.unique(np.round(np.degrees(np.arctan2(sine, cosine) - 2 * np.arctan(0.1))) % 360)
    assert angles.tolist() == [0, 90, 180, 270]


@pytest.fixture
def few_tuples(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Makes `load` draw 40 and 20 tuples; the list grows by one for each drawing."""
    calls: list[int] = []
    drawing = glyphs._draw_images

    def counted(train: int, test: int, seed: int, spec: DatasetSpec) -> dict[str, Tensor]:
        calls.append(train)
        return drawing(train, test, seed, spec)

    assert glyphs.COUNTS == (20_000, 5_000)
    monkeypatch.setattr(glyphs, "COUNTS", (40, 20))
    monkeypatch.setattr(glyphs, "_draw_images", counted)
    return calls


def test_the_cache_gives_back_what_was_drawn(tmp_path: Path, few_tuples: list[int]) -> None:
    first = Glyphs().load(tmp_path, tmp_path / "cache")
    again = Glyphs().load(tmp_path, tmp_path / "cache")
    assert few_tuples == [40]
    assert first.fingerprint == again.fingerprint
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert GlyphsStreet().load(tmp_path, tmp_path / "cache").fingerprint != first.fingerprint
    assert few_tuples == [40, 40]
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied", "another's", "less", "pipe"])
def test_a_damaged_cache_is_drawn_anew(tmp_path: Path, few_tuples: list[int], damage: str) -> None:
    first = Glyphs().load(tmp_path, tmp_path)
    (path,) = tmp_path.glob("glyphs-*.safetensors")
    source, said = Glyphs(), []
    source.say = said.append
    if damage in ("another's", "less", "pipe"):
        tensors, words = load_tensors(path)
        path.unlink()
        if damage == "pipe":
            os.mkfifo(path)
        elif damage == "less":
            save_tensors(path, tensors | {"train.pen": tensors["train.pen"][:-1]}, words)
        else:
            once(path.with_name("other.safetensors"), lambda: (tensors, {}), print)
            path.with_name("other.safetensors").rename(path)
        assert source.load(tmp_path, tmp_path).fingerprint == first.fingerprint
        assert len(few_tuples) == 2
        assert f"set aside as {path.name}.damaged-1" in said[0]
        return
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "emptied":
        content = bytearray()
    else:
        content[-100] ^= 1
    path.write_bytes(content)
    assert Glyphs().load(tmp_path, tmp_path).fingerprint == first.fingerprint
    assert len(few_tuples) == 2
    assert Glyphs().load(tmp_path, tmp_path).fingerprint == first.fingerprint
    assert len(few_tuples) == 2


def test_an_unwritable_cache_costs_only_time(tmp_path: Path, few_tuples: list[int]) -> None:
    (tmp_path / "file").touch()
    assert len(Glyphs().load(tmp_path, tmp_path / "file").train) == 40


def test_nothing_is_downloaded(tmp_path: Path) -> None:
    assert "nothing to fetch" in Glyphs().fetch(tmp_path)
    assert "nothing to verify" in Glyphs().verify(tmp_path)
