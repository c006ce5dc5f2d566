"""The name that was typed is the cell's: it is run, measured and sampled under it, whatever else lies there."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmbench import store
from mmbench.errors import PluginError, ResultError

CORE = "from mmbench_baselines.mvae import MVAE\n\n\nclass JointVAE(MVAE):\n    pass\n"


@pytest.fixture
def package(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that lends its class from a module inside."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = home / "lends"
    folder.mkdir()
    (folder / "__init__.py").write_text("from .core import JointVAE\n")
    (folder / "core.py").write_text(CORE)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "lends"]:
        del sys.modules[name]


def test_a_class_that_a_package_lends_is_found_by_the_name_that_was_typed(home: Path, package: Path, engine) -> None:
    names = ("lends:JointVAE", "lends.core:JointVAE", "mvae")
    assert len(engine(models=names)[0].run().complete) == 3
    assert {cell["model"]["typed"] for cell in store.cells(home / "results")} == set(names)
    cards = [json.loads(path.read_text()) for path in (home / "runs/artefacts/stage").glob("*/card.json")]
    assert len(cards) == 2, "one class trains once, whatever it is called"
    for name in names[:2]:
        sampled = engine(models=(name,), seeds=())[0].sample((), (), 2, 0)
        assert sampled.key.model == name.replace(":", ".")
        outcome = engine(models=(name,), seeds=(), again=True)[0].evaluate()
        assert [key.model for key in outcome.extended] == [name.replace(":", ".")]
        assert not outcome.broken
    for wrong in ("lends:JointVAe", "LENDS:JointVAE", "MVAE"):
        with pytest.raises(PluginError):
            engine(models=(wrong,), seeds=())[0].evaluate()


def test_a_cell_of_a_plugin_that_is_gone_is_left_out_by_its_own_name(home: Path, package: Path, engine) -> None:
    engine(models=("lends:JointVAE", "mvae"))[0].run()
    (gone,) = (path for path in (home / "results").rglob("seed-0.json") if "lends" in str(path))
    before = gone.read_bytes()
    shutil.rmtree(package)
    for name in [name for name in sys.modules if name.partition(".")[0] == "lends"]:
        del sys.modules[name]
    one, notes = engine(models=(), seeds=(), again=True)
    outcome = one.evaluate()
    assert [key.model for key in outcome.extended] == ["mvae"]
    (reason,) = outcome.broken
    assert reason.startswith("'lends:JointVAE' cannot be imported (there is no module 'lends'")
    assert any(line.startswith("lends.JointVAE seed 0: left out") for line in notes.said)
    assert gone.read_bytes() == before
    assert not engine(models=("mvae",), seeds=(), again=True)[0].evaluate().broken, "nobody asked for the other"
    next(path for path in (home / "results").rglob("seed-0.json") if path != gone).unlink()
    with pytest.raises(ResultError, match="there is no module 'lends'"):
        engine(models=(), seeds=())[0].sample((), (), 2, 0)


ODD = ["", " mvae", "mvae ", ":", "a:", ":B", ".x:B", "a:B:C", "mvae:Net", "é:Ü", "-x:B", "a b:C"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_one_sentence(home: Path, engine, name: str) -> None:
    with pytest.raises(PluginError) as caught:
        engine(models=(name,))
    assert "\n" not in str(caught.value)
    assert repr(name) in str(caught.value)
