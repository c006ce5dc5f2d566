"""Captions as tokens: words, vocabulary, and the fixed length that models see.

The rules of the paper's code (its reference [59]): the first 31 words of a caption and <eos>, filled up with <pad> to
32; the vocabulary is every word that the training captions hold more than 3 times, in order of first appearance.
Words come from NLTK's `NLTKWordTokenizer`, which is rules only: nothing is downloaded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import ConfigError, DataError
from ..modality import Modality
from .letters import plain
from .texts import numbered_lines, read_text

if TYPE_CHECKING:
    from nltk.tokenize import NLTKWordTokenizer

__all__ = [
    "END",
    "LENGTH",
    "PADDING",
    "SPECIAL",
    "UNKNOWN",
    "encode",
    "read_captions",
    "tidy",
    "tokens",
    "vocabulary",
    "words",
]

SPECIAL = ("<exc>", "<pad>", "<eos>")
UNKNOWN, PADDING, END = range(3)
LENGTH = 32
"""Tokens of a caption, <eos> and padding included."""
RARE = 3
"""A word that occurs so often, or less, is unknown."""


def tidy(text: str) -> str:
    """Lower case; letters, digits, commas and apostrophes only; one full stop, at the end.

    So look the captions of the cleaned archive that the paper used; those of Reed et al., which everybody has, also
    hold hyphens, slashes, quotation marks and broken characters, and a fifth of them lacks the full stop. Those are
    ASCII, but for broken characters; beyond it, letters of every script are kept (`plain`).
    """
    return " ".join(re.sub(r"[^a-z0-9,'\x80-\U0010ffff]", " ", plain(text)).split()) + "."


def words(text: str) -> list[str]:
    """The words of a caption, punctuation marks being words; the last is the full stop."""
    return [word for chunk in tidy(text)[:-1].split() for word in _words(chunk)] + ["."]


@cache
def _words(chunk: str) -> list[str]:
    """The words between two blanks. In tidy text NLTK's rules see no farther, and each chunk is split only once."""
    return _tokenizer().tokenize(chunk)


@cache
def _tokenizer() -> NLTKWordTokenizer:
    from nltk.tokenize import NLTKWordTokenizer  # here, since it takes a second to import

    return NLTKWordTokenizer()


def vocabulary(captions: Iterable[str]) -> tuple[str, ...]:
    """<exc>, <pad>, <eos>, and each word that the captions hold more than 3 times, in order of first appearance."""
    counts = Counter(word for caption in captions for word in words(caption))
    return (*SPECIAL, *(word for word, count in counts.items() if count > RARE))


def tokens(captions: Sequence[str], known: Sequence[str]) -> Tensor:
    """Captions as int16 (n, 32), in the vocabulary `known`."""
    index = {word: i for i, word in enumerate(known)}
    rows = torch.full((len(captions), LENGTH), PADDING, dtype=torch.int16)
    for row, caption in zip(rows, captions, strict=True):
        kept = [index.get(word, UNKNOWN) for word in words(caption)[: LENGTH - 1]]
        row[: len(kept) + 1] = torch.tensor([*kept, END], dtype=torch.int16)
    return rows


def encode(modality: Modality, text: str) -> Tensor:
    """A typed text as a model sees it, int64 (length,).

    Its tokens are letters where the modality's separator is '', words otherwise. Where texts have an end (captions)
    a longer one is cut, as those of the data are, and an unknown word becomes <exc>.

    Raises ConfigError where no word is known, and, for texts without an end, where one token is not or they are
    too many.
    """
    index = {token: i for i, token in enumerate(modality.vocabulary) if i not in (*modality.unprinted, modality.end)}
    typed = words(text) if modality.separator else list(text.strip().lower())
    known = [token for token in typed if token in index and any(map(str.isalnum, token))]
    strange = [token for token in typed if token not in index]
    (length,) = modality.shape
    if not known or (strange and not _has_unknown(modality)):
        raise ConfigError(
            f"{modality.name} does not know {', '.join(map(repr, strange[:3])) or 'an empty text'}; "
            f"it knows, for instance, {', '.join(map(repr, list(index)[:8]))}"
        )
    if modality.end is None and len(typed) > length:
        raise ConfigError(f"{modality.name} holds at most {length} tokens, and {text!r} has {len(typed)}")
    ends = [] if modality.end is None else [modality.end]
    row = [index.get(token, modality.unprinted[0] if strange else 0) for token in typed[: length - len(ends)]] + ends
    if len(row) < length and not modality.unprinted:
        raise ConfigError(f"{modality.name} holds exactly {length} tokens, and {text!r} has {len(typed)}")
    return torch.tensor(row + [modality.unprinted[-1]] * (length - len(row)) if len(row) < length else row)


def _has_unknown(modality: Modality) -> bool:
    """Whether there is a token for words that are not in the vocabulary, apart from the padding."""
    return len(modality.unprinted) > 1


def read_captions(path: Path) -> list[str]:
    """The captions of a file, one a line, blank lines left out.

    Raises DataError with the reason alone: no text (`texts.read_text`), or lines of which none holds a word. (One of
    ten may hold none: so do thirteen of the flowers'.)
    """
    lines = numbered_lines(read_text(path))
    if lines and not any(char.isalnum() for _, line in lines for char in tidy(line)):
        raise DataError(f"line {lines[0][0]} holds no word, and no other line does")
    return [line for _, line in lines]
