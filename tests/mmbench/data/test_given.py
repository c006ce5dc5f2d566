"""Image files that users give, made here: damaged, huge, transparent, turned, with 16 bits."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmbench.data.captions import read_captions
from mmbench.data.given import given_image, parse_given
from mmbench.data.records import CAPTIONS, Record, read_records
from mmbench.errors import DataError
from mmbench.modality import DatasetSpec, Modality

PEN = Modality(name="pen", shape=(1, 8, 8), network="mnist_mlp", latent=4)
SIGN = Modality(name="sign", shape=(3, 8, 8), network="svhn_conv", latent=4)


def declare(path: Path, width: int, height: int) -> Path:
    """A PNG that declares these sizes and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0" * 100)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


def damaged(folder: Path) -> dict[str, Path]:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for name in ("whole.png", "whole.jpg", "whole.gif"):
        Image.fromarray(noise).save(folder / name)
    found = {}
    for name in ("whole.png", "whole.jpg", "whole.gif"):
        cut = folder / f"cut-{name}"
        content = (folder / name).read_bytes()
        cut.write_bytes(content[: len(content) // 3])
        found[cut.name] = cut
    for name, content in {"empty.png": b"", "text.png": b"not an image", "head.png": b"\x89PNG\r\n\x1a\n"}.items():
        (folder / name).write_bytes(content)
        found[name] = folder / name
    found["60000.png"] = declare(folder / "60000.png", 60_000, 60_000)
    found["10000.png"] = declare(folder / "10000.png", 10_000, 10_000)  # which Pillow only warns of
    return found


@pytest.mark.parametrize("modality", [PEN, SIGN], ids=lambda m: m.name)
def test_a_damaged_or_huge_image_is_one_sentence_that_names_the_file(tmp_path: Path, modality: Modality) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, path in damaged(tmp_path).items():
            with pytest.raises(DataError) as caught:
                given_image(modality, path)
            said = str(caught.value)
            assert str(path) in said
            assert "\n" not in said
            assert ("89,478,485 pixels" in said) == name.startswith(("6", "1")), said
    with pytest.raises(DataError, match="No such file"):
        given_image(modality, tmp_path / "nowhere.png")
    with pytest.raises(DataError, match="it is a folder"):
        given_image(modality, tmp_path)


def test_a_folder_of_photographs_tells_of_all_damage_at_once(tmp_path: Path) -> None:
    captions = tmp_path / "captions.txt"
    captions.write_text("a bird\n" * CAPTIONS)
    assert len(read_captions(captions)) == CAPTIONS
    files = damaged(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, _, damage = read_records([Record(path, captions, 0) for path in files.values()])
    assert [fault.path.name for fault in damage] == list(files)
    assert damage[-1].line(tmp_path) == "10000.png (it declares more than 89,478,485 pixels)"
    assert damage[0].line(tmp_path) == "cut-whole.png (no whole image)"


def inked(ink: int, alpha: int = 0) -> Image.Image:
    """Ink of one brightness on the left half, the right half transparent."""
    pixels = np.full((8, 8, 4), ink, dtype=np.uint8)
    pixels[:, :, 3] = 255
    pixels[:, 4:] = (77, 77, 77, alpha)
    return Image.fromarray(pixels)


def test_transparent_parts_lie_on_black_for_one_channel_and_on_white_for_three(tmp_path: Path) -> None:
    inked(255).save(tmp_path / "white.png")
    inked(0).save(tmp_path / "black.png")
    pen = given_image(PEN, tmp_path / "white.png")[0].numpy()
    assert (pen[:, :4] == 1).all()
    assert (pen[:, 4:] == 0).all()
    sign = given_image(SIGN, tmp_path / "black.png").numpy()
    assert (sign[:, :, :4] == 0).all()
    assert (sign[:, :, 4:] == 1).all()


def test_ink_that_its_ground_hides_is_refused(tmp_path: Path) -> None:
    for name, modality, ink in (("black", PEN, 0), ("white", SIGN, 255)):
        inked(ink).save(tmp_path / "hidden.png")
        with pytest.raises(DataError, match=f"nothing of it is seen on {name}, on which transparent"):
            given_image(modality, tmp_path / "hidden.png")


def test_half_transparent_is_half_of_the_ground(tmp_path: Path) -> None:
    inked(255, alpha=128).save(tmp_path / "half.png")
    right = given_image(PEN, tmp_path / "half.png")[0, :, 4:].numpy() * 255
    assert np.abs(right - 77 * 128 / 255).max() <= 1


@pytest.mark.parametrize("form", ["palette.png", "palette.gif", "grey.png"])
def test_transparency_of_every_kind_counts(tmp_path: Path, form: str) -> None:
    indices = np.zeros((8, 8), dtype=np.uint8)
    indices[:, 4:] = 1
    if form.startswith("grey"):
        image, clear = Image.fromarray(np.where(indices, 200, 255).astype(np.uint8)), 200
    else:
        image, clear = Image.fromarray(indices).convert("P"), 1
        image.putpalette([255, 255, 255, 200, 200, 200])
    image.save(tmp_path / form, transparency=clear)
    pen = given_image(PEN, tmp_path / form)[0].numpy()
    assert (pen[:, :4] == 1).all()
    assert (pen[:, 4:] == 0).all()


def test_a_photograph_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8), dtype=np.uint8)
    pixels[:4] = 255  # the upper half is bright
    exif = Image.Exif()
    exif[0x0112] = 3  # turn by 180 degrees
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(given_image(PEN, tmp_path / "turned.png")[0].numpy() * 255, pixels[::-1])


@pytest.mark.parametrize("form", ["png", "tif", "pgm"])
def test_16_bits_are_scaled(tmp_path: Path, form: str) -> None:
    ramp = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(8, 8)
    path = tmp_path / f"ramp.{form}"
    if form == "pgm":
        path.write_bytes(b"P5 8 8 65535\n" + ramp.astype(">u2").tobytes())
    else:
        Image.fromarray(ramp).save(path)
    assert np.abs(given_image(PEN, path)[0].numpy() - ramp / 65535).max() <= 0.5 / 255 + 1e-6


def test_floats_in_0_to_1_are_brightness_and_others_are_refused(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "ramp.tif")
    assert np.abs(given_image(PEN, tmp_path / "ramp.tif")[0].numpy() - ramp).max() <= 0.5 / 255 + 1e-6
    Image.fromarray(ramp * 1000).save(tmp_path / "far.tif")
    with pytest.raises(DataError, match="do not lie in 0 to 1"):
        given_image(PEN, tmp_path / "far.tif")


@pytest.mark.parametrize("modality", [PEN, SIGN], ids=lambda m: m.name)
def test_an_ordinary_image_is_what_pillow_makes_of_it(tmp_path: Path, modality: Modality) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (21, 13, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    mode = "L" if modality is PEN else "RGB"
    expected = np.asarray(Image.fromarray(noise).convert(mode).resize((8, 8), Image.Resampling.BILINEAR))
    found = given_image(modality, tmp_path / "noise.png").numpy().transpose(1, 2, 0)
    assert np.array_equal(np.squeeze(found * 255), expected)


def test_home_in_a_given_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.fromarray(np.full((8, 8), 255, dtype=np.uint8)).save(tmp_path / "x.png")
    spec = DatasetSpec(name="own", title="Own", modalities=(PEN, SIGN))
    assert parse_given(spec, ["pen=~/x.png"])["pen"].shape == (1, 1, 8, 8)
