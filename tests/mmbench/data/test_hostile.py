"""Whatever is in a user's file: the right value, or one sentence that names it; and the file is as it was."""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from mmbench.data.captions import read_captions, tokens, vocabulary, words
from mmbench.data.given import given_image
from mmbench.data.records import Record, read_records
from mmbench.data.texts import read_table
from mmbench.errors import DataError
from mmbench.modality import Modality

from ..hostile import Picture, Text, broken_images, broken_texts, pictures, tables, texts


def file_of(content: bytes, act: Callable[[Path], Any]) -> tuple[Any, str]:
    """What `act` returns for a file, and the one sentence that it raises instead; the folder stays as it was."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        path = Path(folder) / "given"
        path.write_bytes(content)
        try:
            value, said = act(path), ""
        except DataError as error:
            value, said = None, str(error).replace(folder, "")
        assert path.read_bytes() == content
        assert list(Path(folder).iterdir()) == [path]
    assert "\n" not in said
    return value, said


def image(channels: int, height: int, width: int) -> Modality:
    return Modality(name="m", shape=(channels, height, width), network="svhn_conv", latent=2)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_whole_image_is_read_as_it_is_seen(channels: int) -> None:
    @given(pictures())
    def check(picture: Picture) -> None:
        modality = image(channels, *picture.opacity.shape)
        value, said = file_of(picture.content, lambda path: given_image(modality, path))
        seen = picture.on(0 if channels == 1 else 255)
        expected = (seen @ [0.299, 0.587, 0.114])[None] if channels == 1 else seen.transpose(2, 0, 1)
        if said:
            assert "/given cannot be used (nothing of it is seen on" in said
            assert picture.opacity.min() < 1
            assert np.ptp(expected, axis=(1, 2)).max() < 34
        else:
            assert np.abs(value.numpy() * 255 - expected).max() <= 2.5

    check()


@given(broken_images())
def test_a_broken_image_is_an_image_or_one_sentence(content: bytes) -> None:
    value, said = file_of(content, lambda path: given_image(image(3, 8, 8), path))
    if said:
        assert said.startswith("/given cannot be used (")
        assert said.endswith("): give m another image file")
    else:
        assert value.shape == (3, 8, 8)
        assert 0 <= value.min() <= value.max() <= 1


@given(texts())
def test_a_whole_text_is_read_in_every_script_and_encoding(text: Text) -> None:
    value, said = file_of(text.content, read_captions)
    if said:
        assert said.endswith("holds no word, and no other line does")
        assert not text.has_letters
    else:
        assert value == list(text.lines)
        assert bool(text.lines) == text.has_letters
        for line in value:
            assert words(line) != ["."] or not any(char.isalpha() for char in line)
        assert tokens(value, vocabulary(value * 4)).shape == (len(value), 32)


@given(broken_texts())
def test_a_broken_text_is_a_text_or_one_reason(content: bytes) -> None:
    value, said = file_of(content, lambda path: read_records([Record(path, path, 0)])[2])
    assert not said
    assert [(fault.kind, bool(fault.reason)) for fault in value][0] == ("image", True)  # noqa: RUF015


@given(tables())
def test_a_list_is_read_or_its_repeated_line_named(table: tuple[bytes, list[tuple[str, str]]]) -> None:
    content, rows = table
    value, said = file_of(content, read_table)
    repeated = [key for key, count in Counter(key for key, _ in rows).items() if count > 1]
    if repeated:
        assert "/given, line " in said
        assert any(f"{key!r} stands in line" in said for key in repeated)
    else:
        assert {key: name for key, (_, name) in value.items()} == dict(rows)
