"""What is left behind is told of, and goes where that is asked for, unless a living process uses it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import Result
from filelock import SoftFileLease
from typer.testing import CliRunner

from mmbench import store
from mmbench.cli import app
from mmbench.store import stale
from mmbench.store.artefacts import Artefact, Artefacts, read_card
from mmbench.store.locks import exclusive
from mmbench.tensors import keep

from ..cells import cell

DAY = 86_400
DIES = """
import os, sys
from pathlib import Path
from mmbench.store.locks import Watch
watch = Watch(Path(sys.argv[1]))
watch.take()
os._exit(0)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("MMBENCH_DATA", "MMBENCH_WEIGHTS", "MMBENCH_RUNS"):
        monkeypatch.delenv(name, raising=False)
    store.write(tmp_path / "results", cell("mld", 0))
    return tmp_path


def doctor(*arguments: str) -> Result:
    done = CliRunner().invoke(app, ["doctor", *arguments])
    assert done.exit_code == 0, done.output
    return done


def line(done: Result, word: str) -> str:
    (found,) = [line for line in done.output.splitlines() if word in line]
    return found


def dead_lock(path: Path) -> Path:
    """The lock of a process that has ended without a word."""
    subprocess.run([sys.executable, "-c", DIES, str(path)], check=True, timeout=60)
    return Path(f"{path}.lease")


def test_the_lock_of_a_dead_process_goes_and_that_of_a_living_one_stays(home: Path) -> None:
    dead = dead_lock(home / "runs/locks/glyphs-mld/seed-0")
    with exclusive(home / "runs/artefacts/locks/stage-0123"):
        done = doctor()
        assert "stale locks: 1" in done.output
        assert "lock of process" in line(done, dead.name)
        assert "of this host" in line(done, dead.name)
        assert "removed" not in done.output
        assert "removed" in line(doctor("--clean"), dead.name)
        assert (home / "runs/artefacts/locks/stage-0123.lease").is_file()
    assert not dead.exists()
    assert "stale locks: none" in doctor("--clean").output


@pytest.mark.parametrize(("silent", "stale_now"), [(200, False), (400, True)])
def test_another_hosts_lock_is_stale_after_five_minutes(home: Path, silent: int, stale_now: bool) -> None:
    path = dead_lock(home / "runs/locks/cell")
    owner = SoftFileLease(path).owner
    assert owner is not None
    path.write_text(path.read_text().replace(owner.hostname, "elsewhere"))
    now = time.time()
    os.utime(path, (now - silent, now - silent))
    touched = path.parent.stat().st_mtime_ns
    doctor()
    assert path.parent.stat().st_mtime_ns == touched, "a look writes nothing beside it"
    done = doctor("--clean")
    assert f"stale locks: {1 if stale_now else 'none'}" in done.output
    assert path.exists() != stale_now
    if stale_now:
        assert "of elsewhere" in line(done, path.name)


def test_half_written_files_go_after_a_day(home: Path) -> None:
    young, old = (home / f"runs/cache/.glyphs.safetensors.0a1b2c3{k}.tmp" for k in (0, 1))
    old.parent.mkdir(parents=True)
    for path in (young, old):
        path.write_bytes(bytes(1234))
    os.utime(old, (time.time() - 2 * DAY, time.time() - 2 * DAY))
    assert "left behind: 2, 2,468 bytes" in doctor().output
    done = doctor("--clean")
    assert line(done, old.name).endswith("(half-written, 1,234 bytes); removed")
    assert line(done, young.name).endswith("(half-written within a day, 1,234 bytes); kept")
    assert [path.name for path in old.parent.iterdir()] == [young.name]


def test_what_was_set_aside_is_kept_for_30_days(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / "runs/artefacts/stage/0123.damaged-1"
    folder.mkdir(parents=True)
    (folder / "tensors.safetensors").write_bytes(bytes(10**6))
    file = home / "results/seed-0.json.damaged-1"
    file.write_text("{")
    os.utime(file, (0, 0))  # an old file, set aside just now
    done = doctor("--clean")
    assert "left behind: 2, 1.0 MB" in done.output
    assert line(done, "0123.damaged-1").endswith("(set aside within two days, 1.0 MB); kept")
    assert folder.is_dir()
    now = time.time()
    monkeypatch.setattr(stale.time, "time", lambda: now + 31 * DAY)
    done = doctor("--clean")
    assert line(done, file.name).endswith("(set aside 31 days ago, 1 bytes); removed")
    assert not folder.exists()
    assert not file.exists()
    assert store.cells(home / "results"), "nothing else went"


def old_artefact(home: Path, data: str, days: float = 2) -> Artefact:
    made = Artefacts(home / "runs/artefacts").of("judge", {"data": data})
    keep(made, {"weight": torch.arange(100.0)}, f"judge of {data}", {}, 1.0)
    card = read_card(made.folder / "card.json")
    assert card is not None
    finished = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - days * DAY))
    aged = dataclasses.replace(card, finished=finished).sealed()
    (made.folder / "card.json").write_text(json.dumps(dataclasses.asdict(aged)))
    return made


def test_orphans_go_on_request_when_they_are_old_and_nobody_computes(home: Path) -> None:
    needed = old_artefact(home, store.cells(home / "results")[0]["dataset"]["fingerprint"])
    young, old = old_artefact(home, "young", days=0.5), old_artefact(home, "old")
    assert "artefacts that no cell needs: 2" in doctor("--clean").output
    with exclusive(home / "runs/locks/glyphs-mld/seed-1"):
        done = doctor("--clean", "--orphans")
        assert line(done, old.key).endswith("; kept"), "the cell that it was made for may be the one"
    with exclusive(home / "runs/artefacts/locks" / f"judge-{old.key}"):
        assert line(doctor("--clean", "--orphans"), old.key).endswith("; kept"), "it is being made"
    done = doctor("--clean", "--orphans")
    assert "judge of old, which no cell needs" in line(done, old.key)
    assert line(done, old.key).endswith("; removed")
    assert line(done, young.key).endswith("; kept")
    assert [made.folder.exists() for made in (needed, young, old)] == [True, True, False]


def test_orphans_are_not_known_while_a_cell_is_not(home: Path) -> None:
    made = old_artefact(home, "old")
    next(home.glob("results/*/*/*/seed-0.json")).write_text("{")
    done = CliRunner().invoke(app, ["doctor", "--clean", "--orphans"])
    assert done.exit_code == 1
    assert "artefacts that no cell needs: not known" in done.output
    assert made.folder.is_dir()
