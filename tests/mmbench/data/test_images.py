"""What a photograph has beside its pixels, and files that are no single image; against rules of their own."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmbench.data.images import read_image
from mmbench.errors import DataError

from ..hostile import GREY, exif, linear_profile, png, upright

RAMP = np.arange(0, 240, 5, dtype=np.uint8).reshape(4, 4, 3)
STEPS = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40


def refused(path: Path, shape: tuple[int, ...] = (3, 4, 4)) -> str:
    with pytest.raises(DataError) as caught:
        read_image(path, shape)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("orientation", range(9))
@pytest.mark.parametrize("form", ["png", "tif", "jpg", "webp"])
def test_every_orientation_of_every_format(tmp_path: Path, form: str, orientation: int) -> None:
    path = tmp_path / f"a.{form}"
    more = {"jpg": {"quality": 100}, "webp": {"lossless": True}}.get(form, {})
    Image.fromarray(STEPS).save(path, exif=b"Exif\0\0" + exif(orientation), **more)
    seen = upright(STEPS, orientation)
    assert np.abs(read_image(path, (1, *seen.shape))[0].numpy().astype(int) - seen).max() <= 3


def test_a_damaged_record_of_the_camera_leaves_the_pixels(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\0\0\xff\xff\xff\xff")
    assert np.array_equal(read_image(tmp_path / "a.png", (3, 4, 4)).numpy().transpose(1, 2, 0), RAMP)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_colour_profile_is_heeded(tmp_path: Path, mode: str) -> None:
    """IEC 61966-2-1: a share v of the light is 1.055 v^(1/2.4) - 0.055."""
    image = Image.fromarray(RAMP).convert(mode)
    image.save(tmp_path / "a.png", icc_profile=linear_profile())
    light = RAMP / 255
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    found = read_image(tmp_path / "a.png", (3, 4, 4)).numpy().transpose(1, 2, 0)
    assert np.abs(found - expected).max() <= 2
    assert np.abs(found.astype(int) - RAMP).max() > 40


@pytest.mark.parametrize("profile", [b"no profile", linear_profile()[:200], b""])
def test_a_profile_that_says_nothing_is_left_out(tmp_path: Path, profile: bytes) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.png", icc_profile=profile)
    assert np.array_equal(read_image(tmp_path / "a.png", (3, 4, 4)).numpy().transpose(1, 2, 0), RAMP)


def test_inks_of_a_printer(tmp_path: Path) -> None:
    """No ink is white, all of the black is black; cyan holds back red alone."""
    inks = np.zeros((1, 3, 4), dtype=np.uint8)
    inks[0, 1, 3] = inks[0, 2, 0] = 255
    Image.fromarray(inks, "CMYK").save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif", (3, 1, 3))[:, 0].T.tolist() == [[255] * 3, [0] * 3, [0, 255, 255]]


@pytest.mark.parametrize("form", ["gif", "png", "webp", "tif"])
def test_several_pictures_are_refused(tmp_path: Path, form: str) -> None:
    first, *others = (Image.fromarray(np.roll(RAMP, k)) for k in range(3))
    first.save(tmp_path / f"a.{form}", save_all=True, append_images=others)
    assert refused(tmp_path / f"a.{form}") == "it holds 3 pictures, save the one that is meant"


def test_the_first_picture_of_a_phone_is_the_photograph(tmp_path: Path) -> None:
    grey = [Image.new("RGB", (8, 8), (k, k, k)) for k in (50, 200)]
    grey[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=grey[1:])
    assert read_image(tmp_path / "a.jpg", (1, 1, 1)).item() == 50


@pytest.mark.parametrize("kind", [np.int32, np.uint32])
def test_integers_whose_white_nobody_knows_are_refused(tmp_path: Path, kind: type) -> None:
    Image.fromarray(np.full((4, 4), 200, dtype=kind)).save(tmp_path / "a.tif")
    assert "integers of 32 bits" in refused(tmp_path / "a.tif")


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_every_depth(tmp_path: Path, depth: int) -> None:
    white = 2**depth - 1
    (tmp_path / "a.png").write_bytes(png(np.array([[[white], [0]]]), depth, GREY, key=(0,)))
    assert read_image(tmp_path / "a.png", (1, 1, 2)).tolist() == [[[255, 0]]]
    (tmp_path / "a.png").write_bytes(png(np.array([[[white], [0]]]), depth, GREY, key=(white,)))
    assert read_image(tmp_path / "a.png", (3, 1, 2))[0].tolist() == [[255, 0]]
    assert "nothing of it is seen on black" in refused(tmp_path / "a.png", (1, 1, 2))


def test_ink_of_nearly_the_grounds_colour_is_refused(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 4), dtype=np.uint8)
    pixels[1:3, 1:3] = (8, 9, 10, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert "nothing of it is seen on black" in refused(tmp_path / "a.png", (1, 4, 4))
    assert read_image(tmp_path / "a.png", (3, 4, 4)).max() == 255


@pytest.mark.timeout(20)
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == refused(Path("/dev/zero")) == "it is a pipe or a device, no file"
    assert refused(tmp_path) == "it is a folder"
    assert refused(tmp_path / "nothing") == "No such file or directory"
    assert "null" in refused(tmp_path / "a\0b")
    (tmp_path / "loop").symlink_to("loop")
    assert "symbolic links" in refused(tmp_path / "loop")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    Image.fromarray(RAMP).save(tmp_path / "a.png")
    monkeypatch.setattr(Path, "open", deny)
    assert refused(tmp_path / "a.png") == "Permission denied"


@pytest.mark.parametrize("form", ["avif", "png", "webp", "jpg", "tif"])
def test_a_file_cut_anywhere_is_one_reason(tmp_path: Path, form: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / f"a.{form}")
    whole = (tmp_path / f"a.{form}").read_bytes()
    for count in range(0, len(whole) * 9 // 10, max(1, len(whole) // 40)):
        (tmp_path / f"a.{form}").write_bytes(whole[:count])
        assert refused(tmp_path / f"a.{form}")


def test_formats_that_start_another_program_are_not_read(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.eps")
    assert refused(tmp_path / "a.eps").startswith("no image, or damaged")


@pytest.mark.parametrize("shape", [(2, 4, 4), (4, 4, 4), (7,)])
def test_a_modality_that_no_image_fits(tmp_path: Path, shape: tuple[int, ...]) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    assert "gives 1 channel or 3" in refused(tmp_path / "a.png", shape)


def test_many_threads_read_at_once(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    found: list[bool] = []
    act = lambda: found.append(bool((RAMP.swapaxes(0, 1) == read_image(tmp_path / "a.png", (3, 4, 4)).numpy().T).all()))  # noqa: E731
    threads = [threading.Thread(target=act) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 20
