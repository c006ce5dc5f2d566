"""Text files that people give: every encoding and line end, or one sentence with the line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmbench.data.captions import read_captions
from mmbench.data.cub import Cub
from mmbench.data.records import Record, read_records
from mmbench.data.texts import read_table
from mmbench.errors import DataError

TEXT = "a café bird\r\n\r\n \t\nred, the second"
LINES = ["a café bird", "red, the second"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252"])
def test_every_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    for text in (TEXT, TEXT.replace("\r\n", "\n"), TEXT.replace("\r\n", "\r")):
        path.write_bytes(text.encode(encoding))
        assert read_captions(path) == LINES


def test_the_marks_of_big_endian_texts(tmp_path: Path) -> None:
    for mark, encoding in ((b"\xfe\xff", "utf-16-be"), (b"\0\0\xfe\xff", "utf-32-be")):
        (tmp_path / "a.txt").write_bytes(mark + TEXT.encode(encoding))
        assert read_captions(tmp_path / "a.txt") == LINES


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("птица\nкрасная\n".encode() + b"\xff", "line 3 is neither UTF-8 nor Latin-1, save it as UTF-8"),
        ("a bird\nптица красная\n".encode("koi8-r"), "line 2 is neither UTF-8 nor Latin-1"),
        ("赤い鳥".encode("shift-jis"), "line 1 is neither UTF-8 nor Latin-1"),
        ("a bird\nred\n".encode("utf-16-le"), "line 1 holds the control character '\\x00'"),
        (b"a bird\r\nred\x1b\n", "line 2 holds the control character '\\x1b'"),
        (b"\xff\xfea", "it is damaged UTF-16-LE"),
        (b"...\n---\n", "line 1 holds no word, and no other line does"),
    ],
)
def test_what_is_no_text_is_one_reason_with_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_captions(path)
    assert str(caught.value).startswith(said)


def test_a_line_without_a_word_is_a_caption_among_others(tmp_path: Path) -> None:
    """Thirteen captions of the flowers are '{}'."""
    (tmp_path / "a.txt").write_text("{}\na flower\n")
    assert read_captions(tmp_path / "a.txt") == ["{}", "a flower"]


def test_a_pipe_a_folder_and_nothing_are_told_of_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    names = ("pipe", "folder", "nothing", "n" * 300)
    faults = read_records([Record(tmp_path / name, tmp_path / name, 0) for name in names])[2]
    reasons = ["a pipe or a device, no file", "it is a folder", "No such file or directory", "File name too long"]
    for k, reason in enumerate(reasons):
        assert all(fault.reason.endswith(reason) for fault in faults[2 * k : 2 * k + 2])


LISTED = "1 001.Bird/A b.jpg\n2\t001.Bird/B.jpg\r\n\r\n3  002.Bird/é.jpg\n"
LABELS = "1 1\n2 1\n3 2\n"


def records(root: Path, listed: bytes, labels: bytes = LABELS.encode()) -> list[tuple[str, int]]:
    folder = root / "CUB_200_2011"
    folder.mkdir(exist_ok=True)
    (folder / "images.txt").write_bytes(listed)
    (folder / "image_class_labels.txt").write_bytes(labels)
    return [(str(record.image.relative_to(folder / "images")), record.label) for record in Cub().records(root)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_list_is_read_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    found = records(tmp_path, LISTED.encode(encoding), LABELS.replace(" ", "\t").encode("utf-8-sig"))
    assert found == [("001.Bird/A b.jpg", 0), ("001.Bird/B.jpg", 0), ("002.Bird/é.jpg", 1)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2 001.Bird/C.jpg", "'2' stands in line 2 already"),
        ("4", "a number, a blank and a value are expected, not '4'"),
        ("4,001.Bird/C.jpg", "a number, a blank and a value are expected"),
        ("4 001.Bird/B.jpg", "'001.Bird/B.jpg' stands in line 2 already"),
        ("4 ../../secret.jpg", "is not the path of an image below images/"),
        ("4 /etc/passwd", "is not the path of an image below images/"),
        ("4 .", "is not the path of an image below images/"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        records(tmp_path, f"{LISTED}{line}\n".encode())
    assert str(caught.value).startswith(f"{tmp_path / 'CUB_200_2011' / 'images.txt'}, line 5: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_image_without_a_class_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gives no class of 1 to 200 to 1 of the images .* image 3 for one"):
        records(tmp_path, LISTED.encode(), b"1 1\n2 1\n")


def test_a_name_longer_than_any_file_system_takes_is_missing(tmp_path: Path) -> None:
    records(tmp_path, f"1 {'n' * 300}.jpg\n".encode())
    with pytest.raises(DataError, match="holds 0 of the 11,788 images of CUB"):
        Cub().verify(tmp_path)


def test_a_list_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"1 a\n2 \0\n")
    with pytest.raises(DataError, match=r"list.txt cannot be read as a text: line 2 holds the control character"):
        read_table(path)
