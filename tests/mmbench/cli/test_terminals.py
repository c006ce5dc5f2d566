"""Terminals and pipes of other kinds: encodings, closed ones, full ones, readers that have gone. As processes."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mmbench import store
from mmbench.cli.run import _finish
from mmbench.engine.outcome import Outcome
from mmbench.progress import word

from ..cells import cell

MMBENCH = [sys.executable, "-m", "mmbench"]
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a [b] :art: ü") / "results"
    store.write(folder, cell("mvae"))
    return folder


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["bash", "-c", line], capture_output=True, timeout=60, env={**os.environ, **environment})


def called(*words: str) -> str:
    return shlex.join([*MMBENCH, *words])


@FULL
@pytest.mark.parametrize(
    ("verb", "encoding"),
    [("list", "utf-8"), ("--help", "utf-8"), ("run", "utf-8"), ("report", "utf-8"), ("list", "ascii")],
)
def test_a_full_device_is_one_sentence(results: Path, verb: str, encoding: str) -> None:
    words = {"report": ["report", "--results", str(results)], "run": ["run", "--help"]}.get(verb, [verb])
    done = shell(f"{called(*words)} > /dev/full", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"mmbench: the standard output takes no more: No space left on device\n"


@FULL
def test_what_cannot_be_said_is_no_other_exit_code(tmp_path: Path) -> None:
    done = shell(f"{called('report', '--results', str(tmp_path / 'none'))} 2> /dev/full")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-"])
def test_closed_ones_are_no_reason_to_fail(results: Path, closed: str) -> None:
    done = shell(f"{called('report', '--results', str(results))} {closed}")
    assert (done.returncode, done.stderr) == (0, b"")
    assert bool(done.stdout) == (">&-" not in closed.replace("2>&-", ""))


@pytest.mark.parametrize("words", [("report",), ("list",), ("run", "--help")])
def test_a_reader_may_go(results: Path, words: tuple[str, ...]) -> None:
    more = ("--results", str(results)) if words == ("report",) else ()
    done = shell(f"{called(*words, *more)} | head -1")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("environment", "encoding"),
    [
        ({"PYTHONIOENCODING": "latin-1"}, "latin-1"),
        ({"PYTHONIOENCODING": "cp437"}, "cp437"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "utf-8"),
        ({"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "20"}, "utf-8"),
    ],
    ids=str,
)
def test_every_encoding_prints_the_table(results: Path, environment: dict[str, str], encoding: str) -> None:
    done = shell(called("report", "--results", str(results)), **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "Mean ± sample standard deviation" in done.stdout.decode(encoding)
    assert b"\x1b" not in done.stdout


def test_a_name_that_is_no_text_is_escaped_in_every_encoding(tmp_path: Path) -> None:
    for encoding in ("utf-8", "ascii"):
        done = shell(f"{called('report', '--results')} $'{tmp_path}/\\xff\\xfe'", PYTHONIOENCODING=encoding)
        assert done.returncode == 1
        assert done.stderr.startswith(b"mmbench: ")
        assert b"\\udcff\\udcfe does not exist" in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["plain", "a b", "it's", "$HOME", "-x", 'a"b', "a;b", "ü [x]"])
def test_a_path_in_a_command_can_be_pasted(name: str) -> None:
    """Against the shell itself."""
    path = Path("/tmp") / name
    told = subprocess.run(["bash", "-c", f"printf %s {word(path)}"], capture_output=True, check=True).stdout.decode()
    assert told == str(path)


def test_the_next_command_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder of the results has a blank: what `run` says at its end is a command that finds it."""
    _finish(Outcome(), tmp_path / "my results")
    told = shlex.split(capsys.readouterr().err.partition("Next: ")[2])
    assert told == ["mmbench", "report", "--results", str(tmp_path / "my results")]
