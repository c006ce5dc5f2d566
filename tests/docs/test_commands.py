"""Every command that README and documentation teach is one that the command line takes, of things that there are; those
that take no time are run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mmbench import plugins, store
from mmbench.cells.request import split_settings
from mmbench.cells.sweep import variants
from mmbench.cli import app
from mmbench.data import glyphs
from mmbench.engine.engine import Engine
from mmbench.networks import BUILT_IN

from ..mmbench.cells import cell, row
from .conftest import ROOT

TEXTS = ("README.md", "CONTRIBUTING.md", "results/README.md", *sorted(
    str(path.relative_to(ROOT)) for folder in ("docs", "examples") for path in (ROOT / folder).rglob("*.md")
))  # fmt: skip
GROUPS = {"--model": plugins.MODELS, "--dataset": plugins.DATASETS, "--metrics": plugins.METRICS}
WORDS = {"all", "default"}
EXAMPLES = {"my_module:JointVAE", "my_module:MyModel", "my_module:MyMetric", "joint_vae"}
"""Names that stand for the reader's own."""
SPOKEN = [["data", "fetch"], ["data", "verify"], ["check"], ["evaluate"], ["sample"]]
"""Verbs that take more than is said where one speaks of them."""


def commands(path: Path) -> Iterator[list[str]]:
    """What follows 'mmbench' between backquotes, and at the beginning of a line of code, which a backslash joins; but a
    verb alone, which is spoken of."""
    text = path.read_text().replace("\\\n", " ")
    found = [line for line in re.findall(r"`mmbench ([a-z][^`]*)`", text) if "|" not in line]
    found += re.findall(r"^ {4,}mmbench ([a-z].*)$", text, re.MULTILINE)
    for command in found:
        words = shlex.split(command, comments=True)
        if words not in SPOKEN and words[-1:] != ["--help"]:
            yield words


ALL = [(name, words) for name in TEXTS for words in commands(ROOT / name)]
DISTINCT = {" ".join(words): words for _, words in ALL}


def check(verb: Any, words: list[str]) -> Any:
    """The context of a verb. Raises an error where a verb, an option or a value is none; nothing is started."""
    while hasattr(verb, "commands"):
        name, *words = words
        if name not in verb.commands:
            raise ValueError(f"No such command {name}")
        verb = verb.commands[name]
    return verb.make_context("mmbench", list(words))


def given(words: list[str], option: str) -> list[str]:
    """The values of an option, parted at commas."""
    values = [b for a, b in zip(words, words[1:], strict=False) if a == option]
    return [value for several in values for value in several.split(",")]


def local(name: str) -> bool:
    """Whether a name is 'module:Class' of somebody's own, which lies in examples/ or stands for the reader's."""
    module = name.partition(":")[0]
    lies = any((ROOT / "examples").rglob(f"{module}.py")) or any((ROOT / "examples").rglob(f"{module}/__init__.py"))
    return name in EXAMPLES or (":" in name and lies)


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_taught_can_be_typed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere")
    for words in commands(ROOT / name):
        check(get_command(app), words)


def test_many_are_taught() -> None:
    assert len(DISTINCT) > 90
    assert {words[0] for words in DISTINCT.values()} == set(get_command(app).commands)


@pytest.mark.parametrize("command", DISTINCT)
def test_its_names_are_of_things_that_there_are(command: str) -> None:
    words = DISTINCT[command]
    for option, group in GROUPS.items():
        for name in given(words, option):
            if words[0] != "report" and name not in WORDS and not local(name) and not name.endswith(".toml"):
                plugins.find(group, name)
    for pair in given(words, "--network"):
        network = pair.partition("=")[2]
        assert network in BUILT_IN or local(network)


@pytest.mark.parametrize("command", [c for c in DISTINCT if c.startswith("run ") and "--set" in c])
def test_its_settings_are_those_of_its_models(command: str) -> None:
    words = DISTINCT[command]
    models = [name for name in given(words, "--model") or ["mld"] if not local(name) and name != "all"]
    settings = [b for a, b in zip(words, words[1:], strict=False) if a == "--set"]
    for name in models:
        own = split_settings(settings, models)[name]
        assert variants(plugins.load(plugins.MODELS, name).Config, own, zipped="--zip" in words)


def test_a_slip_would_be_seen() -> None:
    for slip in ("rum --seeds 2", "run --sees 2", "data fetsch cub", "report --format docx", "cache clear --dry"):
        with pytest.raises(Exception, match=r"No such (command|option)|is not one of|Missing"):
            check(get_command(app), slip.split())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with finished cells of glyphs, of several models, seeds and values of beta; a colleague's beside it."""
    folder = tmp_path_factory.mktemp("home")
    rows = [row("coherence", "joint", "pen+sign", 50.0), row("fmd", "joint", "pen", 9.0)]
    rows += [row("precision", "joint", "pen", 80.0, higher_is_better=True), row("sliced", "joint", "pen", 0.5)]
    for place in ("results", "theirs/results", "../results-of-may"):
        for model in ("mld", "mvae"):
            for beta, seed in ((1, 0), (1, 1), (5, 0)):
                changed = {"hash": f"{beta:010}", "config": {"beta": beta}, "overrides": {"beta": beta}}
                more = {"dataset": "glyphs", "modalities": ["pen", "sign"], "budget": "laptop", "samples": None}
                shifted = [{**one, "value": one["value"] + seed + beta} for one in rows]
                store.write(folder / place, cell(model, seed, shifted, **more, **changed))
    store.write(folder / "results", cell("mvae", 0, rows, **{**more, "dataset": "weather"}))
    return folder


LONG = ("--figures", "html", "doctor", "list --", "all --")


def paced(found: list[str]) -> list[Any]:
    """What draws figures, looks at the whole machine or plans every model is slow."""
    return [pytest.param(c, marks=pytest.mark.slow if any(word in c for word in LONG) else ()) for c in found]


QUICK = paced([c for c in DISTINCT if c.split()[0] in ("list", "report", "doctor", "cache") and "/mnt" not in c])


@pytest.mark.parametrize("command", QUICK)
def test_what_takes_no_time_is_run(command: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    done = CliRunner().invoke(app, DISTINCT[command])
    assert done.exit_code == 0, f"{done.output[-2000:]}\n{done.exception!r}"
    assert done.output


PLANNED = paced(
    [
        c
        for c in DISTINCT
        if "--dry-run" in c and c.startswith("run") and not set(given(DISTINCT[c], "--dataset")) - {"glyphs"}
    ]
)


@pytest.mark.parametrize("command", PLANNED)
def test_what_is_planned_is_planned(command: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, of few tuples, and without the probe of what the cells will take."""
    monkeypatch.chdir(ROOT / "examples")
    monkeypatch.setattr(glyphs, "COUNTS", (40, 20))
    monkeypatch.setattr(Engine, "foresee", lambda *_: "")
    places = ["--jobs", "0", "--results", str(home / "none"), "--runs", str(home / "runs")]
    done = CliRunner().invoke(app, [*DISTINCT[command], *places])
    assert done.exit_code == 0, f"{done.output[-2000:]}\n{done.exception!r}"
    assert "to compute" in done.output


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in DISTINCT if c.startswith("check ") and local(c.split()[1])])
def test_what_is_checked_keeps_its_contract(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = DISTINCT[command][1]
    if name in EXAMPLES:
        pytest.skip("it stands for the reader's own")
    module = name.partition(":")[0]
    (place,) = {p.parent for p in (ROOT / "examples").rglob(f"{module}.py")} or {
        p.parent.parent for p in (ROOT / "examples").rglob(f"{module}/__init__.py")
    }
    monkeypatch.chdir(place)
    done = CliRunner().invoke(app, DISTINCT[command])
    assert done.exit_code == 0, done.output
