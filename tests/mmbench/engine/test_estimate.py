"""The estimate of a run's disk use, against the bytes that it wrote: at every write, and when all was done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import mmbench.store.files as files
import mmbench.training.loop as loop
from mmbench.cells.estimate import DiskUse, disk_use, words
from mmbench.cells.plan import Planner
from mmbench.cells.workshop import Workshop
from mmbench.data import glyphs
from mmbench.engine.engine import Engine
from mmbench.progress import Progress

from .conftest import asked
from .test_artefacts import MLD

MEASURED = ("eval.count=8", "eval.quality_count=8", "eval.batch_size=8", "eval.judge.steps=3")
SETTINGS = (*(f"mvae.{s}" for s in ("schedule.steps=3",)), *(f"mld.{s}" for s in MLD), *MEASURED)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "COUNTS", (80, 40))
    monkeypatch.setattr(torch, "set_flush_denormal", lambda _: True)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)  # after every step


def request(home: Path, **changes: Any) -> Any:
    wanted = {"models": ("mvae", "mld"), "settings": SETTINGS, "metrics": ("coherence", "fmd"), "keep": 16}
    return asked(home, **(wanted | changes))


def estimate(request: Any, jobs: int = 1) -> DiskUse:
    shop = Workshop(request, torch.device("cpu"), Progress())
    return disk_use(Planner(shop).plan(), shop, jobs)


def size(runs: Path) -> int:
    parts = [runs / "artefacts", runs / "samples"]
    return sum(path.lstat().st_size for part in parts for path in part.rglob("*") if path.is_file())


@pytest.fixture
def most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The most that lay there at a time: before each rename, when old and new are there."""
    found, sync = [0], files._to_disk

    def watched(path: Path) -> None:
        sync(path)
        found[0] = max(found[0], size(tmp_path / "runs"))

    monkeypatch.setattr(files, "_to_disk", watched)
    return found


@pytest.mark.parametrize("models", [("mvae",), ("mld",), ("mvae", "mld")])
def test_what_a_run_writes_was_foreseen(tmp_path: Path, most: list[int], models: tuple[str, ...]) -> None:
    own = tuple(s for s in SETTINGS if s.startswith((*models, "eval.")))
    wanted = request(tmp_path, models=models, settings=own)
    foreseen = estimate(wanted)
    assert len(Engine(wanted, Progress()).run().complete) == len(models)
    end = size(tmp_path / "runs")
    assert end <= foreseen.end <= 2 * end
    assert most[0] <= foreseen.peak <= 2 * most[0]
    assert estimate(wanted) == DiskUse(0, 0), "all of it is there"


def test_only_what_lacks_counts(tmp_path: Path) -> None:
    own = tuple(s for s in SETTINGS if s.startswith(("mvae", "eval.")))
    one, two = (request(tmp_path, models=("mvae",), settings=own, seeds=seeds) for seeds in ((0,), (0, 1)))
    apart, both = estimate(one), estimate(two)
    assert apart.end < both.end < 2 * apart.end, "the judges are shared"
    assert estimate(two, jobs=2).peak > both.peak, "two trainings have checkpoints at once"
    before = size(tmp_path / "runs")
    Engine(one, Progress()).run()
    assert estimate(two).end == pytest.approx(both.end - apart.end, rel=0.1)
    written = size(tmp_path / "runs") - before
    assert estimate(request(tmp_path, models=("mvae",), settings=own, keep=0, again=True)).end < written / 2
    more = estimate(request(tmp_path, models=("mvae",), settings=own, keep=32))
    assert 0 < more.end < apart.end
    assert more.peak == more.end, "nothing is trained"


def test_a_model_that_cannot_be_built_counts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tuple(s for s in SETTINGS if s.startswith(("mvae", "eval.")))
    shop = Workshop(request(tmp_path, models=("mvae",), settings=own), torch.device("cpu"), Progress())
    plans = Planner(shop).plan()
    monkeypatch.setattr(plans[0].cls, "build", classmethod(lambda *_: 1 / 0))
    assert disk_use(plans, shop) == DiskUse(0, 0)


def test_it_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 42_300_000_000}))
    runs = tmp_path / "not" / "yet"
    assert words(DiskUse(10, 1_300_000_000), runs) == f"this run may write about 1.3 GB to {runs}, 42 GB free"
    assert words(DiskUse(10, 3_120_000), runs) == f"this run may write about 3.1 MB to {runs}, 42 GB free"
