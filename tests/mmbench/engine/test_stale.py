"""Nothing is reused silently across a change of code: weights, finished cells, metrics."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmbench.errors import ResultError
from mmbench.store import provenance

from .conftest import NET, TINY, only, stages


def test_a_comment_changes_nothing_and_a_constant_everything(home: Path, engine) -> None:
    engine()[0].run()
    first = only(home)
    assert set(first["code"]["model"]) == {"my_net", "mmbench_baselines"}
    (cell,) = (home / "results").rglob("seed-0.json")
    before = cell.read_bytes()

    (home / "my_net.py").write_text(NET.replace("# of the loss", "# of all terms").replace("Mine.", "Ours."))
    same, notes = engine()
    assert len(same.run().skipped) == 1
    assert (cell.read_bytes(), notes.trained) == (before, [])

    (home / "my_net.py").write_text(NET.replace("SCALE = 1.0", "SCALE = 2.0"))
    changed, notes = engine()
    outcome = changed.run()
    assert (len(outcome.stale), outcome.complete, outcome.failed) == (1, [], [])
    assert (cell.read_bytes(), notes.trained) == (before, []), "it is kept as it is"
    assert any("stale, other code made it (my_net " in line and "--stale rerun" in line for line in notes.said)

    refused, _ = engine(metrics=("fmd",), again=True)
    (failure,) = refused.evaluate().failed
    assert "stale, other code made it" in failure[1]
    assert cell.read_bytes() == before, "numbers of two codes are never mixed in a cell"
    with pytest.raises(ResultError, match=r"is stale, other code made it \(my_net"):
        engine()[0].sample((), (), 2, 0)

    rerun, notes = engine(stale="rerun")
    assert len(rerun.run().complete) == 1
    assert notes.trained == ["elbo"], "the weights of the other code are not loaded"
    assert only(home)["code"]["model"]["my_net"] != first["code"]["model"]["my_net"]
    assert len(stages(home)) == 2
    assert only(home)["stages"]["elbo"]["artefact"] != first["stages"]["elbo"]["artefact"]


def test_a_generate_that_was_edited_is_stale_too(home: Path, engine) -> None:
    engine()[0].run()
    (home / "my_net.py").write_text(NET + "\n    def prior(self, noise):\n        return 2 * super().prior(noise)\n")
    edited, _ = engine()
    assert len(edited.run().stale) == 1
    next((home / "results").rglob("seed-0.json")).unlink()
    fresh, notes = engine()
    fresh.run()
    assert notes.trained == ["elbo"], "the old weights do not serve the new code, either"


def test_the_harness_that_trains_counts(home: Path, engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine()[0].run()
    now = provenance.harness()
    monkeypatch.setattr("mmbench.cells.plan.harness", lambda: {**now, "training": "0123456789"})
    other, notes = engine()
    assert len(other.run().stale) == 1
    assert any("training" in line for line in notes.said if "stale" in line)


def test_other_code_of_a_metric_is_named_and_measured_anew_on_request(home: Path, engine, monkeypatch) -> None:
    engine()[0].run()
    before = only(home)
    now = provenance.harness()
    monkeypatch.setattr(provenance, "harness", lambda: {**now, "measuring": "0123456789"})
    kept, notes = engine()
    assert len(kept.run().skipped) == 1
    assert any("other code measured coherence" in line for line in notes.said)
    assert only(home) == before
    again, notes = engine(stale="rerun")
    assert len(again.run().extended) == 1
    assert notes.trained == []
    assert only(home)["metrics"]["coherence"]["code"]["measuring"] == "0123456789"


def test_run_again_computes_anew_from_the_trained_stages(home: Path, engine) -> None:
    engine()[0].run()
    first = only(home)
    again, notes = engine(again=True)
    assert len(again.run().complete) == 1
    assert notes.trained == []
    second = only(home)
    assert second["rows"] == first["rows"]
    assert second["environment"]["finished"] >= first["environment"]["finished"]


def test_a_misspelt_setting_is_refused_before_any_data_are_loaded(engine) -> None:
    from mmbench.errors import ConfigError

    for setting, says in (
        ("schedule.stepz=4", "did you mean 'steps'"),
        ("latent=wide", "latent = 'wide' will not do"),
        ("eval.cuont=3", "did you mean 'count'"),
        ("eval.split=tset", "split"),
    ):
        with pytest.raises(ConfigError, match=says):
            engine(settings=(setting,))


def test_cells_of_the_validation_split_are_cells_of_their_own(home: Path, engine) -> None:
    engine(settings=("schedule.steps=4", *TINY, "eval.split=validation"), models=("mvae",))[0].run()
    engine(models=("mvae",))[0].run()
    from mmbench import store

    one, other = store.cells(home / "results")
    assert {one["dataset"]["split"], other["dataset"]["split"]} == {"test", "validation"}
    assert one["dataset"]["fingerprint"] != other["dataset"]["fingerprint"]
    assert one["dataset"]["name"] == other["dataset"]["name"] == "glyphs"
    validation = one if one["dataset"]["split"] == "validation" else other
    assert (validation["dataset"]["train"], validation["dataset"]["test"]) == (18_000, 2_000)
    assert len(stages(home)) == 2, "models for choosing are trained without the validation tuples"
