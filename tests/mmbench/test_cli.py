"""The command line as a user meets it: whole runs at a tiny budget, and one sentence for each mistake."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmbench import store

MLD = [
    *("--model", "mld", "--set", "mld.score.steps=6"),
    *("--set", "mld.sampler.steps=4", "--set", "mld.sampler.restarts=[]"),
    *("--set", "mld.autoencoders.pen.steps=300", "--set", "mld.autoencoders.sign.steps=60"),
]
MVAE = ["--model", "mvae", "--set", "mvae.schedule.steps=6"]
SMOKE = [
    *("run", "--budget", "smoke", "--set", "eval.count=40", "--set", "eval.quality_count=40"),
    *("--set", "eval.judge.steps=20"),
]


def call(*arguments, cwd, **environment):
    # one thread: many small tensors, and other processes on the same two cores
    env = {k: v for k, v in os.environ.items() if k != "MMBENCH_DATA"} | {"OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-m", "mmbench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, timeout=500)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder in which both models ran for seeds 0 and 1; the caches are shared by the tests of this file."""
    folder = tmp_path_factory.mktemp("cli")
    done = call(*SMOKE, *MLD, *MVAE, "--seeds", "2", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def cells(home):
    return store.cells(home / "results")


def test_every_cell_is_there_and_whole(home):
    keys = {(c["model"]["name"], c["seed"]) for c in cells(home)}
    assert keys == {("mld", 0), ("mld", 1), ("mvae", 0), ("mvae", 1)}
    for cell in cells(home):
        directions = {row["task"] for row in cell["rows"] if row["source"] == "model"}
        assert len(directions) == 1 + 9, "joint, and every subset of three to every modality outside it"
        assert {row["source"] for row in cell["rows"]} == {"model", "real", "shuffled", "reconstruction"}
        assert all(row["count"] <= 40 for row in cell["rows"])
        assert cell["environment"]["torch"]
        assert cell["calls"]
        assert cell["config"]
    mld = next(c for c in cells(home) if c["model"]["name"] == "mld")
    assert mld["calls"]["joint"]["score"] == 4
    assert mld["stages"]["autoencoder.name"]["skill"]["skill"] > 0.9


def test_a_second_run_skips_everything(home):
    before = {p: p.stat().st_mtime_ns for p in (home / "results").rglob("*.json")}
    done = call(*SMOKE, *MLD, *MVAE, "--seeds", "2", cwd=home)
    assert done.returncode == 0
    assert "4 complete already" in done.stderr
    assert {p: p.stat().st_mtime_ns for p in (home / "results").rglob("*.json")} == before


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(home):
    again = call(*SMOKE, *MVAE, "--seed", "1", "--out", "again", cwd=home)
    assert again.returncode == 0, again.stderr
    (repeated,) = store.cells(home / "again")
    rows = {c["seed"]: c["rows"] for c in cells(home) if c["model"]["name"] == "mvae"}
    assert repeated["rows"] == rows[1]
    assert repeated["rows"] != rows[0]
    one, other = (store.read_samples(home / "runs" / c["samples"]) for c in cells(home) if c["model"]["name"] == "mvae")
    assert (one["joint/target/pen"] != other["joint/target/pen"]).any()
    assert (one["pen->sign/given/pen"] == other["pen->sign/given/pen"]).all(), "the same conditions"


def test_evaluating_otherwise_does_not_train_again(home):
    fewer = ["eval.count=30" if word == "eval.count=40" else word for word in SMOKE]
    done = call(*fewer, *MLD, "--seed", "0", "--out", "other", cwd=home)
    assert done.returncode == 0, done.stderr
    assert "train" not in done.stderr
    (cell,) = store.cells(home / "other")
    assert cell["stages"]["score"]["steps"] == 6


def test_report_in_every_format(home):
    md = call("report", cwd=home)
    assert md.returncode == 0, md.stderr
    assert "MVAE" in md.stdout
    assert "MLD" in md.stdout
    assert call("report", "--format", "tex", cwd=home).stdout.count(r"\begin{tab") > 0
    out = call("report", "--format", "csv", "--out", "t.csv", "--figures", "fig", cwd=home)
    assert out.returncode == 0, out.stderr
    assert (home / "t.csv").read_text().count("\n") > 50
    assert len(list((home / "fig").glob("*.png"))) > 5


def test_sample_draws_from_a_finished_cell_for_what_is_typed(home):
    from matplotlib.image import imread

    done = call("sample", "--given", "name=seven", "--count", "3", "--out", "sevens.png", cwd=home)
    assert done.returncode == 0, done.stderr
    assert imread(home / "sevens.png").std() > 0.01
    again = call(
        "sample", "--model", "mvae", "--given", "pen=sevens.png", "--target", "name", "--out", "n.png", cwd=home
    )
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("name: ") == 8
    same = call(
        "sample", "--model", "mvae", "--given", "pen=sevens.png", "--target", "name", "--out", "n.png", cwd=home
    )
    assert same.stdout == again.stdout


def test_dry_run_shows_settings_and_computes_nothing(home):
    done = call("run", "--budget", "paper", "--dry-run", "--set", "width=256", "--out", "nothing", cwd=home)
    assert done.returncode == 0, done.stderr
    settings = json.loads(done.stdout[done.stdout.index("{") : done.stdout.rindex("}") + 1])
    assert settings["config"]["width"] == 256
    assert settings["config"]["score"]["epochs"] == 150
    assert not (home / "nothing").exists()


def test_a_failing_cell_is_recorded_and_the_others_go_on(home):
    done = call(*SMOKE, *MLD, *MVAE, "--set", "mld.autoencoders.pen.lr=1e30", "--out", "bad", cwd=home)
    assert done.returncode == 1
    assert "autoencoder.pen" in done.stderr
    (failed,) = store.failures(home / "bad")
    assert "autoencoder.pen" in failed["reason"]
    assert [c["model"]["name"] for c in store.cells(home / "bad")] == ["mvae"]
    assert "Traceback" not in done.stderr
    assert "autoencoder.pen" in call("report", "--results", "bad", cwd=home).stdout


def test_ctrl_c_loses_nothing(home):
    """Interrupted in the middle of training, the run says how to go on, keeps the state, and goes on from it."""
    command = [*SMOKE, "--model", "mvae", "--set", "schedule.steps=300", "--out", "cut", "--runs", "cut-runs"]
    shutil.copytree(home / "runs/cache", home / "cut-runs/cache")
    for kind in ("judge", "reference-autoencoder", "statistics"):
        shutil.copytree(home / "runs/artefacts" / kind, home / "cut-runs/artefacts" / kind)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for seconds in (2, 5, 12, 30):  # until it strikes in the middle of training, however slow the machine is
        process = subprocess.Popen(
            [sys.executable, "-m", "mmbench", *command], cwd=home, env=environment, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 120
        while not list((home / "cut-runs").rglob("seed-0.lease")) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=300)
        if list((home / "cut-runs").rglob("training.safetensors")):
            break
    assert process.returncode == 130, stderr
    assert "the same command goes on from here" in stderr
    assert "Traceback" not in stderr
    assert not store.cells(home / "cut")
    assert list((home / "cut-runs").rglob("training.safetensors"))
    again = call(*command, cwd=home)
    assert again.returncode == 0, again.stderr
    (cell,) = store.cells(home / "cut")
    assert cell["stages"]["elbo"]["history"]["step"][-1] == 300


WAITING = """
import sys, time
from pathlib import Path
from mmbench_baselines.mvae import MVAE

def wait(place):
    Path(f"in-{place}").touch()
    time.sleep(0.2)

class Net(MVAE):
    def loss(self, batch, generator):
        wait("loss")
        return super().loss(batch, generator)

    def generate(self, given, targets, *, count, generator):
        if list(Path("runs/artefacts/stage").glob("*/card.json")):  # not while the stage's skill is taken
            wait("generate")
        return super().generate(given, targets, count=count, generator=generator)
"""


@pytest.mark.parametrize(
    ("number", "code", "place"),
    [(signal.SIGTERM, 143, "loss"), (signal.SIGHUP, 129, "loss"), (signal.SIGTERM, 143, "generate")],
)
def test_a_machine_that_is_taken_back_loses_nothing(home, number, code, place):
    """A cluster's signals, in training and in sampling: saved, said, and an exit code of their own."""
    work = home / f"{place}-{number}"
    work.mkdir()
    for kind in ("cache", "artefacts/judge", "artefacts/reference-autoencoder", "artefacts/statistics"):
        shutil.copytree(home / "runs" / kind, work / "runs" / kind)
    (work / "waiting.py").write_text(WAITING)
    steps = 200 if place == "loss" else 2
    command = [*SMOKE, "--model", "waiting:Net", "--set", f"schedule.steps={steps}", "--metrics", "coherence"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mmbench", *command],
        cwd=work,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (work / f"in-{place}").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code, stderr
    assert f"interrupted by {number.name}; the same command goes on from here" in stderr
    assert "Traceback" not in stderr
    assert not list((work / "results").rglob("seed-*"))
    kept = {path.name for path in (work / "runs/artefacts/stage").rglob("*.*")}
    assert kept == ({"training.safetensors"} if place == "loss" else {"card.json", "tensors.safetensors"})
    assert not list(work.rglob("*.tmp"))


def test_a_plugin_that_ends_the_program_is_a_failed_cell(home):
    source = WAITING.replace('wait("loss")', "sys.exit(0)").replace("Net", "Exits")
    (home / "exits.py").write_text(source)
    done = call(
        *SMOKE, "--model", "exits:Exits", "--model", "mvae", "--set", "schedule.steps=2", "--out", "ends", cwd=home
    )
    assert done.returncode == 1
    assert "exits:Exits asked to end the whole program, SystemExit: 0 (exits.py:12)" in done.stderr
    assert "1 computed, 0 complete already, 1 failed." in done.stderr
    assert [c["model"]["name"] for c in store.cells(home / "ends")] == ["mvae"]


CLOSED = """
import os, sys
from mmbench.cli.terminal import Terminal, say
say("hello")
os.read(0, 1)  # until the terminal is gone
for _ in range(3):
    say("is anybody there?")
with Terminal().phase("train", 2) as advance:
    advance()
sys.exit(7)
"""


def test_a_terminal_that_was_closed_is_no_failure():
    """Nobody reads any more: the exit code stays what it is (120 is Python's for output that was lost)."""
    import pty

    master, slave = pty.openpty()
    env = os.environ | {"TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-c", CLOSED], stdin=subprocess.PIPE, stderr=slave, env=env)
    os.close(slave)
    assert b"hello" in os.read(master, 100)
    os.close(master)
    assert process.stdin
    process.stdin.write(b"x")
    process.stdin.close()
    assert process.wait(timeout=60) == 7


def test_the_cache_clears_what_was_left_half_written(tmp_path):
    path = tmp_path / "runs/cache/.glyphs.safetensors.0a1b2c3d.tmp"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(2_000_000))
    assert "half-written" not in call("cache", "clear", cwd=tmp_path).stderr, "somebody may be at it"
    os.utime(path, (time.time() - 2 * 86_400,) * 2)
    assert "1 half-written files would be removed, 2.0 MB" in call("cache", "clear", "--dry-run", cwd=tmp_path).stderr
    assert path.exists()
    assert "1 half-written files removed" in call("cache", "clear", cwd=tmp_path).stderr
    assert not path.exists()


def test_the_cache_lists_what_is_kept_and_clears_what_no_cell_needs(home):
    listed = call("cache", "list", cwd=home)
    assert listed.returncode == 0, listed.stderr
    assert "elbo of mvae on Glyphs, seed 1" in listed.stdout
    assert "judge of pen on Glyphs" in listed.stdout
    needed = int(re.search(r"judge of pen on Glyphs .* (\d+) cells", listed.stdout).group(1))
    assert needed >= 4, "judges belong to every cell of the data"
    runs = home / "spare"
    shutil.copytree(home / "runs", runs)
    (runs / "results.txt").unlink()
    kept = len(list((runs / "artefacts").glob("*/*/card.json")))
    shown = call("cache", "clear", "--runs", "spare", "--results", "nowhere", "--dry-run", cwd=home)
    assert f"{kept} artefacts would be removed" in shown.stderr
    assert len(list((runs / "artefacts").glob("*/*/card.json"))) == kept
    cleared = call("cache", "clear", "--runs", "spare", "--results", "nowhere", cwd=home)
    assert f"{kept} artefacts removed" in cleared.stderr
    assert not list((runs / "artefacts").glob("*/*/card.json"))


MISTAKES = [
    (["run", "--model", "mdl"], "did you mean 'mld'"),
    (["run", "--dataset", "glyfs"], "did you mean 'glyphs'"),
    (["run", "--dataset", "mnist_svhn"], "mmbench data fetch mnist_svhn"),
    (["run", "--set", "widht=3"], "did you mean 'width'"),
    (["run", "--set", "width=wide"], "width"),
    (["run", "--dataset", "mnist_svhn", "--set", "widht=3"], "did you mean 'width'"),  # before any data are looked for
    (["run", "--stale", "redo"], "redo"),
    (["run", "--set", "width"], "field=value"),
    (["run", "--seeds", "0"], "Invalid value for '--seeds'"),
    (["run", "--budget", "huge"], "huge"),
    (["run", "--device", "tpu"], "tpu"),
    (["run", "--out", "a-file"], "a-file"),
    (["run", "--model", "no_such_module:Model"], "no_such_module"),
    (["report", "--results", "nowhere/at/all"], "nowhere/at/all does not exist"),
    (["report", "--out", "./"], "is a folder"),
    (["sample", "--out", "x.txt"], "no form of pictures"),
    (["sample", "--count", "1000000000", "--out", "x.png"], "'--count'"),
    (["data", "fetch", "glyfs"], "did you mean 'glyphs'"),
    (["data", "verify", "mnist_svhn", "--data-root", "nowhere"], "mmbench data fetch mnist_svhn"),
    (["check", "mdl"], "did you mean 'mld'"),
    (["sample", "--given", "nam=seven", "--out", "x.png"], "did you mean 'name'"),
    (["sample", "--given", "name=sieben", "--out", "x.png"], "name"),
    (
        ["sample", "--given", "pen=nowhere.png", "--out", "x.png"],
        "nowhere.png cannot be used (No such file or directory)",
    ),
    (["sample", "--model", "mopoe", "--out", "x.png"], "compute them with `mmbench run`"),
    (["evaluate", "--metrics", "coherense"], "did you mean 'coherence'"),
    (["evaluate", "--results", "nowhere"], "compute them with `mmbench run`"),
]


@pytest.mark.parametrize(("arguments", "hint"), MISTAKES, ids=lambda a: " ".join(a) if isinstance(a, list) else "")
def test_mistakes_are_one_sentence(home, arguments, hint):
    Path(home / "a-file").touch()
    done = call(*arguments, cwd=home)
    assert "Traceback" not in done.stderr
    assert done.returncode != 0
    assert hint in " ".join(done.stderr.split())


def test_help_teaches(home):
    assert "mmbench run --model mld --model mvae" in call("run", "--help", cwd=home).stdout


def test_check_reports_each_check(home):
    done = call("check", "mvae", cwd=home)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("\n") >= 20
