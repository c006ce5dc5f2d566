"""Cells on a cluster of Ray: two nodes of this machine, of which one is lost in the middle."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mmbench import store
from mmbench.cells.request import Request
from mmbench.engine.crews import crew
from mmbench.engine.engine import Engine
from mmbench.errors import ConfigError, ResultError, UnavailableError

from .conftest import TINY, Notes, asked

SLOW = '''
import os, time
from pathlib import Path
from mmbench_baselines.mvae import MVAE


class Slow(MVAE):
    """Tells where it is trained, a step at a time."""

    def loss(self, batch, generator):
        import ray
        with open("where.txt", "a") as file:
            file.write(ray.get_runtime_context().get_node_id() + "\\n")
        time.sleep(0.1)
        return super().loss(batch, generator)


class Leaves(MVAE):
    def loss(self, batch, generator):
        os._exit(3)
'''
STEPS = 40


@pytest.fixture
def cluster(home: Path, engine: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head and another node, each with room for one cell."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'mmbench[ray]'")
    from ray.cluster_utils import Cluster

    (home / "slow.py").write_text(SLOW.replace('"where.txt"', repr(str(home / "where.txt"))))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(home), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]))
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.other = made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    made.shutdown()


@pytest.fixture
def on(cluster: Any) -> Iterator[Callable[[Request], tuple[Engine, Notes]]]:
    engines: list[Engine] = []

    def make(request: Request, **more: Any) -> tuple[Engine, Notes]:
        notes = Notes()
        engines.append(Engine(request, notes, crew(request, notes, on=cluster.address, **more)))
        return engines[-1], notes

    yield make
    for engine in engines:
        engine.crew.stop()


def request(home: Path, **changes: Any) -> Request:
    return asked(home, **({"settings": (f"schedule.steps={STEPS}", *TINY)} | changes))


def test_a_node_is_lost_and_the_grid_completes(home: Path, cluster: Any, on, monkeypatch: pytest.MonkeyPatch) -> None:
    """The results are those of this machine alone; a worker that leaves fails its cell and no other."""
    wanted = request(home, models=("slow:Slow", "slow:Leaves"), seeds=(0, 1))
    engine, notes = on(wanted)
    removed: list[float] = []
    next_one, other = engine.crew.next, cluster.other.node_id

    def next_and_remove(seconds: float | None = None) -> Any:
        where = home / "where.txt"
        if not removed and where.exists() and where.read_text().count(other) > 3:
            cluster.remove_node(cluster.other, allow_graceful=False)
            removed.append(time.monotonic())
        return next_one(0.2)

    monkeypatch.setattr(engine.crew, "next", next_and_remove)
    outcome = engine.run()
    assert removed, "the other node had a cell"
    assert {(key.model, key.seed) for key in outcome.complete} == {("slow.Slow", 0), ("slow.Slow", 1)}
    assert {key.model for key, _ in outcome.failed} == {"slow.Leaves"}
    assert any("its worker was lost" in line and "tried again" in line for line in notes.said)
    assert "train elbo" in notes.phases, "the progress of the tasks is shown here"
    assert not list((home / "results").rglob(".shared-*"))
    there = {cell["seed"]: cell for cell in store.cells(home / "results")}
    monkeypatch.setattr("ray.get_runtime_context", lambda: type("Here", (), {"get_node_id": lambda _: "here"})())
    here = home / "here"
    (home / "runs/artefacts/stage").rename(home / "stages")
    local = request(home, models=("slow:Slow",), seeds=(0, 1), results=here)
    Engine(local, Notes(), crew(local, Notes(), jobs=0, threads=1)).run()
    for cell in store.cells(here):
        assert cell["stages"]["elbo"]["history"] == there[cell["seed"]]["stages"]["elbo"]["history"]
        assert cell["rows"] == there[cell["seed"]]["rows"]


def test_what_the_machines_do_not_share_is_said(home: Path, on, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmbench.engine import cluster

    monkeypatch.setattr(cluster, "_look", lambda *_: "does not see /data")
    with pytest.raises(ResultError, match="a machine of the cluster, does not see /data"):
        on(request(home))
    assert not list((home / "runs").glob(".shared-*"))


def test_what_does_not_go_together(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ({"on": "ray", "jobs": 0}, {"gpus": 0.5}, {"jobs": 0, "timeout": 3.0}):
        with pytest.raises(ConfigError):
            crew(request(home), Notes(), **wrong)
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UnavailableError, match=r"pip install 'mmbench\[ray\]'"):
        crew(request(home), Notes(), on="ray")
