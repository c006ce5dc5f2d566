"""Where the command line writes, what it refuses before any work, and how it prints what users typed."""

from __future__ import annotations

import importlib.metadata
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from matplotlib.image import imread
from typer.testing import CliRunner, Result

import mmbench.engine.engine
from mmbench import store
from mmbench.cells.given_samples import Sampled, sample_for
from mmbench.cli import app, terminal
from mmbench.cli.options import _path
from mmbench.errors import ConfigError, MmbenchError
from mmbench.modality import DatasetSpec, Modality
from mmbench.store import CellKey

from ..cells import cell

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command line in a folder that holds a cell; whatever goes wrong is a sentence."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    store.write(tmp_path / "results", cell(stages={}))

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, arguments)
        assert result.exception is None or isinstance(result.exception, MmbenchError | SystemExit), result.exception
        return result

    return run


def refused(result: Result) -> str:
    """The sentence of a mistake."""
    assert result.exit_code != 0
    said = str(result.exception) if isinstance(result.exception, MmbenchError) else " ".join(result.stderr.split())
    assert "\n" not in said
    return said


class FakeEngine:
    """Samples without a model."""

    made: int = 0

    def __init__(self, *_: Any) -> None:
        type(self).made += 1

    def sample(self, given: Any, targets: Any, count: int, noise: int) -> Sampled:
        pen = np.random.default_rng(0).integers(0, 255, (count, 1, 28, 28), dtype=np.uint8)
        key = CellKey("glyphs", "mld", "laptop", "ab12cd34ef", 0)
        return Sampled(key, {}, {"pen": pen, "name": np.array([f"text {k}" for k in range(count)])})


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[FakeEngine]:
    monkeypatch.setattr(mmbench.engine.engine, "Engine", FakeEngine)
    FakeEngine.made = 0
    return FakeEngine


BAD = {
    "./": "is a folder",
    "results": "is a folder",
    "a-file/x.png": "a file in the way",
}


@pytest.mark.parametrize("out", BAD)
def test_report_looks_at_its_places_before_it_reads(call: Call, out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a-file").write_text("mine")
    monkeypatch.setattr(store, "cells", lambda *_: pytest.fail("the cells were read"))
    assert BAD[out] in refused(call("report", "--out", out))
    assert "a file in the way" in refused(call("report", "--figures", "a-file"))
    assert Path("a-file").read_text() == "mine"


@pytest.mark.parametrize(
    ("out", "says"), [*BAD.items(), ("x.txt", "no form of pictures"), ("x.v2", "no form of pictures")]
)
def test_sample_looks_at_its_place_before_a_model_is_loaded(
    call: Call, engine: type[FakeEngine], out: str, says: str
) -> None:
    Path("a-file").write_text("mine")
    assert says in refused(call("sample", "--out", out))
    assert engine.made == 0
    assert sorted(p.name for p in Path().iterdir()) == ["a-file", "home", "results"]


@pytest.mark.parametrize("form", ["png", "jpg", "jpeg", "webp", "tif", "tiff", "pdf", "svg", "eps"])
def test_every_form_that_is_offered_can_be_written(call: Call, engine: type[FakeEngine], form: str) -> None:
    done = call("sample", "--out", f"x.{form}", "--count", "2")
    assert done.exit_code == 0, done.exception
    assert Path(f"x.{form}").stat().st_size > 500
    first = Path(f"x.{form}").read_bytes()
    call("sample", "--out", f"x.{form}", "--count", "2")
    if form != "eps":  # PostScript holds the time
        assert Path(f"x.{form}").read_bytes() == first


def test_a_picture_without_an_ending_is_a_png_of_that_name(call: Call, engine: type[FakeEngine]) -> None:
    assert call("sample", "--out", "x").exit_code == 0
    assert Path("x").read_bytes()[:4] == b"\x89PNG"
    assert not Path("x.png").exists()


def test_a_report_into_a_pipe_and_through_a_link(call: Call) -> None:
    os.mkfifo("pipe")
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(Path("pipe").read_text()), daemon=True)
    reader.start()
    assert call("report", "--out", "pipe").exit_code == 0
    reader.join(10)
    assert Path("pipe").is_fifo()
    Path("link").symlink_to("target.md")
    assert call("report", "--out", "link").exit_code == 0
    assert Path("link").is_symlink()
    assert heard == [Path("target.md").read_text()]
    assert heard[0].startswith("## MNIST_SVHN")


def test_a_tilde_is_home_in_every_path(call: Call, tmp_path: Path) -> None:
    store.write(tmp_path / "home" / "r", cell(stages={}))
    done = call("report", "--results=~/r", "--out=~/x.md", "--figures=~/f", "--runs=~/runs")
    assert done.exit_code == 0, done.exception
    assert (tmp_path / "home" / "x.md").is_file()
    assert list((tmp_path / "home" / "f").glob("*.png"))
    assert not (tmp_path / "~").exists()
    said = refused(call("data", "verify", "mnist_svhn", "--data-root=~/data"))
    assert str(tmp_path / "home" / "data") in said
    listed = call("cache", "list", "--runs=~/runs", "--results=~/r")
    assert str(tmp_path / "home" / "runs") in listed.stdout


@pytest.mark.parametrize(
    "line", ["report --results=", "report --out=", "cache clear --runs=", "data verify flowers --data-root="]
)
def test_an_empty_path_is_not_the_folder_one_is_in(call: Call, tmp_path: Path, line: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert "a path is empty (a variable that is not set?)" in refused(call(*line.split()))
    assert sorted(tmp_path.rglob("*")) == before


def test_every_path_option_knows_home() -> None:
    """None was forgotten: whatever the command line turns into a path goes through one function."""
    commands = list(app.registered_commands)
    for group in app.registered_groups:
        assert group.typer_instance
        commands += group.typer_instance.registered_commands
    found = []
    for command in commands:
        assert command.callback
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            if "Path" in str(get_args(hint)[:1]):
                assert get_args(hint)[1].parser is _path, f"{command.callback.__name__} {name}"
                found.append(name)
    assert {"out", "figures", "results", "runs", "data_root", "weights"} <= set(found)


def test_results_that_are_not_there_are_a_mistake_and_an_empty_folder_is_not(call: Call, tmp_path: Path) -> None:
    assert "nowhere/at/all does not exist" in refused(call("report", "--results", "nowhere/at/all"))
    Path("a-file").write_text("")
    assert "a-file is a file" in refused(call("report", "--results", "a-file"))
    (tmp_path / "empty").mkdir()
    done = call("report", "--results", "empty")
    assert done.exit_code == 0
    assert "There are no finished cells yet" in done.stdout


def test_too_many_samples_are_refused_before_any_work(call: Call, engine: type[FakeEngine]) -> None:
    said = refused(call("sample", "--out", "x.png", "--count", "1000000000"))
    assert "'--count'" in said
    assert "1000" in said
    assert engine.made == 0
    assert not Path("x.png").exists()


def test_a_picture_is_never_drawn_over_what_is_given(call: Call, engine: type[FakeEngine]) -> None:
    Path("digit.png").write_bytes(b"mine")
    Path("link.png").symlink_to("digit.png")
    for out in ("digit.png", "./digit.png", "link.png"):
        said = refused(call("sample", "--given", "pen=digit.png", "--out", out))
        assert f"--out {Path(out)} is the file of --given pen=digit.png: name another file" in said
    assert engine.made == 0
    assert Path("digit.png").read_bytes() == b"mine"
    assert call("sample", "--given", "name=" + "seven " * 100, "--out", "x.png").exit_code == 0, "a text is no file"


def test_a_modality_that_is_given_twice_is_refused(call: Call, engine: type[FakeEngine]) -> None:
    said = refused(call("sample", "--given", "b=x", "--given", "a=y", "--given", "b=z", "--out", "x.png"))
    assert said == "b is given 2 times: give it once, a sample has one b"
    assert not Path("x.png").exists()


def test_samples_that_memory_cannot_hold_are_refused_before_the_model() -> None:
    image = Modality(name="image", shape=(3, 1024, 1024), network="own", latent=4)
    text = Modality(name="text", shape=(4,), network="own", latent=4, likelihood="categorical", vocabulary=("a", "b"))
    spec = DatasetSpec(name="own", title="Own", modalities=(image, text))

    class Shop:
        class dataset:  # noqa: N801
            pass

    class Planner:
        shop = Shop

    Shop.dataset.spec = spec  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"would take 234\.4 GiB of memory: ask for at most 170"):
        sample_for(Planner, [], [], 10_000, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "bands"), [(1, 1), (8, 1), (20, 2), (25, 3), (100, 10), (150, 9)])
def test_the_picture_shows_all_that_was_asked_for(call: Call, engine: type[FakeEngine], count: int, bands: int) -> None:
    """150 samples of two modalities: rows of 18, so that the picture is about square."""
    from mmbench.report.figures import given_grid

    done = call("sample", "--out", "x.png", "--count", str(count))
    assert done.exit_code == 0
    assert done.stdout.count("name: text") == count, "texts are printed, all of them"
    sampled = FakeEngine().sample((), (), count, 0)
    made, key = sampled.made, sampled.key
    figure = given_grid({}, made, f"{key.model} on {key.dataset}, seed {key.seed}, budget {key.budget}")
    assert len(figure.axes) == 2 * bands
    assert sum(len(ax.images) for ax in figure.axes) == count
    words = [text.get_text().replace("\n", " ") for ax in figure.axes for text in ax.texts]
    assert words == [f"text {k}" for k in range(count)]
    boxes = [ax.get_position() for ax in figure.axes]
    assert all(0 <= box.y0 < box.y1 <= 1 for box in boxes)
    assert all(one.y0 > other.y1 for one, other in zip(boxes, boxes[1:], strict=False)), "rows lie on each other"
    assert imread("x.png").shape[0] == pytest.approx(figure.get_figheight() * 300, abs=2)


@pytest.mark.parametrize("typed", ["[bold]x[/bold]", "[/]", ":smile:", "a[0]"])
def test_what_users_typed_is_printed_as_it_is(
    call: Call, typed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert typed in refused(call("report", "--results", typed))
    assert call("report", "--out", f"{typed}.md").exit_code == 0
    assert Path(f"{typed}.md").is_file()
    terminal.say(f"wrote {typed}")
    assert f"wrote {typed}\n" in capsys.readouterr().err
    terminal.show(["what"], [[typed]])
    assert typed in capsys.readouterr().out


def test_words_do_not_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say("a\x1b[2Jb\x07\nc\rd")
    assert capsys.readouterr().err == "a [2Jb \nc d\n"


def test_the_version_is_that_of_the_distribution(call: Call) -> None:
    done = call("--version")
    assert (done.exit_code, done.stdout) == (0, f"mmbench {importlib.metadata.version('mmbench')}\n")
