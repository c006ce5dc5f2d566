"""Names that people give to folders, files and models, whatever they are: the right value or one sentence, and no file
of theirs changes."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from mmbench import store
from mmbench.cli import app
from mmbench.errors import MmbenchError
from mmbench.plugins import MODELS, find, load
from mmbench.report import FORMATS, render
from mmbench.store import inventory
from mmbench.store.files import word, written_in_place

from .cells import cell
from .colleague import contents

ODD = [
    "[bold]",
    "[/",
    ":art:",
    "\n",
    "\r",
    "\t",
    "\x1b[2J",
    "\u2028",
    "\x85",
    "🎨",
    "é",
    "é",
    "-",
    "--",
    "~",
    "$HOME",
    "%s",
    "{0}",
    "*",
    "?",
    "|",
    "\\",
    '"',
    "'",
    "`",
    "<b>",
    "&amp;",
    "_",
    "^",
    "#",
    ";",
    "=",
    ",",
    ".",
    "..",
    "CON",
    "\u202e",
    "�",
    "mld",
    "seed-0.json",
    ".damaged-1",
    ".tmp",
]
ODD = [word.replace("/", "]") for word in [*ODD, " "]]
LETTERS = st.characters(exclude_characters="/\0", exclude_categories=["Cs"])
WORDS = st.lists(st.sampled_from(ODD) | st.text(LETTERS, max_size=5), min_size=1, max_size=6)
LONG = ["x" * 300, "é" * 130, "-" * 200]
NAMES = WORDS.map("".join).filter(lambda name: name not in ("", ".", "..")) | st.sampled_from(LONG)
"""Of a file or folder, as a system that takes any bytes may hold them."""
QUICK, SLOW = 60, 5000


def both(strategy: Any) -> Callable[[Callable[[Any], None]], Any]:
    """A test of a few examples, and of many with --slow; the same ones each time."""

    def decorate(check: Callable[[Any], None]) -> Any:
        def test(count: int) -> None:
            fixed = settings(
                max_examples=count,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            fixed(given(strategy)(check))()

        test.__doc__ = check.__doc__
        long = pytest.param(SLOW, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])
        return pytest.mark.parametrize("count", [QUICK, long])(test)

    return decorate


@contextmanager
def folder() -> Iterator[Path]:
    """A working directory that holds a file of a user's."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        Path("mine").write_text("mine")
        try:
            yield Path(name)
        finally:
            os.chdir(before)
        assert (Path(name) / "mine").read_text() == "mine"


def one_line(sentence: str, *names: str) -> bool:
    """Whether a sentence is one, but for what a user typed."""
    for name in names:
        sentence = sentence.replace(name, "")
    return "\n" not in sentence and "Traceback" not in sentence


def call(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, arguments)
    assert done.exception is None or isinstance(done.exception, MmbenchError | SystemExit), repr(done.exception)
    said = str(done.exception) if isinstance(done.exception, MmbenchError) else ""
    return done.exit_code, done.stdout, said


def possible(name: str) -> bool:
    """Whether the system can hold a file of this name: the independent truth."""
    try:
        with tempfile.TemporaryDirectory() as place:
            (Path(place) / name).write_text("")
    except OSError:
        return False
    return True


def refused(work: Callable[[], Any]) -> str:
    """The sentence of an error that a user may meet; '' where there is none."""
    try:
        work()
    except MmbenchError as error:
        return str(error)
    return ""


@both(NAMES)
def test_a_folder_of_results_may_have_any_name(name: str) -> None:
    with folder() as home:
        if not possible(name):
            assert one_line(refused(lambda: store.write(home / name, cell())) or "\n", name)
            return
        path = store.write(home / name, cell())
        assert store.gather(home / name).cells == [cell()]
        inventory.note_results(home / "runs", home / name)
        before = contents(home)
        inventory.note_results(home / "runs", home / name)
        assert inventory._known(home / "runs") == [home / name]
        assert contents(home) == before, "it is known"
        path.write_text("{")
        (bad,) = store.gather(home / name).bad
        assert bad.path == path
        assert one_line(bad.reason, name)


@both(NAMES)
def test_a_report_is_written_to_any_name_and_nowhere_else(name: str) -> None:
    with folder() as home:
        store.write(home / "results", cell(rows=[], stages={}))
        before = contents(home)
        code, _, said = call("report", f"--out=./{name}")
        after = contents(home)
        made = {path: entry for path, entry in after.items() if before.get(path) != entry}
        if code == 0 and name != "mine":
            assert set(made) == {name}
            assert (home / name).read_text().startswith("## ") or "There are no" in (home / name).read_text()
        elif name != "mine":
            assert not made
            assert one_line(said, name), said
        (home / "mine").write_text("mine")
        code, _, said = call("report", f"--results=./{name}/nowhere")
        assert code == 1
        assert one_line(said, name), said


TYPED = WORDS.map("".join) | st.tuples(WORDS.map("".join), WORDS.map("".join)).map(":".join)


@both(TYPED)
def test_a_model_of_any_name_is_found_or_a_sentence(name: str) -> None:
    before = list(sys.path)
    said = refused(lambda: load(MODELS, name))
    sys.path[:] = before
    assert one_line(said, name), said
    assert said or find(MODELS, name).name == name


@both(WORDS.map("".join))
def test_a_cell_of_any_name_comes_back_or_is_refused_and_can_be_reported(name: str) -> None:
    """As the name of a model, of a metric and of a dataset."""
    with folder() as home:
        odd = cell(model=name, dataset=name)
        odd["rows"][0]["metric"] = odd["rows"][0]["plugin"] = name
        if said := refused(lambda: store.write(home / "results", odd)):
            assert one_line(said, name), said
            assert list(home.iterdir()) == [home / "mine"]
            return
        path = store.write(home / "results", odd)
        assert path.parents[3] == home / "results"
        assert store.read(path) == odd
        assert store.gather(home / "results", name).cells == [odd]
        for form in FORMATS:
            text = render([odd], [], form, [])
            assert text.endswith("\n")
        lines = list(csv.DictReader(io.StringIO(render([odd], [], "csv", []))))
        assert {line["model"].lstrip("'") for line in lines} <= {"", name.lstrip("'")} or not name.isprintable()


@both(WORDS.map("".join))
def test_any_name_is_one_part_of_a_path(name: str) -> None:
    part = word(name)
    assert part == os.path.basename(part)
    assert part not in ("", ".", "..")
    assert not part.startswith(".")
    assert not written_in_place(Path("/nowhere") / part)


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_a_name_that_is_no_text_is_printed(tmp_path: Path) -> None:
    """Where it comes out of a command, on its own or in a sentence."""
    name = b"odd-\xff-\xf0\x9f\x8e\xa8"
    command = [sys.executable, "-m", "mmbench", "doctor", "--results", name, "--runs", name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert b"odd-\\udcff-\xf0\x9f\x8e\xa8: " in done.stdout
    done = subprocess.run([*command[:3], "report", "--results", name], cwd=tmp_path, capture_output=True, timeout=300)
    assert done.returncode == 1
    assert b"does not exist" in done.stderr
    assert b"Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
