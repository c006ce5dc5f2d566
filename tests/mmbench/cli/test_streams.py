"""Terminals and pipes of every kind: closed, full, narrow, of another encoding; and words that a user pastes."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbench import store
from mmbench.cli import terminal
from mmbench.engine.outcome import Outcome
from mmbench.errors import ConfigError
from mmbench.progress import one_line, pasted

from ..cells import cell

MMBENCH = f"{sys.executable} -m mmbench"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    store.write(folder / "results", cell(stages={}))
    return folder


def shell(home: Path, line: str, **env: str) -> tuple[int, str, str]:
    """Exit code, output and error of a line of bash."""
    command = ["bash", "-o", "pipefail", "-c", line]
    done = subprocess.run(command, cwd=home, capture_output=True, timeout=120, env=os.environ | env)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("to", [">&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_streams_that_are_closed_are_no_traceback(home: Path, to: str) -> None:
    for verb, good in (("list", 0), ("report --results nowhere", 1)):
        code, _, err = shell(home, f"{MMBENCH} {verb} {to}")
        assert (code, "Traceback" in err, "Exception ignored" in err) == (good, False, False), verb


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_full_device_is_one_sentence_and_a_reader_that_left_none(home: Path, buffered: str) -> None:
    full = "mmbench: standard output takes no more (No space left on device): free some space or write elsewhere\n"
    for verb in ("list", "report", "run --help"):
        assert shell(home, f"{MMBENCH} {verb} >/dev/full", PYTHONUNBUFFERED=buffered) == (1, "", full)
    assert shell(home, f"{MMBENCH} report | true", PYTHONUNBUFFERED=buffered)[2] == ""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_what_is_opened_does_not_take_the_number_of_a_closed_stream(home: Path) -> None:
    """Else what a library prints would land in that file; so it is for the programs that are started."""
    code = (
        "from mmbench.cli.terminal import hold_open; hold_open(); import os, subprocess, sys; "
        "file = open('opened', 'w'); os.write(1, b'library'); os.write(2, b'library'); print('own', flush=True); "
        'child = \'import os; open("said", "w").write(" ".join(os.readlink(f"/proc/self/fd/{n}") for n in (0, 1, 2)))\''
        "; "
        "subprocess.run([sys.executable, '-c', child], check=True)"
    )
    assert shell(home, f"{sys.executable} -c {pasted(code)} <&- >&- 2>&-")[0] == 0
    assert (home / "opened").read_text() == ""
    assert (home / "said").read_text() == "/dev/null /dev/null /dev/null"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_encoding_prints_every_name(home: Path, encoding: str) -> None:
    name = "vögel-🎨-→"
    for line, good in ((f"cache list --runs {name}", 0), (f"report --results {name}", 1)):
        command = ["bash", "-c", f"{MMBENCH} {line} 2>&1"]
        env = os.environ | {"PYTHONIOENCODING": encoding}
        done = subprocess.run(command, cwd=home, capture_output=True, timeout=120, env=env)
        assert done.returncode == good, done.stdout
        assert name.encode(encoding, "backslashreplace") in done.stdout


@pytest.mark.parametrize(("columns", "kind"), [(1, "xterm-256color"), (20, "dumb"), (80, "")])
def test_a_narrow_terminal_gets_all_words(home: Path, columns: int, kind: str) -> None:
    said = on_a_terminal(home, columns, kind, "list")
    assert "mmbench_baselines.mmvae_dreg:MMVAEDReG" in said
    assert "…" not in said
    if kind != "xterm-256color":
        assert "\x1b" not in said


def on_a_terminal(home: Path, columns: int, kind: str, *arguments: str) -> str:
    """All that the command line prints on a terminal of so many columns."""
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "mmbench", *arguments]
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")} | {"TERM": kind}
    child = subprocess.Popen(command, cwd=home, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    said, end = b"", time.monotonic() + 120
    while time.monotonic() < end:
        try:
            part = os.read(mine, 65536)
        except OSError:  # the other side is gone
            break
        said += part
    os.close(mine)
    assert child.wait() == 0, said
    return said.decode()


NAMES = st.lists(
    st.sampled_from(["a b", "'", '"', "$HOME", "`x`", "\\", "!", "*", "~", "-", "\n", "\t", "\x1b[2J", "\u202e"])
    | st.sampled_from(["[bold]", ":art:", "🎨", "é", "ظ", "\udcff", "\\n", "%s", "#", ";", "&", "0", "\r", "\u200b"])
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4),
    min_size=1,
    max_size=6,
).map("".join)  # fmt: skip


@given(st.lists(NAMES, min_size=1, max_size=20))
def test_what_is_to_be_pasted_is_one_word_of_a_shell(names: list[str]) -> None:
    """The independent truth: bash, which prints each of its arguments."""
    line = "printf '%s\\0' " + " ".join(map(pasted, names))
    assert all(c.isprintable() for c in line), "it can be seen and selected"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]] == names


@pytest.mark.parametrize("name", ["re sults", "[bold] :art:", "it's;", "a\nb\udcff\u202etxt"])
def test_the_next_command_can_be_pasted(home: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from mmbench.cli.run import _finished

    store.write(home / name, cell(stages={}))
    _finished(Outcome(), Path(name))
    command = capsys.readouterr().err.partition("Next: mmbench ")[2]
    assert command.count("\n") == 1
    code, out, err = shell(home, f"{MMBENCH} {command}")
    assert (code, out[:3]) == (0, "## "), err


def test_an_environment_that_lacks_something(home: Path) -> None:
    assert shell(home, f"unset HOME TERM PATH LANG COLUMNS; {MMBENCH} report")[0] == 0
    empty = dict.fromkeys(("HOME", "TERM", "LANG", "MMBENCH_RUNS"), "")
    assert shell(home, f"{MMBENCH} report", **empty, COLUMNS="none")[0] == 0


def test_nobodys_home_is_a_sentence_and_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmbench.cli.options import _path

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"~nobody-here/x\.md: there is no home ~nobody-here; write \./~nobody-here"):
        _path("~nobody-here/x.md")
    (tmp_path / "~nobody-here").mkdir()
    assert _path("~nobody-here/x.md") == Path("~nobody-here/x.md"), "a folder of this name"
    assert _path("./~x") == Path("~x")
    code, _, err = shell(tmp_path, f"{MMBENCH} report --out x", MMBENCH_RUNS="~no-such-user/runs")
    assert (code, "there is no home ~no-such-user" in err) == (1, True)


def test_words_that_turn_the_direction_of_others_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say("a\u202eb\u2066c\u200d")
    terminal.tell("طائر\x1b[2J \u202dx")
    terminal.show(["what\x1b[2J"[:4]], [["y\x1b[2J\u202ez"], ["w" * 500]])
    said = capsys.readouterr()
    assert said.err == "abc\u200d\n"
    assert [line.rstrip() for line in said.out.splitlines()] == ["طائر [2J x", "what", "y [2Jz", "w" * 500]
    assert one_line("a\nb") == "a b"
