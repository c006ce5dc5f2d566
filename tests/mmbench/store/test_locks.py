"""Locks: one owner at a time, whoever dies and wherever it ran."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmbench.errors import BusyError, StorageError
from mmbench.store import locks
from mmbench.store.locks import Watch, exclusive

HOLD = """
import sys, time
from pathlib import Path
from mmbench.store.locks import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
COUNT = """
import sys, time
from pathlib import Path
from mmbench.store import locks
locks.POLL = 0.01
path = Path(sys.argv[1])
for _ in range(25):
    with locks.exclusive(path, lambda owner: None):
        number = int(path.read_text())
        time.sleep(0.002)
        path.write_text(str(number + 1))
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def foreign(path: Path, host: str = "another-host", pid: int | None = None) -> Path:
    """The lock of a process of another host, as that host's filelock writes it."""
    lines = ["filelock/2", f"pid={pid or os.getpid()}", f"host={host}", "mode=lease", f"token={'ab' * 16}"]
    file = Path(f"{path}.lease")
    file.write_text("".join(f"{line}\n" for line in [*lines, f"duration={float(locks.LEASE)!r}"]))
    return file


def test_one_at_a_time(tmp_path: Path) -> None:
    """Four processes count to a hundred: none of their steps is lost."""
    path = tmp_path / "number"
    path.write_text("0")
    workers = [subprocess.Popen([sys.executable, "-c", COUNT, str(path)]) for _ in range(4)]
    assert [worker.wait(120) for worker in workers] == [0] * 4
    assert path.read_text() == "100"
    assert [p.name for p in tmp_path.iterdir()] == ["number"], "no lock is left behind"


def test_who_comes_second_is_told_who_holds_it(tmp_path: Path) -> None:
    process = holder(tmp_path / "cell")
    try:
        with (
            pytest.raises(BusyError, match=rf"process {process.pid} of \S+ holds .*cell"),
            exclusive(tmp_path / "cell"),
        ):
            pytest.fail("two are inside")
        assert not Watch(tmp_path / "cell").free()
    finally:
        process.kill()
        process.wait()


def test_the_lock_of_a_killed_process_is_taken_at_once(tmp_path: Path) -> None:
    process = holder(tmp_path / "cell")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert Path(f"{tmp_path}/cell.lease").exists()
    with exclusive(tmp_path / "cell"):
        assert Watch(tmp_path / "cell").owner.startswith(f"process {os.getpid()} of ")
    assert not list(tmp_path.iterdir())


def test_another_host_is_believed_while_its_lock_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process number says nothing here; a heart that beats does, and one that has stopped for so long."""
    assert locks.LEASE == 300, "five minutes"
    monkeypatch.setattr(locks, "LEASE", 1.0)
    monkeypatch.setattr(locks, "HEARTBEAT", 0.3)
    file = foreign(tmp_path / "cell", pid=2**22 - 3)  # none here has it
    watch = Watch(tmp_path / "cell")
    assert watch.owner == f"process {2**22 - 3} of another-host"
    until = time.monotonic() + 3
    while time.monotonic() < until:
        os.utime(file)
        assert not watch.free()
        time.sleep(0.1)
    while not watch.free():
        assert time.monotonic() < until + 60
        time.sleep(0.1)


def test_its_own_lock_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "HEARTBEAT", 0.05)
    with exclusive(tmp_path / "cell"):
        first = os.stat(f"{tmp_path}/cell.lease").st_mtime_ns
        until = time.monotonic() + 60
        while os.stat(f"{tmp_path}/cell.lease").st_mtime_ns == first:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_who_waits_says_so_once_and_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "POLL", 0.01)
    process, said = holder(tmp_path / "cell"), []

    def told(owner: str) -> None:
        said.append(owner)
        process.kill()
        process.wait()

    with exclusive(tmp_path / "cell", told):
        assert said
    assert said == [f"process {process.pid} of {said[0].rpartition(' ')[2]}"]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_kernel_locks_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(fcntl, "lockf", refuse)
    with exclusive(tmp_path / "cell"), pytest.raises(BusyError), exclusive(tmp_path / "cell"):
        pytest.fail("two are inside")


def test_what_the_first_edition_left_is_no_owner(tmp_path: Path) -> None:
    (tmp_path / "cell.lock").touch()
    with exclusive(tmp_path / "cell"):
        assert (tmp_path / "cell.lock").exists()


def test_a_lock_that_names_nobody_is_taken_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process died between making the file and writing into it, or the disk was full."""
    monkeypatch.setattr(locks, "TORN", 0.2)
    (tmp_path / "cell.lease").touch()
    watch = Watch(tmp_path / "cell")
    assert not watch.free()
    time.sleep(0.3)
    assert watch.free()


def test_where_no_file_can_be_made_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="a file is in the way"), exclusive(tmp_path / "file" / "cell"):
        pytest.fail("inside without a lock")
    assert (tmp_path / "file").read_text() == "mine"


def test_it_is_released_whatever_happens_inside(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), exclusive(tmp_path / "cell"):
        raise KeyboardInterrupt
    assert json.dumps(sorted(p.name for p in tmp_path.iterdir())) == "[]"
