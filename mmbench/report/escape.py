"""Words of a cell in each format: whatever stands in a title, a name, a note or a reason is printed and does nothing.

Cells come from other machines and from plugins, so their words are not ours. Each format passes every line of text, or
every cell of a table, through its function here as the last thing; words that need no care come out as they went in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..config import digest
from ..progress import one_line

__all__ = ["bullets", "csv_cell", "markdown_code", "markdown_line", "tex", "tex_comment", "tex_label", "tex_words"]

ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", "|": "&#124;"})  # a backslash before them changes nothing
TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after the end of a table's line it would be an option, and a star part of the command
    "]": "{]}",
    "→": r"$\rightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
    "·": r"\enspace{}",
    "×": r"$\times$",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "§": r"\S{}",
    "’": "'",
    "…": r"\ldots{}",
    "–": "--",
    "−": "$-$",
    "<": "$<$",
    ">": "$>$",
    **{letter: f"\\{letter}" for letter in "%_&#${}"},
}
LATIN = frozenset(map(chr, [*range(0x20, 0x7F), *range(0xC0, 0x180)])) - frozenset("×÷ŉſĸŦŧĦħ")
"""Letters that LaTeX prints without a further package."""
LONG, CHUNK = 30, 10
"""Letters from which on a word may be broken, and after how many."""
FORMULA = ("=", "+", "-", "@")
"""What spreadsheets take for the beginning of a formula."""


def markdown_line(text: str) -> str:
    """A line, or a table's cell, in Markdown: no HTML, no further line, column or link.

    Backticks that come in pairs stay, since sentences name commands with them; one that is left over is printed.
    """
    line = one_line(text).translate(ENTITIES).replace("](", "]&#40;")
    return line.replace("`", "&#96;") if line.count("`") % 2 else line


def markdown_code(text: str) -> str:
    """A word as code, in which nothing but a backtick means anything."""
    return f"`{one_line(text).replace('`', chr(39))}`"


def bullets(lines: Iterable[str]) -> str:
    """Lines as a list in Markdown."""
    return "\n".join(f"- {markdown_line(line)}" for line in lines)


def tex(text: str) -> str:
    """Text as LaTeX prints it: a long word may be broken, a letter that its fonts lack stands there by its number."""
    words = re.split("( )", one_line(text))
    line = r"".join(r"\allowbreak{}".join(map(_letters, _chunks(word))) for word in words)
    return f"{{*}}{line[1:]}" if line.startswith("*") else line


def tex_words(text: str) -> str:
    """A sentence: what it names in backticks, which come in pairs, is in typewriter."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return tex(text)
    return "".join(rf"\texttt{{{tex(part)}}}" if k % 2 else tex(part) for k, part in enumerate(parts) if part)


def _chunks(word: str) -> list[str]:
    return [word[k : k + CHUNK] for k in range(0, len(word), CHUNK)] if len(word) > LONG else [word]


def _letters(text: str) -> str:
    return "".join(TEX.get(letter, letter if letter in LATIN else f"U+{ord(letter):04X}") for letter in text)


def tex_comment(text: str) -> str:
    """A comment that ends with its line."""
    return f"% {one_line(text)}"


def tex_label(text: str) -> str:
    """A word of a label; one that had to be changed gets a hash, so that two do not become one."""
    safe = re.sub(r"[^A-Za-z0-9_.:+-]", "-", text)
    return safe if safe == text else f"{safe}-{digest(text, 6)}"


def csv_cell(text: str) -> str:
    """A text of one line; a spreadsheet shows one that looks like a formula and computes nothing."""
    line = one_line(text)
    return f"'{line}" if line.lstrip().startswith(FORMULA) or text[:1] in ("\t", "\r") else line
