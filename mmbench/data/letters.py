"""Letters beyond ASCII, of every script: what of them a caption keeps, so that its words are still its words."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

__all__ = ["plain"]

ACCENTS = re.compile("([a-z])[\u0300-\u036f]+")
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
"""Scripts without blanks between words, by the names of their characters: there each character is a word."""


def plain(text: str) -> str:
    """A text in lower case, with blanks for all beyond ASCII but letters, their marks, and digits.

    Latin letters lose their accents (e for é), as in the ASCII captions that models know, and have one form however
    they are composed; curly apostrophes are straight.
    """
    if text.isascii():
        return text.lower()
    letters = "".join(" " if _is_symbol(char) else char for char in text.replace("’", "'"))
    apart = ACCENTS.sub(r"\1", unicodedata.normalize("NFKD", letters).lower())
    kept, bound = [], False
    for char in unicodedata.normalize("NFC", apart):
        if unicodedata.category(char)[0] != "M":
            kept.append(_kept(char))
            bound = char.isalpha()
        elif bound:  # a mark belongs to the letter before; a mark of an emoji is nothing
            kept.append(char)
    return "".join(kept)


@cache
def _kept(char: str) -> str:
    """A character as it is, a blank, or in a script without blanks a word of its own."""
    kind = unicodedata.category(char)
    if not char.isascii() and kind[0] != "L" and kind != "Nd":
        return " "
    return f" {char}" if unicodedata.name(char, "").startswith(UNSPACED) else char


def _is_symbol(char: str) -> bool:
    """Of trademarks, currencies, pictures: some would come apart to letters."""
    return unicodedata.category(char)[0] == "S"
