"""`--dataset a,b` computes one dataset after the other, as `--model a,b` does models."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from mmbench.cli import app
from mmbench.engine.engine import Engine
from mmbench.errors import MmbenchError, PluginError

OWN = """
from dataclasses import replace

from mmbench.data.dataset import DatasetSource
from mmbench.data.glyphs import SPEC, draw


class One(DatasetSource):
    title, summary, word = "One", "glyphs", "one"

    def load(self, root, cache):
        drawn = draw(40, 20)
        return replace(drawn, spec=replace(SPEC, name=self.word))


class Two(One):
    word = "two"


class Torn(One):
    def load(self, root, cache):
        raise OSError("the files are torn")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_several.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Engine, "foresee", lambda *_: "")  # which takes seconds


def planned(datasets: str) -> Result:
    asked = ["run", "--model", "mvae,mopoe", "--dataset", datasets, "--budget", "smoke", "--dry-run", "--jobs", "0"]
    return CliRunner().invoke(app, asked)


def test_every_dataset_has_cells_of_every_model(here: None) -> None:
    done = planned("own_several:One,own_several:Two")
    assert done.exit_code == 0, done.output
    places = [line.split("/smoke-")[0] for line in done.output.splitlines() if line.startswith("results/")]
    assert places == ["results/one/mvae", "results/one/mopoe", "results/two/mvae", "results/two/mopoe"]


def test_one_that_cannot_be_loaded_is_told_and_the_next_goes_on(here: None) -> None:
    done = planned("own_several:Torn,own_several:Two")
    assert done.exit_code == 1
    assert "mmbench: own_several:Torn: " in done.output
    assert "the files are torn" in done.output
    assert "results/two/mopoe/smoke-" in done.output


def test_a_name_that_is_none_is_told_before_anything_is_done(here: None) -> None:
    done = planned("own_several:One,glyfs")
    assert isinstance(done.exception, PluginError)
    assert "did you mean 'glyphs'?" in str(done.exception)
    assert "results/one" not in done.output


def test_no_name_is_no_dataset(here: None) -> None:
    assert isinstance(planned("").exception, MmbenchError)
