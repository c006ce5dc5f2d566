"""The chaos test (benchmarks/chaos.py) in short: a grid that is killed a few times ends as an undisturbed one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from .conftest import TINY

SOURCE = Path(__file__).resolve().parents[3] / "benchmarks/chaos.py"


def test_a_grid_that_is_killed_ends_as_an_undisturbed_one(home: Path, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    spec = importlib.util.spec_from_file_location("chaos", SOURCE)
    assert spec
    assert spec.loader
    chaos = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(chaos)
    for name in ("calm", "wild"):  # what belongs to the dataset is there already
        (home / name / "runs").mkdir(parents=True)
        for part in (home / "runs").iterdir():
            (home / name / "runs" / part.name).symlink_to(part) if part.is_symlink() else None
        (home / name / "runs/artefacts").mkdir()
        for part in (home / "runs/artefacts").iterdir():
            (home / name / "runs/artefacts" / part.name).symlink_to(part)
    settings = [word for setting in ("schedule.steps=60", *TINY) for word in ("--set", setting)]
    models = ["--model", "mvae", "--model", "mvtcae", "--seeds", "1", "--budget", "smoke", "--metrics", "coherence"]
    found = chaos.chaos(home, [*models, *settings, "--jobs", "2"], kills=4, pause=6.0, seed=3)
    assert sum(found["kills"].values()) > 0
    assert found["exit code at the end"] == 0
    assert found["cells"] == 2
    assert found["differing"] == []
    assert found["left behind"] == []
