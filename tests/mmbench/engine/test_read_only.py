"""What promises to change nothing opens nothing for writing: it works on a read-only folder, and every file stays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mmbench.cells.cell import CellWork
from mmbench.cells.plan import Planner
from mmbench.cells.stored import stored
from mmbench.cli import app
from mmbench.engine.engine import Engine
from mmbench.engine.hand import Hand
from mmbench.engine.outcome import Outcome
from mmbench.errors import ResultError, StorageError
from mmbench.progress import Progress
from mmbench.store import inventory, only_reading, write_text
from mmbench.store.files import check_writable, set_aside

from ..colleague import contents, in_a_process, open_folder
from .conftest import asked

VERBS = """
import json, os, sys
from pathlib import Path
from typer.testing import CliRunner
from mmbench.cli import app

home, lines = os.path.realpath(sys.argv[1]), sys.argv[2:]
attempts = []

def watch(event, args):
    if event == "open" and isinstance(args[0], str) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        note("open", args[0])
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.truncate", "os.utime", "os.link"):
        note(event, args[0])

def note(event, path):
    path = os.path.realpath(os.fsdecode(path)) if isinstance(path, (str, bytes, os.PathLike)) else ""
    if path.startswith(home + "/"):
        attempts.append(f"{event} {path}")

def call(line):
    done = CliRunner().invoke(app, line.split())
    return [done.exit_code, done.stdout, done.stderr, repr(done.exception)]

os.umask(0)
for line in lines:
    call(line)  # everything is imported
sys.addaudithook(watch)
become()
found = [call(line) for line in lines]
print(json.dumps([found, attempts]))
"""


@pytest.fixture(scope="module")
def finished(caches: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished cell of which samples are kept."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "set_flush_denormal", lambda _: True)
        Engine(asked(folder, models=("mvae",), keep=5, keep_format="png")).run()
    shutil.rmtree(folder / "runs/locks")
    shutil.rmtree(folder / "runs/artefacts/locks")
    return folder


@pytest.fixture
def home(finished: Path, home: Path) -> Path:
    shutil.rmtree(home / "runs")
    shutil.copytree(finished / "runs", home / "runs")
    shutil.copytree(finished / "results", home / "results")
    return home


@pytest.fixture
def kept(finished: Path) -> Iterator[Path]:
    """The same where another user can reach it."""
    with open_folder() as folder:
        shutil.copytree(finished, folder, dirs_exist_ok=True)
        (folder / "runs/results.txt").write_text(f"{folder}/results\n")
        yield folder


def closing(folder: Path, *, closed: bool) -> None:
    for path in [*folder.rglob("*"), folder]:
        path.chmod((0o555 if closed else 0o755) if path.is_dir() else 0o444 if closed else 0o644)


def test_verbs_that_change_nothing_work_on_a_read_only_folder(kept: Path) -> None:
    with open_folder() as own:
        places = f"--results {kept}/results --runs {kept}/runs"
        # the other user may not start this Python as a worker: --jobs 0
        evaluate = f"evaluate --jobs 0 --model mvae --metrics coherence {places} --data-root {kept}"
        lines = (
            f"report {places} --out {own}/report.md --figures {own}/figures",
            f"sample --model mvae --count 3 {places} --out {own}/x.png",
            evaluate,
            f"{evaluate} --save-samples 5 --save-format png",
            f"doctor {places}",
            f"cache list {places}",
            "list",
        )
        closing(kept, closed=True)
        before = contents(kept)
        found, attempts = in_a_process(VERBS, str(kept), *lines, cwd=own, home=own)
        assert contents(kept) == before
        closing(kept, closed=False)
        assert attempts == []
        for line, (code, out, err, exception) in zip(lines, found, strict=True):
            assert code == 0, (line, out, err, exception)
        assert "1 complete already" in found[2][2]
        assert "1 complete already" in found[3][2]
        assert (own / "x.png").stat().st_size > 500
        assert list((own / "figures").glob("*.png"))


def shown(home: Path) -> Path:
    return next((home / "runs/samples").rglob("seed-0.*.npz"))


def evaluated(home: Path) -> Outcome:
    return Engine(asked(home, models=("mvae",), metrics=("coherence",))).evaluate()


def test_a_look_leaves_a_damaged_sample_file_where_it_is(home: Path) -> None:
    request = asked(home, models=("mvae",), metrics=("coherence",))
    shown(home).write_bytes(b"no samples")
    before, hand = contents(home), Hand(request, Progress())
    plan = stored(Planner(hand.shop))[0]
    assert CellWork(plan, hand.shop, may_train=False).settled() is None, "they have to be drawn anew"
    assert contents(home) == before
    assert len(evaluated(home).extended) == 1
    assert shown(home).read_bytes() != b"no samples"
    assert [path.read_bytes() for path in shown(home).parent.glob("*.damaged-1")] == [b"no samples"]


@pytest.mark.parametrize("damage", ["damaged", "missing"])
def test_what_cannot_be_mended_where_nothing_can_be_written_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    path = shown(home)
    path.write_bytes(b"no samples") if damage == "damaged" else path.unlink()
    before = contents(home)

    def refuse(folder: Path) -> None:
        raise StorageError(f"{folder} cannot be written to (Read-only file system): name another folder")

    monkeypatch.setattr(inventory, "check_writable", refuse)
    with pytest.raises(StorageError) as caught:
        evaluated(home)
    what = f"the samples {path} are damaged (ValueError)" if damage == "damaged" else f"there are no samples at {path}"
    assert str(caught.value).startswith(f"mvae seed 0: {what} and have to be drawn anew, but {home}/results cannot be ")
    assert contents(home) == before


@pytest.mark.parametrize("damage", ["damaged", "fewer", "png"])
def test_kept_samples_that_have_to_be_written_are_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """Where nothing can be written: the damaged file, else the condition."""
    cards = [path for path in (home / "runs/artefacts/samples").glob("*/card.json") if "joint by" in path.read_text()]
    tensors = cards[0].parent / "tensors.safetensors"
    if damage == "damaged":
        tensors.write_bytes(b"no tensors")
    if damage == "png":
        next((home / "runs").rglob("joint/*/00001.png")).unlink()
    before = contents(home)

    def refuse(folder: Path) -> None:
        raise StorageError(f"{folder} cannot be written to (Read-only file system): name another folder")

    monkeypatch.setattr(inventory, "check_writable", refuse)
    count = 6 if damage == "fewer" else 5
    with pytest.raises(StorageError) as caught:
        Engine(asked(home, models=("mvae",), keep=count, keep_format="png")).evaluate()
    what = f"{tensors} is damaged (" if damage == "damaged" else "more samples (joint) have to be kept as png, but "
    assert str(caught.value).startswith(f"mvae seed 0: {what}")
    assert f"but {home}/results cannot be written to" in str(caught.value)
    assert contents(home) == before


def test_a_sample_file_that_may_not_be_read_is_not_drawn_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, before = Path.read_bytes, contents(home)

    def refusing(path: Path) -> bytes:
        if path.suffix == ".npz":
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refusing)
        assert len(evaluated(home).skipped) == 1
    assert contents(home) == before


def test_a_worker_touches_nothing_where_nothing_has_to_be_measured(kept: Path) -> None:
    before = contents(kept)
    places = f"--results {kept}/results --runs {kept}/runs --data-root {kept}"
    done = CliRunner().invoke(app, f"evaluate --model mvae --metrics coherence {places}".split())
    assert done.exit_code == 0, done.output
    assert "1 complete already" in done.output
    assert contents(kept) == before


def test_a_sample_writes_nothing_even_where_it_may(home: Path, engine) -> None:
    """Not the dataset's cache where there is none, nor a lock."""
    runs = home / "own-runs"
    shutil.copytree(home / "runs", runs, ignore=shutil.ignore_patterns("cache", "locks"))
    before = contents(runs), contents(home / "results")
    sampled = engine(models=("mvae",), runs=runs)[0].sample((), (), 2, 0)
    assert len(sampled.made["pen"]) == 2
    assert (contents(runs), contents(home / "results")) == before


@pytest.mark.parametrize("damage", ["damaged", "missing"])
def test_a_sample_of_a_damaged_model_is_a_sentence_and_sets_nothing_aside(home: Path, engine, damage: str) -> None:
    (tensors,) = (home / "runs/artefacts/stage").glob("*/tensors.safetensors")
    if damage == "damaged":
        tensors.write_bytes(tensors.read_bytes()[:-1])
    else:
        shutil.rmtree(tensors.parent)
    before = contents(home / "runs")
    with pytest.raises(ResultError, match=r"elbo|tensors\.safetensors is damaged") as caught:
        engine(models=("mvae",))[0].sample((), (), 2, 0)
    assert "`mmbench run`" in str(caught.value)
    assert contents(home / "runs") == before


def test_evaluate_makes_no_folder_where_there_is_nothing_to_do(home: Path, engine) -> None:
    (home / "runs/results.txt").unlink()
    before = contents(home / "runs"), contents(home / "results")
    outcome = engine(models=("mvae",), seeds=())[0].evaluate()
    assert len(outcome.skipped) == 1
    with pytest.raises(ResultError, match="holds no such cells"):
        engine(models=("mvae",), seeds=(), results=home / "nowhere")[0].evaluate()
    assert (contents(home / "runs"), contents(home / "results")) == before
    assert not (home / "nowhere").exists()


def test_a_stale_cell_is_refused_without_a_lock(home: Path, engine) -> None:
    (path,) = (home / "results").rglob("seed-0.json")
    cell = json.loads(path.read_text())
    cell["code"]["model"]["mmbench_baselines"] = "0123456789"
    path.write_text(json.dumps(cell))
    before = contents(home / "runs"), contents(home / "results")
    outcome = engine(models=("mvae",), seeds=(), metrics=("fmd",))[0].evaluate()
    assert "stale, other code made it" in outcome.failed[0][1]
    assert (contents(home / "runs"), contents(home / "results")) == before


def test_nothing_is_written_by_what_only_reads(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    before = contents(tmp_path)
    with only_reading():
        for work in (
            lambda: write_text(tmp_path / "new" / "b", "text"),
            lambda: write_text(tmp_path / "a", "other"),
            lambda: set_aside(tmp_path / "a"),
            lambda: check_writable(tmp_path / "new"),
        ):
            with pytest.raises(StorageError, match="changes nothing on disk"):
                work()
    assert contents(tmp_path) == before
    write_text(tmp_path / "a", "other")
