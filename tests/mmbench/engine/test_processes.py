"""Workers of other processes: whatever one does or whatever is done to it, the others go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmbench import store
from mmbench.engine import grid, processes
from mmbench.engine.engine import Engine
from mmbench.engine.orders import Order
from mmbench.engine.processes import Processes, environment

from .conftest import TINY, Notes, asked

STRANGE = '''
"""Strangers' models that end their process, or never end."""
import os, signal, subprocess, sys, time
from pathlib import Path
from mmbench_baselines.mvae import MVAE


class Exits(MVAE):
    def loss(self, batch, generator):
        print("about to leave", flush=True)
        os._exit(0)


class KilledOnce(MVAE):
    def loss(self, batch, generator):
        if not Path("once").exists():
            Path("once").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(batch, generator)


class Crashes(MVAE):
    def loss(self, batch, generator):
        import ctypes
        ctypes.string_at(0)


class ExitsInRecipe(MVAE):
    @classmethod
    def recipe(cls, dataset, budget="paper"):
        os._exit(7)


class Loops(MVAE):
    def loss(self, batch, generator):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])  # which holds on to what is open
        while True:
            try:
                time.sleep(1)
            except BaseException:
                pass


class Speaks(MVAE):
    def loss(self, batch, generator):
        print('{"answer": {}}')
        print("a word", file=sys.stderr, flush=True)
        os.write(1, b"a byte")
        return super().loss(batch, generator)


class Waits(MVAE):
    def loss(self, batch, generator):
        Path("in-loss").touch()
        while not Path("go").exists():
            time.sleep(0.05)
        raise RuntimeError("enough")


class Slow(MVAE):
    def loss(self, batch, generator):
        Path("in-loss").write_text(str(os.getpid()))
        time.sleep(0.2)
        return super().loss(batch, generator)
'''


@pytest.fixture
def crew(home: Path, engine: object) -> Iterator[Callable[..., tuple[Engine, Notes]]]:
    """An engine whose cells are computed by other processes."""
    (home / "strange.py").write_text(STRANGE)
    crews: list[Processes] = []

    def make(jobs: int = 1, timeout: float | None = None, **changes: Any) -> tuple[Engine, Notes]:
        notes, request = Notes(), asked(home, **changes)
        crews.append(Processes(request, notes, jobs, timeout, threads=1))
        return Engine(request, notes, crews[-1]), notes

    yield make
    for each in crews:
        each.stop()


def strange(*names: str) -> tuple[str, ...]:
    return tuple(f"strange:{name}" for name in names)


def test_each_crash_fails_its_cell_alone(home: Path, crew) -> None:
    """Six models, of which one is in order and two come to their end."""
    models = strange("Exits", "Crashes", "ExitsInRecipe", "KilledOnce", "Speaks")
    engine, notes = crew(jobs=2, models=(*models, "my_net:Net"))
    outcome = engine.run()
    assert sorted(key.model for key in outcome.complete) == ["my_net.Net", "strange.KilledOnce", "strange.Speaks"]
    reasons = {key.model.removeprefix("strange."): reason for key, reason in outcome.failed}
    assert set(reasons) == {"Exits", "Crashes"}
    assert reasons["Exits"].startswith("its process ended by itself with exit code 0, 2 times (what it printed is in ")
    assert reasons["Crashes"].startswith("its process was ended by SIGSEGV, 2 times")
    assert any("was ended by SIGKILL (for want of memory, perhaps); it is tried again" in line for line in notes.said)
    (left_out,) = outcome.broken
    assert left_out.startswith("strange:ExitsInRecipe: left out: its process ended by itself with exit code 7")
    recorded = {
        failure["model"]["typed"].removeprefix("strange:"): failure for failure in store.failures(home / "results")
    }
    assert {name: failure["reason"] for name, failure in recorded.items()} == reasons
    (log,) = (home / "runs/logs").rglob("strange.Exits/**/*.log")
    assert log.read_text() == "about to leave\n" * 2
    assert str(log.relative_to(home)) in reasons["Exits"] or str(log) in reasons["Exits"]
    assert "Segmentation fault" in next((home / "runs/logs").rglob("strange.Crashes/**/*.log")).read_text()
    spoken = next((home / "runs/logs").rglob("strange.Speaks/**/*.log")).read_text()
    assert spoken.count("a word") == spoken.count('{"answer": {}}') == spoken.count("a byte") == 4
    assert not list((home / "runs/logs").rglob("my_net*/**/*.log")), "an empty log is none"
    assert not list((home / "runs/locks").rglob("*.lease")), "nor is the lock of a cell left"


def test_one_that_never_ends_is_ended(home: Path, crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "HUNG", 1.0)
    engine, notes = crew(timeout=20, models=strange("Loops"))
    (failed,) = engine.run().failed
    assert "it took longer than 20 s (--timeout)" in failed[1]
    assert not any("tried again" in line for line in notes.said), "it would take as long again"
    assert store.failures(home / "results")[0]["reason"] == failed[1]


def test_results_are_those_of_this_process(home: Path, crew, engine, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    torch.set_num_threads(1)
    crew(jobs=2, seeds=(0, 1))[0].run()
    theirs = {cell["seed"]: cell for cell in store.cells(home / "results")}
    (home / "results").rename(home / "theirs")
    (home / "runs/artefacts/stage").rename(home / "stages")
    engine(seeds=(0, 1))[0].run()
    ours = {cell["seed"]: cell for cell in store.cells(home / "results")}
    losses = {seed: cell["stages"]["elbo"]["history"] for seed, cell in ours.items()}
    assert losses == {seed: cell["stages"]["elbo"]["history"] for seed, cell in theirs.items()}
    assert losses[0] != losses[1]
    assert [ours[seed]["rows"] for seed in (0, 1)] == [theirs[seed]["rows"] for seed in (0, 1)]


def test_progress_comes_from_the_workers(crew) -> None:
    engine, notes = crew()
    engine.run()
    assert "train elbo" in notes.phases
    assert any(line.startswith("my_net.Net on Glyphs, seed 0") for line in notes.said)
    assert any(line.startswith("my_net.Net seed 0: done in") for line in notes.said)


def test_a_worker_whose_time_was_up_as_it_answered_gets_no_other_cell(home: Path) -> None:
    """It was asked to end and will: the next cell would be taken for one that hung."""
    crew = Processes(asked(home), Notes(), jobs=1)
    order, ended = Order(kind="check", model="mvae"), []
    worker: Any = SimpleNamespace(
        asked=1, order=order, done=lambda answer: (order, answer), kill=lambda: ended.append(1)
    )
    crew.workers.append(worker)
    found = crew._heard(worker, {"answer": {"report": {"fate": "complete"}}})
    assert found
    assert found[1].report
    assert found[1].report.fate == "complete"
    assert ended
    assert not crew.workers


RUN = [sys.executable, "-m", "mmbench", "run", "--budget", "smoke", "--metrics", "coherence"]
RUN += [word for setting in ("schedule.steps=40", *TINY) for word in ("--set", setting)]


def start(home: Path, *more: str) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen([*RUN, *more], cwd=home, env=environment, stdout=pipe, stderr=pipe, text=True)


def until(wanted: Callable[[], Any], seconds: float = 240) -> Any:
    last = time.monotonic() + seconds
    while not (found := wanted()):
        assert time.monotonic() < last
        time.sleep(0.05)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_who_gives_the_orders_is_ended_and_the_worker_saves(home: Path, crew, number: int) -> None:
    """Ctrl-C, a cluster's SIGTERM; and SIGKILL, of which the worker learns by the end of its orders."""
    run = start(home, "--model", "strange:Slow")
    until((home / "in-loss").exists)
    worker = int((home / "in-loss").read_text())
    assert worker != run.pid
    run.send_signal(number)
    said = run.communicate(timeout=240)[1]
    assert run.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[signal.Signals(number)]
    until(lambda: not alive(worker), 60)
    assert list((home / "runs").rglob("training.safetensors")), "what was trained is kept"
    assert not list((home / "runs").rglob("*.lease"))
    assert ("saving strange.Slow seed 0" in said) == (number != signal.SIGKILL)
    assert ("the same command goes on from here" in said) == (number != signal.SIGKILL)
    assert "Traceback" not in said


def test_two_runs_share_a_grid(home: Path, crew) -> None:
    """Each cell is computed once, both wait for the other's, and both are content."""
    runs = [start(home, "--model", "strange:Slow", "--model", "my_net:Net", "--seeds", "2") for _ in range(2)]
    said = [run.communicate(timeout=500)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    computed = [sum(": done in" in line for line in text.splitlines()) for text in said]
    assert sum(computed) == 4
    assert len(store.cells(home / "results")) == 4
    assert not any("FAILED" in text or "Traceback" in text for text in said)


def test_a_cell_that_failed_elsewhere_is_not_tried_again(home: Path, crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for, and its reason is the other's."""
    monkeypatch.setattr(grid, "POLL", 0.05)
    first = start(home, "--model", "strange:Waits")
    until((home / "in-loss").exists)
    engine, notes = crew(models=strange("Waits"), settings=("schedule.steps=40", *TINY))

    def say(message: str) -> None:
        notes.said.append(message)
        if "waiting for process" in message:
            (home / "go").touch()

    monkeypatch.setattr(notes, "say", say)
    outcome = engine.run()
    first.communicate(timeout=240)
    assert first.returncode == 1
    assert "strange:Waits failed with RuntimeError: enough" in outcome.failed[0][1]
    assert not notes.trained


@pytest.mark.parametrize(
    ("ours", "number", "jobs", "threads", "theirs"),
    [
        ({}, 0, 1, None, {}),
        ({}, 1, 2, 4, {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4"}),
        ({"CUDA_VISIBLE_DEVICES": "2,5"}, 3, 4, None, {"CUDA_VISIBLE_DEVICES": "5"}),
        ({"CUDA_VISIBLE_DEVICES": "2,5"}, 0, 1, None, {"CUDA_VISIBLE_DEVICES": "2,5"}),
        ({"CUDA_VISIBLE_DEVICES": ""}, 0, 2, None, {"CUDA_VISIBLE_DEVICES": ""}),
    ],
)
def test_cores_and_gpus_are_divided(
    ours: dict[str, str], number: int, jobs: int, threads: int | None, theirs: dict[str, str]
) -> None:
    assert environment(ours, number, jobs, threads) == theirs


def test_workers_get_their_part_of_the_cores(home: Path, crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)))
    request = asked(home)
    assert Processes(request, Notes(), jobs=5).threads == 2
    assert Processes(request, Notes(), jobs=24).threads == 1
    assert Processes(request, Notes(), jobs=1).threads is None
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    assert Processes(request, Notes(), jobs=3).threads == 2


def test_a_cell_records_its_threads(home: Path, crew) -> None:
    crew()[0].run()
    (cell,) = store.cells(home / "results")
    assert cell["environment"]["device"].endswith("1 threads")
    assert json.loads(json.dumps(cell)) == cell
