"""Cells with missing modalities: stages, cells and tables of their own; who cannot says so; evaluated as trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from mmbench import store
from mmbench.api import load_results
from mmbench.cells.estimate import build
from mmbench.cells.plan import Planner
from mmbench.cells.workshop import Workshop
from mmbench.checks import toys
from mmbench.data.missing import incomplete, mask
from mmbench.engine.engine import Engine
from mmbench.errors import ConfigError, PluginError
from mmbench.model import Stage
from mmbench.progress import Progress
from mmbench.report.comparison import groups
from mmbench.store.commands import rerun
from mmbench.training import prepared
from mmbench.training.incomplete import loss_of

from .conftest import TINY, Notes, asked, stages

PEERS = pytest.mark.skipif(find_spec("multivae") is None, reason="multivae is not installed")
ABLE = '''
"""A stranger's model that learns from what is there, as its parent does."""
from mmbench_baselines.mvae import MVAE


class Able(MVAE):
    pass
'''


def cells(home: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((home / "results").rglob("seed-0.json"))]


def test_whole_and_incomplete_never_mix(engine: Callable[..., tuple[Engine, Notes]], home: Path) -> None:
    """A cell and stages of its own for each share; nothing of a whole one's names changes; a second run skips."""
    for share in (0.0, 0.3):
        run, notes = engine(models=("mvae",), missing=share)
        assert len(run.run().complete) == 1
        assert notes.trained == ["elbo"]
        assert any("missing=" in said for said in notes.said) == bool(share)
    found = cells(home)
    assert sorted(cell.get("missing", "whole") for cell in found if "missing" in cell) == [0.3]
    assert len({cell["hash"] for cell in found}) == 2 == len(stages(home))
    assert all(cell["overrides"].keys() == found[0]["overrides"].keys() for cell in found)
    run, notes = engine(models=("mvae",), missing=0.3)
    assert len(run.run().skipped) == 1
    assert notes.trained == []
    (group,) = groups(found)  # type: ignore[arg-type]
    assert [group.title(line).partition(" (missing=")[2][:3] for line in group.lines] == ["0, ", "0.3"]
    own = {cell.get("missing"): rerun([cell]) for cell in found}  # type: ignore[list-item]
    assert " --missing 0.3 " in own[0.3]
    assert "--missing" not in own[None]
    table = load_results(home / "results")
    assert set(table["missing"]) == {0.0, 0.3}


def test_a_whole_cell_is_named_as_before(home: Path) -> None:
    """The hash of 'mvae' at these settings says nothing of a share of 0."""
    plans = [_plan(home, missing) for missing in (0.0, 0.2)]
    assert plans[0].key.hash != plans[1].key.hash
    assert plans[0].train is plans[0].dataset.train
    assert "missing" not in plans[0].what
    assert plans[1].what == "mvae missing=0.2"
    assert torch.equal(plans[1].train.present, mask(len(plans[1].train), 3, 0.2, seed=0))  # type: ignore[arg-type]
    assert plans[1].dataset.validation.present is None
    assert plans[1].dataset.test.present is None


def _plan(home: Path, missing: float) -> Any:
    shop = Workshop(asked(home, models=("mvae",), missing=missing), torch.device("cpu"), Progress())
    (plan,) = Planner(shop).plan()
    return plan


def test_finished_cells_are_measured_as_they_were_trained(
    engine: Callable[..., tuple[Engine, Notes]], home: Path
) -> None:
    """`evaluate` takes no share: the cell says it."""
    engine(models=("mvae",), missing=0.3)[0].run()
    run, notes = engine(models=(), seeds=(), budget=None, settings=(), metrics=("reconstruction_error",))
    assert len(run.evaluate().extended) == 1
    assert notes.trained == []
    (cell,) = cells(home)
    assert "reconstruction_error" in cell["metrics"]


@pytest.mark.parametrize("model", ["nexus", "my_net:Net", pytest.param("multivae:MVAE", marks=PEERS)])
def test_a_model_that_cannot_says_so_before_anything_is_loaded(
    engine: Callable[..., tuple[Engine, Notes]], home: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workshop, "dataset", property(lambda self: pytest.fail("data are loaded")))
    with pytest.raises(PluginError, match=rf"{model} cannot be trained with missing modalities: .*leave --missing out"):
        engine(models=(model,), missing=0.2)


def test_others_are_computed_and_all_means_all_that_can(
    engine: Callable[..., tuple[Engine, Notes]], home: Path
) -> None:
    run, notes = engine(models=("nexus", "mvae"), missing=0.2)
    assert {cell.key.model for cell in run.plan()} == {"mvae"}
    assert len(run.broken) == 1
    assert "nexus: left out" in " ".join(notes.said)
    run, notes = engine(models=("all",), settings=TINY, missing=0.2)
    planned = {cell.key.model for cell in run.plan()}
    assert {"mvae", "mmvae", "mopoe", "mvtcae", "mld"} <= planned
    assert "nexus" not in planned
    assert not run.broken
    assert any("nexus: left out of 'all': it can only be trained on whole tuples" in said for said in notes.said)


def test_a_plugin_that_can_is_trained(engine: Callable[..., tuple[Engine, Notes]], home: Path) -> None:
    (home / "my_net.py").write_text(ABLE)
    run, _ = engine(models=("my_net:Able",), missing=0.5)
    assert len(run.run().complete) == 1
    (cell,) = cells(home)
    assert cell["missing"] == 0.5
    assert store.existing(home / "results", store.CellKey.of(cell)) == cell  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [-0.1, 1.0, 20.0, float("nan")])
def test_a_share_that_is_none_is_one_sentence(home: Path, share: float) -> None:
    with pytest.raises(ConfigError, match=r"--missing .* is no probability .* to less than 1"):
        asked(home, missing=share)


def test_a_prepare_that_forgets_and_a_stage_without_a_loss_are_named(home: Path) -> None:
    data = toys()[0]
    split = incomplete(data.train, 0.3, seed=0)
    built = build(_plan(home, 0.2))
    (stage,) = built.stages()
    forgets: Stage = replace(stage, prepare=lambda train: replace(train, present=None))
    with pytest.raises(PluginError, match=r"prepare must keep Split\.present"):
        prepared(forgets, split)
    with pytest.raises(PluginError, match="has no loss of incomplete tuples for its stage 'other'"):
        loss_of(built, replace(stage, name="other"), split)


def test_a_stage_of_one_modality_has_the_tuples_that_hold_it() -> None:
    """Whole ones: its own loss is taken."""
    data = toys()[1]
    split = incomplete(data.train, 0.4, seed=0)
    assert split.present is not None
    one = Stage(name="one", module=torch.nn.Linear(1, 1), schedule=None, loss=None, modalities=("flag",))  # type: ignore[arg-type]
    found = prepared(one, split)
    assert found.present is None
    assert torch.equal(found.index, split.index[split.present[:, 1]])
    two = prepared(replace(one, modalities=("flag", "word")), split)
    assert two.present is not None
    assert torch.equal(two.present, split.present[split.present[:, 1:].any(1)])
    assert prepared(one, data.train) is data.train
