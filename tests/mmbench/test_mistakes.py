"""What a user is told of a wrong setting: the word, and what it must be; nothing of parsers and of Python's types."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Literal

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mmbench import plugins
from mmbench.cli import app
from mmbench.config import Protocol, from_json, override, to_json
from mmbench.data.glyphs import SPEC
from mmbench.errors import ConfigError
from mmbench.model import Model
from mmbench.settings import check_settings

from ..specs import CUB

LEAKS = re.compile(
    r"input should|value error|assertion failed|pydantic|pars(e|ing)|literal\[|dictionar|instance|validation error|"
    r"\b(list|tuple|dict|mapping|union|optional|int|float|str|bool)\b\[|nonetype|\bint(eger)?\b|\bstring\b|https?://",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Part:
    size: int = 3


@dataclass(frozen=True, kw_only=True)
class Config:
    whole: int | None = None
    either: int | str = 1
    word_or_number: Literal["auto"] | float = 1.0
    names: list[str] = field(default_factory=list)
    pair: tuple[int, int] = (1, 2)
    shares: Mapping[str, float] = field(default_factory=dict)
    part: Part | Literal["no"] = "no"
    one_or_more: list[str] | str = "x"
    flag: bool = False
    parts: tuple[Part, ...] = ()
    deep: dict[str, list[int]] = field(default_factory=dict)
    numbers_or_words: list[int] | list[str] | None = None
    series: Sequence[float] = (1.0,)

    def __post_init__(self) -> None:
        if self.flag and self.whole == 3:
            raise ValueError("three is no good with flag")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("whole=x", "whole = 'x' will not do: it must be a whole number"),
        ("whole=1.5", "whole = 1.5 will not do: it must be a whole number"),
        ("either=[1]", "either = [1] will not do: it must be a whole number or a word"),
        ("word_or_number=x", "word_or_number = 'x' will not do: it must be 'auto' or a number"),
        ("names=3", "names = 3 will not do: it must be a list, [value, value]"),
        ("names=[1]", "names.0 = 1 will not do: it must be a word"),
        ("pair=[1]", "pair.1 is missing"),
        ("pair=[1,2,3]", "pair = [1, 2, 3] will not do: it must be a list of at most 2"),
        ("shares=x", "shares = 'x' will not do: it must be a group of settings, {\"name\": value}"),
        ('shares={"a": "b"}', "shares.a = 'b' will not do: it must be a number"),
        ("part=yes", "part = 'yes' will not do: it must be a group of settings, {\"name\": value} or 'no'"),
        ('part={"size": null}', "part.size = none will not do: it must be a whole number"),
        ("one_or_more=3", "one_or_more = 3 will not do: it must be a list, [value, value] or a word"),
        ("flag=4", "flag = 4 will not do: it must be true or false"),
        ('parts=[{"size": "x"}]', "parts.0.size = 'x' will not do: it must be a whole number"),
        ("parts=[true]", 'parts.0 = true will not do: it must be a group of settings, {"name": value}'),
        ('deep={"a": [1, "b"]}', "deep.a.1 = 'b' will not do: it must be a whole number"),
        ("numbers_or_words=[{}]", "numbers_or_words.0 = {} will not do: it must be a whole number or a word"),
        ('series=["a"]', "series.0 = 'a' will not do: it must be a number"),
        (f"names={'9' * 300}", f"names = {'9' * 100}... will not do: it must be a list, [value, value]"),
    ],
)
def test_the_sentence_of_each_kind(setting: str, sentence: str) -> None:
    for refuse in (lambda: override(Config(), [setting]), lambda: check_settings(Config, [setting])):
        with pytest.raises(ConfigError) as caught:
            refuse()
        assert str(caught.value) == sentence


def test_what_an_owner_says_is_said_bare() -> None:
    with pytest.raises(ConfigError) as caught:
        override(Config(), ["flag=true", "whole=3"])
    assert str(caught.value) == "these settings do not go together: three is no good with flag"
    with pytest.raises(ConfigError, match=r"^size is missing$"):
        from_json(Needy, {})


@dataclass(frozen=True, kw_only=True)
class Needy:
    size: int


def leaves(data: Any, prefix: str = "") -> Iterator[str]:
    """The dotted names of all settings, those of groups too."""
    for name, value in data.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")


WRONG = ("x", "1.5", "-1", "true", "none", '["a", {}]', '{"a": [1]}', "''", "\x1b[2J")


@pytest.mark.parametrize("name", [*plugins.available(plugins.MODELS), "eval"])
def test_no_setting_of_the_suite_leaks(name: str) -> None:
    """Each setting, with values of three wrong kinds, others for the next."""
    spec = CUB if name == "mld_star" else SPEC
    config = Protocol() if name == "eval" else plugins.load(plugins.MODELS, name, Model).recipe(spec, "laptop")
    said = []
    kinds = cycle(WRONG)
    for setting in (f"{path}={next(kinds)}" for path in leaves(to_json(config)) for _ in range(3)):
        for refuse in (lambda s: override(config, [s]), lambda s: check_settings(type(config), [s])):
            try:
                refuse(setting)
            except ConfigError as error:
                said.append(str(error))
    assert len(said) > 2 * len(dataclasses.fields(config))
    assert [words for words in said if LEAKS.search(words) or not words.isprintable()] == []


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("run --jobs many", "'many' will not do: it must be a whole number"),
        ("run --gpus-per-cell x", "'x' will not do: it must be a number"),
        ("run --seeds 0", "'0' will not do: it must be at least 1"),
        ("sample --out x.png --count 1001", "'1001' will not do: it must be at most 1000"),
        ("run --budget huge", "'huge' is not one of 'smoke', 'laptop', 'paper'"),
        ("report --format docx", "'docx' is not one of"),
    ],
)
def test_a_wrong_word_of_a_command_is_said_in_the_same_way(line: str, sentence: str) -> None:
    done = CliRunner().invoke(app, line.split())
    said = " ".join(done.output.split())
    assert sentence in said
    assert done.exit_code == 2
    assert not LEAKS.search(said)


def commands(verb: Any, line: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in getattr(verb, "commands", {}).items():
        yield (*line, name)
        yield from commands(command, (*line, name))


@pytest.mark.parametrize("line", list(commands(get_command(app))), ids=" ".join)
def test_no_help_speaks_of_types(line: tuple[str, ...]) -> None:
    said = CliRunner().invoke(app, [*line, "--help"]).output
    assert said.startswith("Usage")
    assert not re.search(r"<(str|int|float|list|path|bool)[\[\]\w ]*>", said), said
