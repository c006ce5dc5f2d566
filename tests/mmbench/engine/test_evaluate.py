"""Evaluation apart from training: further metrics for finished cells, from checkpoints or from kept samples."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mmbench import store
from mmbench.engine.engine import Engine
from mmbench.errors import ResultError, UnavailableError
from mmbench.metric import Bench, Metric, Row
from mmbench.modality import Task

from .conftest import Notes, asked, only

ROUNDING = 1e-7
"""A last batch of four samples instead of eight may round otherwise in float32 (2^-24 of a value)."""
SETTINGS = ("schedule.steps=4", "eval.count=20", "eval.quality_count=20", "eval.batch_size=8", "eval.judge.steps=5")


class Brightness(Metric):
    """The mean of all pixels of an image."""

    name: ClassVar[str] = "brightness"
    higher_is_better: ClassVar[bool | None] = None
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    available: ClassVar[bool] = True
    with_ratio: ClassVar[bool] = False
    """Whether it also gives rows of another name, as FMD does where its reference autoencoder has not collapsed."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.seen: dict[str, list[Tensor]] = {}

    @classmethod
    def prepare(cls, bench: Bench) -> None:
        if not cls.available:
            raise UnavailableError("no lamp is to be seen: give --weights-root a folder that holds lamp.pth")

    def wants(self, task: Task) -> int:
        return 20 if "pen" in task.targets else 0

    def update(self, task: Task, samples: Mapping[str, Tensor], rows: Tensor) -> None:
        self.seen.setdefault(task.name, []).append(samples["pen"])

    def compute(self) -> list[Row]:
        means = {task: torch.cat(parts).double().mean().item() for task, parts in self.seen.items()}
        return [
            Row(metric=name, task=t, modality="pen", value=v, count=20, judge="exact", higher_is_better=None)
            for name in ("brightness", *(["brightness_ratio"] if self.with_ratio else []))
            for t, v in means.items()
        ]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metric is installed as a stranger's plugin would be."""
    from mmbench import plugins

    def available(group: str) -> dict[str, plugins.Plugin]:
        return own(group) | ({"brightness": lamp} if group == plugins.METRICS else {})

    own = plugins.available
    lamp = plugins.Plugin("brightness", f"{__name__}:Brightness", "lamp", "1.0")
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())
    monkeypatch.setattr(
        plugins, "available", lambda group: own(group) | ({"brightness": lamp} if "metr" in group else {})
    )
    monkeypatch.setattr(Brightness, "available", True)


def _this_module() -> Any:
    from types import ModuleType

    module = ModuleType(__name__)
    module.Brightness = Brightness  # type: ignore[attr-defined]
    return module


def runner(home: Path, **changes: Any) -> tuple[Engine, Notes]:
    notes = Notes()
    return Engine(asked(home, **({"models": ("mvae",), "settings": SETTINGS} | changes)), notes), notes


@pytest.fixture
def home(home: Path) -> Path:
    """A folder with a finished cell that was measured for coherence alone."""
    outcome = runner(home)[0].run()
    assert len(outcome.complete) == 1
    return home


def test_a_metric_is_added_without_training_and_nothing_else_changes(home: Path) -> None:
    before = only(home)
    evaluator, notes = runner(home, metrics=("brightness",), models=(), seeds=(), settings=())
    outcome = evaluator.evaluate()
    assert (len(outcome.extended), outcome.failed) == (1, [])
    assert not [phase for phase in notes.phases if phase.startswith("train")]
    after = only(home)
    added = [row for row in after["rows"] if row["metric"] == "brightness"]
    assert {row["source"] for row in added} == {"model", "real", "reconstruction"}
    assert after["metrics"]["brightness"]["distribution"] == "lamp 1.0"
    for cell in (before, after):
        cell["metrics"].pop("brightness", None)
        cell["rows"] = [row for row in cell["rows"] if row["metric"] != "brightness"]
    assert after == before


def test_a_second_call_does_nothing(home: Path) -> None:
    runner(home, metrics=("brightness",))[0].evaluate()
    (path,) = (home / "results").rglob("seed-0.json")
    before = path.read_bytes(), path.stat().st_mtime_ns
    outcome = runner(home, metrics=("brightness",))[0].evaluate()
    assert (len(outcome.skipped), outcome.extended) == (1, [])
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_what_was_measured_in_one_go_and_what_was_added_are_the_same(home: Path, tmp_path: Path) -> None:
    runner(home, metrics=("brightness",))[0].evaluate()
    runner(home, metrics=("coherence", "brightness"), results=home / "whole")[0].run()
    (whole,) = store.cells(home / "whole")

    def key(row: Any) -> tuple[str, ...]:
        return row["source"], row["metric"], row["task"], row["modality"]

    added, at_once = (sorted(cell["rows"], key=key) for cell in (only(home), whole))
    assert [key(row) for row in added] == [key(row) for row in at_once]
    values = [[row.pop("value") for row in rows] for rows in (added, at_once)]
    assert values[0] == pytest.approx(values[1], rel=ROUNDING)
    assert added == at_once


def test_run_fills_the_gap_too_and_again_measures_anew(home: Path) -> None:
    outcome = runner(home, metrics=("coherence", "brightness"))[0].run()
    assert len(outcome.extended) == 1
    rows = len(only(home)["rows"])
    outcome = runner(home, metrics=("brightness",), again=True)[0].evaluate()
    assert len(outcome.extended) == 1
    assert len(only(home)["rows"]) == rows


def test_measuring_anew_leaves_no_row_of_the_metric_behind(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference autoencoder that has collapsed since gives no ratios: the old ones go with the old distances."""
    monkeypatch.setattr(Brightness, "with_ratio", True)
    runner(home, metrics=("brightness",))[0].evaluate()
    assert "brightness_ratio" in {row["metric"] for row in only(home)["rows"]}
    monkeypatch.setattr(Brightness, "with_ratio", False)
    runner(home, metrics=("brightness",), again=True)[0].evaluate()
    assert {row["metric"] for row in only(home)["rows"]} == {"coherence", "label_entropy", "brightness"}


def test_a_metric_without_its_weights_is_left_out_with_a_sentence_and_added_later(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Brightness, "available", False)
    fresh, notes = runner(home, metrics=("coherence", "brightness"), results=home / "other")
    outcome = fresh.run()
    assert len(outcome.complete) == 1
    assert outcome.left_out
    assert any("lamp.pth" in line for line in notes.said)
    (cell,) = store.cells(home / "other")
    assert "lamp.pth" in cell["left_out"]["brightness"]
    assert not [row for row in cell["rows"] if row["metric"] == "brightness"]
    monkeypatch.setattr(Brightness, "available", True)
    runner(home, metrics=("brightness",), results=home / "other")[0].evaluate()
    (cell,) = store.cells(home / "other")
    assert cell["left_out"] == {}
    assert [row for row in cell["rows"] if row["metric"] == "brightness"]


def test_kept_samples_are_exact_and_serve_without_the_model(home: Path) -> None:
    """Metrics from kept samples equal those from the model, whose checkpoint is gone."""
    runner(home, metrics=("brightness",), results=home / "fresh", keep=0)[0].run()
    (fresh,) = store.cells(home / "fresh")
    runner(home, keep=20, keep_format="png", metrics=())[0].evaluate()
    joint = next((home / "runs" / "samples").rglob("joint"))
    kept = [
        p
        for p in (home / "runs/artefacts/samples").glob("*/")
        if json.loads((p / "card.json").read_text())["identity"]["given"] == []
    ]
    samples = load_file(kept[0] / "tensors.safetensors")
    assert samples["pen"].shape == (20, 1, 28, 28)
    assert samples["pen"].dtype == torch.float32
    assert samples["name"].dtype == torch.int64
    assert len(list(joint.glob("pen/*.png"))) == 20
    assert len((joint / "name.txt").read_text().splitlines()) == 20
    shutil.rmtree(home / "runs/artefacts/stage")
    evaluator, _ = runner(home, metrics=("brightness",))
    assert len(evaluator.evaluate().extended) == 1
    values = [[r["value"] for r in c["rows"] if r["metric"] == "brightness"] for c in (only(home), fresh)]
    assert values[0] == pytest.approx(values[1], rel=ROUNDING)


def test_without_a_model_or_a_cell_the_error_says_what_to_do(home: Path) -> None:
    shutil.rmtree(home / "runs/artefacts/stage")
    outcome = runner(home, metrics=("brightness",))[0].evaluate()
    assert "there is no trained elbo" in outcome.failed[0][1]
    assert only(home)["status"] == "complete"
    assert not list((home / "results").rglob("*.failed.json"))
    with pytest.raises(ResultError, match="compute them with `mmbench run`"):
        runner(home, models=("mopoe",))[0].evaluate()


def test_all_leaves_out_what_does_not_fit_the_dataset(home: Path) -> None:
    everything, notes = runner(home, models=("all",), settings=())
    names = {cell.key.model for cell in everything.plan()}
    assert {"mld", "mvae", "nexus"} <= names
    assert "mld_star" not in names
    assert any(line.startswith("mld_star: left out of 'all'") for line in notes.said)
    asked, _ = runner(home, models=("mld_star",), settings=(), dataset="glyphs_street")
    assert [cell.key.model for cell in asked.plan()] == ["mld_star"], "asked for by name it is run"
