"""`mmbench list`: what each thing is, its budget, whether its data or weights are here; on a terminal of any width."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmbench import plugins
from mmbench.cli.listing import _laid_out
from mmbench.data.dataset import DatasetSource
from mmbench.data.glyphs import Glyphs
from mmbench.data.idx import FASHION, MNIST
from mmbench.health.described import first_sentence, summary
from mmbench.health.versions import extras
from mmbench.metric import Metric
from mmbench.model import Model
from mmbench.plugins import DATASETS, METRICS, MODELS, Plugin, available

from .test_streams import on_a_terminal

HOSTILE = """
import os
from mmbench.data.dataset import DatasetSource
class Ends(DatasetSource):
    '''It never comes to this. A second sentence.'''
os.abort()
"""
STRANGE = """
from mmbench.data.dataset import DatasetSource
class Strange(DatasetSource):
    title = "Strange"
    summary = "of a stranger's: files that only verify knows"
    default_budget = "smoke"
    def load(self, root, cache): raise NotImplementedError
    def verify(self, root): return "whole"
class Broken(Strange):
    summary = "it cannot say what it lacks"
    def lacks(self, root): raise KeyError("no such\\x1b[2J key")
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which a stranger's distribution is installed, and MNIST and no Fashion-MNIST."""
    home = tmp_path_factory.mktemp("listing")
    (home / "ends.py").write_text(HOSTILE)
    (home / "strange.py").write_text(STRANGE)
    meta = home / "strangers-2.5.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 2.5\n")
    named = "ends = ends:Ends\nstrange = strange:Strange\nbroken = strange:Broken\nabsent = nowhere:Nothing\n"
    (meta / "entry_points.txt").write_text(f"[mmbench.datasets]\n{named}")
    for file in MNIST.md5:
        path = home / "data/MNIST/raw" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return home


PROGRAM = """
import sys
from mmbench.cli import app
try:
    app(["list", *sys.argv[1:]])
finally:
    print("torch" in sys.modules, "strange" in sys.modules, file=sys.stderr)
"""


def listed(home: Path, *words: str) -> str:
    """What is printed; the list itself imports no torch and no plugin, so that it begins at once."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("MMBENCH_")}
    env["PYTHONPATH"] = os.pathsep.join([str(home), os.environ.get("PYTHONPATH", "")])
    env |= {"HF_HOME": str(home / "no-hub")}
    command = [sys.executable, "-c", PROGRAM, *words]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=300, env=env)
    assert (done.returncode, done.stderr) == (0, "False False\n")
    return done.stdout


def entries(text: str) -> dict[str, str]:
    """Name -> all that is said of it, on one line."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if name := re.match(r"  (\S+)", line):
            found[name[1]] = ""
        if found:
            found[list(found)[-1]] += " " + " ".join(line.split())
    return found


@pytest.fixture(scope="module")
def everything(home: Path) -> dict[str, str]:
    return entries(listed(home))


def test_each_plugin_says_what_it_is_and_who_brought_it(everything: dict[str, str]) -> None:
    """The truth: the classes themselves, imported."""
    for group, base in ((plugins.MODELS, Model), (plugins.DATASETS, DatasetSource), (plugins.METRICS, Metric)):
        for name, plugin in plugins.available(group).items():
            cls = plugins.load(group, name, base)
            said = getattr(cls, "summary", "") or (cls.__doc__ or "").split("\n\n")[0].split(". ")[0]
            assert " ".join(said.split()).rstrip(".") in everything[name], name
            assert f"{plugin.value}, {plugin.source}" in everything[name]
            if issubclass(cls, DatasetSource):
                assert f"--budget {cls.default_budget} where none is named" in everything[name]
            if issubclass(cls, Metric):
                assert ("higher" if cls.higher_is_better else "lower") + " is better" in everything[name]


def test_data_and_weights_that_are_here_and_that_are_not(everything: dict[str, str], home: Path) -> None:
    assert "needs no files" in everything["glyphs"]
    assert (
        "FashionMNIST/raw/train-images-idx3-ubyte is missing under data; run `mmbench data fetch mnist_fashion"
        in (everything["mnist_fashion"])
    )
    assert "train_32x32.mat is missing" in everything["mnist_svhn"]
    assert "CUB_200_2011/images.txt is missing" in everything["cub"]
    assert "can be measured here" in everything["coherence"]
    assert "can be measured here" not in everything["clip_s"]
    for file in FASHION.md5:
        path = home / "other/FashionMNIST/raw" / f"{file}.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (home / "other/MNIST").symlink_to(home / "data/MNIST")
    there = entries(listed(home, "--datasets", "--data-root", "other"))["mnist_fashion"]
    assert "its files are there (`mmbench data verify mnist_fashion --data-root other` reads them)" in there


def test_a_stranger_that_ends_python_or_fails_hides_nobody(everything: dict[str, str]) -> None:
    assert "It never comes to this" in everything["ends"]
    assert "not known: its import ended Python with code -6" in everything["ends"]
    assert "ends:Ends, strangers 2.5" in everything["ends"]
    assert "of a stranger's: files that only verify knows --budget smoke where none is named" in everything["strange"]
    assert "whether its files are there: `mmbench data verify strange --data-root data`" in everything["strange"]
    assert "it failed with KeyError: 'no such" in everything["broken"]
    assert "'absent' of strangers 2.5 cannot be imported" in everything["absent"]
    assert "needs no files" in everything["glyphs"], "those after it are looked at, too"


SECTIONS = {"models": "mvtcae", "budgets": "laptop", "networks": "svhn_conv"}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_may_be_asked_for_alone(home: Path, section: str) -> None:
    said = listed(home, f"--{section}")
    assert [line.split()[0] for line in said.splitlines() if not line.startswith(" ")] == [section]
    assert SECTIONS[section] in entries(said)


def test_several_sections_stand_in_their_order(home: Path) -> None:
    said = listed(home, "--metrics", "--models")
    assert [line.split()[0] for line in said.splitlines() if not line.startswith(" ")] == ["models", "metrics"]


def test_extras_say_what_they_lack(home: Path) -> None:
    said = entries(listed(home, "--extras"))
    assert {name: "installed" in said[name] for name in extras()} == {n: not lack for n, lack in extras().items()}


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_nothing_is_cut_on_a_terminal(home: Path, width: int) -> None:
    """What the terminal gets is what a pipe gets, broken between words."""
    said = on_a_terminal(home, width, "xterm", "list", "--models", "--budgets").replace("\r\n", "\n")
    piped = listed(home, "--models", "--budgets")
    assert said.split() == piped.split()
    wide = [line for line in said.splitlines() if len(line) > width]
    assert [line for line in wide if len(line.split()) > 1] == []
    assert wide == [] or width < 60


def test_a_word_that_is_longer_than_the_terminal_stays_whole() -> None:
    assert list(_laid_out("name", ["a " + "b" * 80, ""], 12, 30)) == ["  name", "    a", "    " + "b" * 80]
    assert list(_laid_out("name", ["a", "c d"], 12, None)) == ["  name          a", " " * 16 + "c d"]
    assert list(_laid_out("name", [], 12, 80)) == ["  name"]


def test_a_first_sentence_is_one_line() -> None:
    assert first_sentence("One\n    sentence of e.g. 2.5 parts. Another one.\n\n    More.") == (
        "One sentence of e.g. 2.5 parts"
    )
    assert first_sentence("") == ""
    assert summary(Plugin("x", "no.such.module:X", "nobody")) == ""
    assert Glyphs().lacks(Path("nowhere")) == ""


@pytest.mark.parametrize("group", [MODELS, METRICS, DATASETS])
def test_what_the_suite_says_of_each_plugin_stands_alone(group: str) -> None:
    """A list is read by the line: none of it goes on below, or points to its neighbour."""
    said = {name: summary(plugin) for name, plugin in available(group).items() if plugin.source.startswith("mmbench ")}
    assert said
    for name, words in said.items():
        assert len(words.split()) >= 4, f"{name}: {words!r}"
        assert not words.endswith((":", ",", ";")), f"{name}: {words!r}"
        assert not words.lower().startswith(("the same", "as ")), f"{name}: {words!r}"
    assert len(set(said.values())) == len(said)
