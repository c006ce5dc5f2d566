"""Plugins that fail in every place and way: each is one sentence that names it, and the other cells are computed."""

from __future__ import annotations

import shutil
import sys
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmbench import store
from mmbench.errors import PluginError
from mmbench.metric import Metric

from ..forged import forge
from .conftest import TINY, only

FAULTY = '''
"""Strangers' models, each with one fault."""
import sys
import torch
from mmbench_baselines.mvae import MVAE


class ExitInRecipe(MVAE):
    @classmethod
    def recipe(cls, dataset, budget="paper"):
        sys.exit(0)  # recipe


class KeyErrorInRecipe(MVAE):
    @classmethod
    def recipe(cls, dataset, budget="paper"):
        return {}["width"]  # no such key


class NoRecipe(MVAE):
    @classmethod
    def recipe(cls, dataset, budget="paper"):
        return {"width": 3}


class ExitInBuild(MVAE):
    @classmethod
    def build(cls, dataset, config, networks):
        sys.exit(0)  # build


class ExitInStages(MVAE):
    def stages(self):
        sys.exit("enough")  # stages


class ExitInLoss(MVAE):
    def loss(self, batch, generator):
        sys.exit(0)  # loss


class ExitInGenerate(MVAE):
    def generate(self, given, targets, *, count, generator):
        sys.exit(0)  # generate


class Stop(BaseException):
    pass


class StopInLoss(MVAE):
    def loss(self, batch, generator):
        raise Stop("of its own kind")  # stop


class MemoryInLoss(MVAE):
    def loss(self, batch, generator):
        raise MemoryError  # numpy


class AllocatorInGenerate(MVAE):
    def generate(self, given, targets, *, count, generator):
        torch.empty(2**60, dtype=torch.uint8)  # torch


class ShapeInLoss(MVAE):
    def loss(self, batch, generator):
        return {"loss": torch.nn.functional.linear(torch.ones(2, 3), torch.ones(4, 5)).sum()}  # shape


class NaNLogits(MVAE):
    def decode(self, name, z):
        return super().decode(name, z) * (float("nan") if name == "name" and not self.training else 1.0)
'''
PLACES = {line.partition("# ")[2]: number for number, line in enumerate(FAULTY.splitlines(), 1) if "  # " in line}
LEFT_OUT = {
    "ExitInRecipe": ("asked to end the whole program, SystemExit: 0", "recipe"),
    "KeyErrorInRecipe": ("failed with KeyError: 'width'", "no such key"),
    "NoRecipe": ("recipe must return a MVAEConfig, got a dict", None),
}
FAILED = {
    "ExitInBuild": ("asked to end the whole program, SystemExit: 0", "build"),
    "ExitInStages": ("asked to end the whole program, SystemExit: enough", "stages"),
    "ExitInLoss": ("asked to end the whole program, SystemExit: 0", "loss"),
    "ExitInGenerate": ("asked to end the whole program, SystemExit: 0", "generate"),
    "StopInLoss": ("failed with Stop: of its own kind", "stop"),
    "MemoryInLoss": ("ran out of memory", "numpy"),
    "AllocatorInGenerate": ("ran out of memory", "torch"),
    "ShapeInLoss": ("failed with RuntimeError", "shape"),
    "NaNLogits": ("the decoder of 'name' gives logits that are not finite", None),
}


@pytest.fixture
def strangers(home: Path) -> Any:
    (home / "faulty.py").write_text(FAULTY)
    (home / "exits.py").write_text("import sys\nprint('a licence is needed')\nsys.exit(0)\n")
    yield
    sys.modules.pop("faulty", None)


def test_each_failure_has_its_sentence_and_the_other_cell_is_computed(home: Path, strangers: None, engine) -> None:
    models = ("exits:Net", *(f"faulty:{name}" for name in (*LEFT_OUT, *FAILED)), "my_net:Net")
    one, notes = engine(models=models, settings=("schedule.steps=4", "exits:Net.width=3", *TINY))
    outcome = one.run()
    assert [key.model for key in outcome.complete] == ["my_net.Net"]
    imported, *planned = outcome.broken
    assert "'exits:Net' cannot be imported" in imported
    assert "saying 'a licence is needed'" in imported
    reasons = dict(zip(LEFT_OUT, planned, strict=True))
    reasons |= {key.model.removeprefix("faulty."): reason for key, reason in outcome.failed}
    assert set(reasons) == {*LEFT_OUT, *FAILED}
    for name, (words, place) in (LEFT_OUT | FAILED).items():
        assert words in reasons[name]
        assert "\n" not in reasons[name]
        assert not place or f"(faulty.py:{PLACES[place]})" in reasons[name], reasons[name]
        assert name in (reasons[name] if place else name)
        assert any(f"faulty:{name}" in line or f"faulty.{name} seed 0: FAILED" in line for line in notes.said)
    assert "smaller batch" in reasons["MemoryInLoss"]
    recorded = {failure["model"]["typed"].removeprefix("faulty:") for failure in store.failures(home / "results")}
    assert recorded == set(FAILED)
    logs = {path.parts[-3] for path in (home / "runs/logs").rglob("*.error.txt")}
    assert {f"faulty.{name}" for name, (_, place) in FAILED.items() if place} == logs


def test_a_model_alone_that_cannot_be_loaded_is_an_error(home: Path, strangers: None, engine) -> None:
    with pytest.raises(PluginError, match=r"'exits:Net' cannot be imported .*SystemExit: 0"):
        engine(models=("exits:Net",))


@pytest.mark.parametrize("where", ["prepare", "__init__", "wants", "update", "compute"])
def test_a_metric_that_ends_the_program_fails_the_cell(
    home: Path, engine, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    from mmbench_evaluation.coherence import Coherence

    def leave(*_: Any) -> None:
        raise SystemExit(0)

    monkeypatch.setattr(Coherence, where, classmethod(leave) if where == "prepare" else leave)
    ((_, reason),) = engine()[0].run().failed
    assert "coherence asked to end the whole program" in reason
    assert "test_faults.py:" in reason


def test_ctrl_c_is_no_failure(home: Path, engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Metric, "wants", interrupted)
    monkeypatch.setattr("mmbench_evaluation.coherence.Coherence.update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine()[0].run()
    assert not store.failures(home / "results")


def test_kept_samples_that_are_not_finite_are_drawn_again(home: Path, engine) -> None:
    engine(keep=20)[0].run()
    rows = only(home)["rows"]
    for path in (home / "runs/artefacts/samples").glob("*/tensors.safetensors"):
        forge(path.parent, lambda tensors: {n: t * nan if t.is_floating_point() else t for n, t in tensors.items()})
    again, notes = engine(keep=20, metrics=("fmd",))
    assert again.run().failed == []
    assert [row for row in only(home)["rows"] if row["plugin"] == "coherence"] == rows
    assert any("not finite" in line and "set aside" in line for line in notes.said)


def test_a_sample_file_that_is_damaged_or_gone_is_drawn_again(home: Path, engine) -> None:
    engine()[0].run()
    (path,) = (home / "runs/samples").rglob("*.npz")
    before, cell = store.read_samples(path), only(home)
    damaged = path.read_bytes()[:-100]
    for content in (damaged, None):
        path.unlink()
        if content:
            path.write_bytes(content)
        again, notes = engine()
        assert len(again.run().extended) == 1
        assert notes.trained == []
        after = store.read_samples(path)
        assert all(np.array_equal(after[name], values) for name, values in before.items())
        assert len(engine()[0].run().skipped) == 1
    assert only(home) == cell, "its record stays as it is"
    (aside,) = path.parent.glob("*.damaged-1")
    assert aside.read_bytes() == damaged


def test_figures_alone_are_no_reason_to_train_again(home: Path, engine) -> None:
    engine()[0].run()
    shutil.rmtree(home / "runs/artefacts/stage")
    next((home / "runs/samples").rglob("*.npz")).unlink()
    assert len(engine()[0].run().skipped) == 1
