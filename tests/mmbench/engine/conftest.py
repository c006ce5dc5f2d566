"""Engines at a tiny budget on the glyphs, whose judges are trained once for all tests here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mmbench.cells.request import Request
from mmbench.engine.engine import Engine
from mmbench.progress import Progress
from mmbench.store import provenance

TINY = ("eval.count=20", "eval.quality_count=20", "eval.batch_size=8", "eval.judge.steps=5")
NET = '''
"""A stranger's model."""
from mmbench_baselines.mvae import MVAE

SCALE = 1.0  # of the loss


class Net(MVAE):
    """Mine."""

    def loss(self, batch, generator):
        terms = super().loss(batch, generator)
        return {**terms, "loss": SCALE * terms["loss"]}
'''


def asked(home: Path, **changes: Any) -> Request:
    """One stranger's model on the glyphs, measured for coherence alone."""
    request = {
        "models": ("my_net:Net",),
        "dataset": "glyphs",
        "seeds": (0,),
        "budget": "smoke",
        "settings": ("schedule.steps=4", *TINY),
        "metrics": ("coherence",),
        "data_root": home,
        "results": home / "results",
        "runs": home / "runs",
        "device": "cpu",
    }
    return Request(**(request | changes))


class Notes(Progress):
    """Keeps what is said and which phases there were."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.phases: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def phase(self, title: str, total: int, unit: str = "step", done: int = 0) -> Any:
        self.phases.append(title)
        return super().phase(title, total, unit, done)

    @property
    def trained(self) -> list[str]:
        return [phase.removeprefix("train ") for phase in self.phases if phase.startswith("train ")]


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engine")


@pytest.fixture
def home(tmp_path: Path, caches: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, with the glyphs and what belongs to them made once."""
    (tmp_path / "runs" / "artefacts").mkdir(parents=True)
    for shared in ("cache", "artefacts/judge", "artefacts/reference-autoencoder", "artefacts/statistics"):
        (caches / shared).mkdir(parents=True, exist_ok=True)
        (tmp_path / "runs" / shared).symlink_to(caches / shared)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch, "set_flush_denormal", lambda _: True)
    return tmp_path


@pytest.fixture
def engine(home: Path) -> Callable[..., tuple[Engine, Notes]]:
    """An engine for a request with these changes, and what it says; as in a new process."""

    def make(**changes: Any) -> tuple[Engine, Notes]:
        for name in [name for name in sys.modules if name == "my_net"]:
            del sys.modules[name]
        provenance.code_of_module.cache_clear()
        provenance._imported.cache_clear()
        notes = Notes()
        return Engine(asked(home, **changes), notes), notes

    (home / "my_net.py").write_text(NET)
    yield make
    sys.modules.pop("my_net", None)


def only(home: Path) -> dict[str, Any]:
    (path,) = (home / "results").rglob("seed-0.json")
    return json.loads(path.read_text())


def stages(home: Path) -> list[dict[str, Any]]:
    """The cards of all trained stages."""
    return [json.loads(path.read_text()) for path in sorted((home / "runs/artefacts/stage").glob("*/card.json"))]
