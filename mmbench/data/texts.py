"""The one reader of text files, of captions and of lists: which encoding, which lines, which columns."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from ..errors import DataError
from .sources import read_regular

__all__ = ["decoded", "numbered_lines", "read_table", "read_text"]

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark begins it
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""What a text may begin with (byte order marks), and what it then is."""
LATIN = 0.25
"""Of the letters of a Latin-1 text, at most so many are not ASCII (French has some 4 %): else it is no Latin-1."""
LINE_END = r"\r\n|\n|\r"
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")


def read_text(path: Path) -> str:
    """A text file; DataError with the reason, and the line where there is one, but not the file's name."""
    return decoded(read_regular(path))


def decoded(content: bytes) -> str:
    """A text as its byte order mark says; else UTF-8, else Latin-1 in its form of Windows (curly quotes).

    Raises DataError for what is damaged or in another encoding, rather than guess.
    """
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return _checked(_decode(content[len(mark) :], encoding))
    try:
        return _checked(content.decode())
    except UnicodeDecodeError as error:
        return _latin(content, error)


def numbered_lines(text: str) -> list[tuple[int, str]]:
    """The lines that are not blank, without blanks around them, and their numbers from 1; they may end in any way."""
    lines = re.split(LINE_END, text)
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def read_table(path: Path) -> dict[str, tuple[int, str]]:
    """Lines 'key value', blanks or tabs between them, as key -> (number of the line, value).

    Raises DataError that names the file, and the line that has no value or repeats a key.
    """
    try:
        lines = numbered_lines(read_text(path))
    except DataError as error:
        raise DataError(f"{path} cannot be read as a text: {error}.") from error
    table: dict[str, tuple[int, str]] = {}
    for number, line in lines:
        key, *value = line.split(None, 1)
        if not value:
            raise DataError(f"{path}, line {number}: a number, a blank and a value are expected, not {line[:80]!r}.")
        if key in table:
            raise DataError(f"{path}, line {number}: {key[:80]!r} stands in line {table[key][0]} already.")
        table[key] = (number, value[0])
    return table


def _decode(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"it is damaged {encoding.upper()}, save it as UTF-8") from error


def _latin(content: bytes, error: UnicodeDecodeError) -> str:
    """Bytes that are not UTF-8. Where some are (of several bytes), or few letters are ASCII, they are not Latin-1."""
    line = len(re.split(LINE_END.encode(), content[: error.start]))
    wrong = DataError(f"line {line} is neither UTF-8 nor Latin-1, save it as UTF-8")
    if not content.decode(errors="ignore").isascii():
        raise wrong
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        raise wrong from error
    letters = [char for char in text if char.isalpha()]
    if sum(not char.isascii() for char in letters) > LATIN * len(letters):
        raise wrong
    return _checked(text)


def _checked(text: str) -> str:
    """DataError for control characters, which no text holds."""
    if found := CONTROL.search(text):
        line = len(re.split(LINE_END, text[: found.start()]))
        raise DataError(f"line {line} holds the control character {found.group()!r}, as no text does: save it as UTF-8")
    return text
