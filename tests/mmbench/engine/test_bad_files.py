"""A bad file in the place of a cell is one refused cell, never the end of a grid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmbench import store
from mmbench.errors import ResultError

SEEDS = (0, 1, 2)
BAD = ['{"schema": 3', "[]", '{"schema": 3, "rows": 5}']


def place(home: Path, seed: int) -> Path:
    return next((home / "results").rglob(f"seed-{seed}.json"))


@pytest.mark.parametrize("text", BAD)
def test_a_run_leaves_the_file_and_computes_the_others(home: Path, engine, text: str) -> None:
    engine(seeds=(0, 1))[0].run()
    place(home, 0).write_text(text)
    again, notes = engine(seeds=SEEDS)
    states = [cell.state for cell in again.plan()]
    assert states == ["damaged", "complete", "to compute"]
    outcome = again.run()
    assert [(key.seed, "seed-0.json" in reason) for key, reason in outcome.failed] == [(0, True)]
    assert [key.seed for key in outcome.skipped] == [1]
    assert [key.seed for key in outcome.complete] == [2]
    assert place(home, 0).read_text() == text
    assert sorted(path.name for path in place(home, 0).parent.iterdir()) == [f"seed-{k}.json" for k in SEEDS]
    assert any("FAILED" in line and "seed-0.json" in line for line in notes.said)


def test_evaluate_leaves_out_bad_files_and_cells_that_are_none_of_its_model(home: Path, engine) -> None:
    engine(seeds=SEEDS)[0].run()
    place(home, 0).write_text("{")
    odd = json.loads(place(home, 1).read_text())
    odd["config"]["no_such_setting"] = 1
    place(home, 1).write_text(json.dumps(odd))
    before = [place(home, seed).read_bytes() for seed in (0, 1)]
    outcome = engine(models=(), seeds=(), again=True)[0].evaluate()
    assert [key.seed for key in outcome.extended] == [2]
    assert not outcome.failed
    assert len(outcome.broken) == 2
    assert "seed-0.json is damaged" in outcome.broken[0]
    assert "no_such_setting" in outcome.broken[1]
    assert [place(home, seed).read_bytes() for seed in (0, 1)] == before
    assert not list((home / "results").rglob("*.failed.json"))


def test_only_bad_files_that_were_asked_for_count(home: Path, engine) -> None:
    engine(seeds=(0, 1))[0].run()
    place(home, 0).write_text("{")
    assert not engine(models=(), seeds=(1,), again=True)[0].evaluate().broken
    assert not engine(models=("my_net:Net",), budget="smoke", seeds=(1,))[0].evaluate().broken
    assert engine(models=("my_net:Net",), seeds=())[0].evaluate().broken
    assert not engine(models=("mvae",), seeds=(0, 1), settings=())[0].broken
    with pytest.raises(ResultError, match="holds no such cells"):
        engine(models=("mvae",), seeds=(), settings=())[0].evaluate()


def test_samples_come_from_a_cell_that_is_whole(home: Path, engine) -> None:
    engine(seeds=(0, 1))[0].run()
    place(home, 0).write_text("{")
    assert engine(models=("my_net:Net",), seeds=())[0].sample((), (), 2, 0).key.seed == 1
    place(home, 1).write_text("{")
    with pytest.raises(ResultError, match=r"seed-0\.json is damaged"):
        engine(models=("my_net:Net",), seeds=())[0].sample((), (), 2, 0)


RAISES = r'''
class Net(MVAE):
    """Fails with a text that no file can hold."""

    def loss(self, batch, generator):
        raise ValueError("half \ud800, none \0, " + "long " * 50_000)
'''


def test_a_failure_with_an_unprintable_reason_is_recorded_and_the_next_cell_runs(home: Path, engine) -> None:
    source = (home / "my_net.py").read_text()
    (home / "my_net.py").write_text(source.partition("class Net")[0] + RAISES)
    outcome = engine(seeds=(0, 1))[0].run()
    assert [key.seed for key, _ in outcome.failed] == [0, 1]
    recorded = store.failures(home / "results")
    assert [cell["seed"] for cell in recorded] == [0, 1]
    assert "half \N{REPLACEMENT CHARACTER}, none , long" in str(recorded[0]["reason"])
