"""Every command that README and FAQ teach is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from mmbench.cli import app

ROOT = Path(__file__).resolve().parents[3]


def commands(path: Path) -> Iterator[str]:
    """What follows 'mmbench' between backquotes, and in indented lines, which a backslash joins."""
    text = path.read_text().replace("\\\n", " ")
    yield from (line for line in re.findall(r"`mmbench ([a-z][^`]*)`", text) if "|" not in line)
    yield from re.findall(r"^ {4,}mmbench ([a-z].*)$", text, re.MULTILINE)


def check(verb: Any, words: list[str]) -> None:
    """Raise an error where a verb, an option or a value is none; nothing is started."""
    while hasattr(verb, "commands"):
        name, *words = words
        if name not in verb.commands:
            raise ValueError(f"No such command {name}")
        verb = verb.commands[name]
    verb.make_context("mmbench", list(words))


@pytest.mark.parametrize("name", ["README.md", "docs/faq.md"])
def test_what_is_taught_can_be_typed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere")
    found = [" ".join(command.split()) for command in commands(ROOT / name)]
    assert len(found) > 10
    for command in found:
        words = shlex.split(command, comments=True)
        if words != ["data", "fetch"] and words[-1:] != ["--help"]:
            check(get_command(app), words)


def test_a_slip_would_be_seen() -> None:
    for slip in ("rum --seeds 2", "run --sees 2", "data fetsch cub", "report --format docx", "cache clear --dry"):
        with pytest.raises(Exception, match=r"No such (command|option)|is not one of|Missing"):
            check(get_command(app), slip.split())
