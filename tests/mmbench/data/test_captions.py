"""Captions as tokens, against NLTK itself and the rules of the paper's code; typed texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from nltk.tokenize import NLTKWordTokenizer

from mmbench.data.captions import encode, read_captions, tidy, tokens, vocabulary, words
from mmbench.data.glyphs import NAMES, SPEC
from mmbench.errors import ConfigError
from mmbench.modality import Modality

NAME = SPEC.modality("name")
KNOWN = ("<exc>", "<pad>", "<eos>", "a", "red", "bird", ".", ",")
CAPTION = Modality(
    name="caption", shape=(8,), network="caption_conv", latent=2, likelihood="categorical", vocabulary=KNOWN,
    end=2, unprinted=(0, 1),
)  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("A Bird", "a bird."),
        ("this bird is black - its wings too.", "this bird is black its wings too."),
        ("black-and-white, 10-13 inches. it's big", "black and white, 10 13 inches it's big."),
        ("gray and ora n�� feet é", "gray and ora n feet e."),
        ("", "."),
    ],
)
def test_tidy_text(raw: str, clean: str) -> None:
    assert tidy(raw) == clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Птица красная, и БОЛЬШАЯ", "птица красная, и большая."),
        ("Το πουλί", "το πουλί."),
        ("الطائر أحمر", "الطائر أحمر."),
        ("पक्षी लाल है", "पक्षी लाल है."),
        ("새는 빨강", "새는 빨강."),
        ("鳥は赤い", "鳥 は 赤 い."),
        ("Käfer, été e\u0301te\u0301", "kafer, ete ete."),
        ("it’s a bird…", "it's a bird."),
        ("a 🐦❤\ufe0f bird™", "a bird."),
    ],
)
def test_letters_of_every_script_stay(raw: str, clean: str) -> None:
    assert tidy(raw) == clean
    assert words(raw)[-1] == "."
    assert "".join(words(raw)[:-1]) == clean[:-1].replace(" ", "")


def test_words_are_nltks() -> None:
    text = "the bird cannot hide its head, isn't it, the birds' wings and 1,000 'red' feathers, that's all,"
    assert words(text) == NLTKWordTokenizer().tokenize(tidy(text))
    assert words("it's red, isn't it") == ["it", "'s", "red", ",", "is", "n't", "it", "."]


def test_words_are_nltks_in_the_real_captions(data_root: Path) -> None:
    files = sorted((data_root / "CUB_200_2011" / "text_c10").glob("*/*.txt"))[::40]
    if not files:
        pytest.skip(f"{data_root} has no captions of CUB")
    nltk = NLTKWordTokenizer()
    captions = [line for path in files for line in read_captions(path)]
    assert all(words(caption) == nltk.tokenize(tidy(caption)) for caption in captions)


def test_the_vocabulary_holds_words_seen_more_than_three_times_in_order_of_appearance() -> None:
    captions = ["owl bird red", "bird red owl", "owl bird", "red bird", "red"]  # owl 3, bird 4, red 4, '.' 5
    assert vocabulary(captions) == ("<exc>", "<pad>", "<eos>", "bird", "red", ".")
    assert vocabulary([]) == ("<exc>", "<pad>", "<eos>")


def test_a_caption_becomes_words_end_and_padding() -> None:
    rows = tokens(["a red owl", "bird " * 40, "bird " * 30, ""], KNOWN)
    assert rows.shape == (4, 32)
    assert rows[0].tolist() == [3, 4, 0, 6, 2] + [1] * 27
    assert rows[1].tolist() == [5] * 31 + [2]  # cut: the full stop is lost, <eos> never is
    assert rows[2].tolist() == [5] * 30 + [6, 2]
    assert rows[3].tolist() == [6, 2] + [1] * 30


def test_a_typed_caption_is_encoded_as_the_datas_are() -> None:
    encoded = encode(CAPTION, "A RED owl")
    assert encoded.dtype == torch.int64
    assert encoded.tolist() == [3, 4, 0, 6, 2, 1, 1, 1]
    assert CAPTION.text(encoded.tolist()) == "a red ."
    assert encode(CAPTION, "bird " * 9).tolist() == [5] * 7 + [2]
    whole = replace(CAPTION, shape=(32,))
    assert encode(whole, "a red bird, a bird").tolist() == tokens(["a red bird, a bird"], KNOWN)[0].tolist()


@pytest.mark.parametrize("text", ["zebra owl", "", "...", ", ,", "<eos>"])
def test_a_caption_without_a_known_word_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^caption does not know .*; it knows, for instance, 'a', 'red', 'bird'"):
        encode(CAPTION, text)


def test_a_word_of_letters_is_encoded() -> None:
    for name in NAMES:
        assert NAME.text(encode(NAME, name).tolist()) == name
    assert encode(NAME, " Six ").tolist() == [NAME.vocabulary.index(letter) for letter in "six__"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sax!", "name does not know 'a', '!'; it knows, for instance, 'e', 'f'"),
        ("si_x", "name does not know '_'"),
        ("", "name does not know an empty text"),
        ("sevenn", "name holds at most 5 tokens, and 'sevenn' has 6"),
    ],
)
def test_letters_that_are_not_known_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        encode(NAME, text)
    assert message in str(caught.value)


def test_a_text_without_padding_has_one_length() -> None:
    code = replace(NAME, shape=(3,), unprinted=())
    assert code.text(encode(code, "six").tolist()) == "six"
    with pytest.raises(ConfigError, match="name holds exactly 3 tokens, and 'si' has 2"):
        encode(code, "si")
