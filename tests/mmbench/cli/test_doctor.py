"""Verbs in a folder with damaged files: told, left out, set aside; no training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from mmbench import store
from mmbench.cli import app
from mmbench.store.artefacts import Artefact, Artefacts
from mmbench.tensors import save_tensors

from ..cells import cell, keep_samples


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three good cells, one of which keeps samples, and a finished artefact; no data and no weights."""
    monkeypatch.chdir(tmp_path)
    for name in ("MMBENCH_DATA", "MMBENCH_WEIGHTS", "MMBENCH_RUNS"):
        monkeypatch.delenv(name, raising=False)
    for seed in (0, 1, 2):
        store.write(tmp_path / "results", cell("mld", seed))
    keep_samples(tmp_path / "runs", cell("mld", 0))
    artefact(tmp_path)
    return tmp_path


def artefact(home: Path) -> Artefact:
    made = Artefacts(home / "runs/artefacts").of("judge", {"data": "0123456789abcdef"})
    if not made.folder.exists():
        save_tensors(made.tensors, {"weight": torch.arange(100.0)})
        made.finish("judge of mnist", {}, 1.0, {})
    return made


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def seed(home: Path, number: int) -> Path:
    return next(home.glob(f"results/*/*/*/seed-{number}.json"))


def damage(path: Path) -> bytes:
    """Flip one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return bytes(content)


def break_row(path: Path) -> None:
    data: dict[str, Any] = json.loads(path.read_text())
    data["rows"][2]["value"] = "12"
    path.write_text(json.dumps(data))


def test_all_is_well(home: Path) -> None:
    done = call("doctor")
    assert done.exit_code == 0, done.output
    assert "bad files of cells: none" in done.output
    assert "damaged artefacts and sample files: none" in done.output
    assert f"torch {torch.__version__.split('+')[0]}" in done.output
    assert "GB free" in done.output


def test_a_folder_that_is_not_there_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    assert call("doctor", "--results", "a/b", "--runs", "c/d").exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_each_kind_of_damage_is_named(home: Path) -> None:
    break_row(seed(home, 1))
    made = artefact(home)
    damage(made.tensors)
    other = Artefacts(home / "runs/artefacts").of("stage", {"a": 1})
    save_tensors(other.folder / "training.safetensors", {"x": torch.ones(50)})
    damage(other.folder / "training.safetensors")
    third = Artefacts(home / "runs/artefacts").of("statistics", {"a": 1})
    third.finish("statistics", {}, 1.0, {})
    samples = next((home / "runs/samples").rglob("*.npz"))
    samples.write_bytes(samples.read_bytes()[:200])
    done = call("doctor")
    assert done.exit_code == 1
    for path in (seed(home, 1), made.tensors, other.folder / "training.safetensors", third.folder, samples):
        assert any(str(path.relative_to(home)) in line for line in done.output.splitlines()), path
    assert "rows.2.value: input should be a valid number" in done.output
    assert "bad files of cells: 1" in done.output
    assert "damaged artefacts and sample files: 4" in done.output


def test_a_card_with_another_identity_is_named(home: Path) -> None:
    card = artefact(home).folder / "card.json"
    card.write_text(card.read_text().replace("0123456789abcdef", "0123456789abcdee"))
    done = call("doctor")
    assert done.exit_code == 1
    assert "its identity has another key" in done.output


def test_bad_files_are_set_aside_and_nothing_else(home: Path) -> None:
    good = seed(home, 0).read_bytes()
    seed(home, 1).write_text("{")
    seed(home, 2).with_name("seed-2.failed.json").write_text("[]")
    done = call("doctor", "--set-aside")
    assert done.exit_code == 0, done.output
    names = sorted(path.name for path in seed(home, 0).parent.iterdir())
    assert names == ["seed-0.json", "seed-1.json.damaged-1", "seed-2.failed.json.damaged-1", "seed-2.json"]
    assert seed(home, 0).read_bytes() == good
    assert (seed(home, 0).parent / "seed-1.json.damaged-1").read_text() == "{"
    assert len(store.cells(home / "results")) == 2
    again = call("doctor")
    assert again.exit_code == 0
    assert "left behind: 2" in again.output


def test_leftovers_are_listed(home: Path) -> None:
    left = home / "runs/artefacts/judge/.card.json.1a2b.tmp"
    left.write_text("half")
    done = call("doctor")
    assert done.exit_code == 0
    assert str(left.relative_to(home)) in done.output


@pytest.mark.parametrize(
    ("format", "start"), [("md", "- results/mnist_svhn"), ("tex", "% results/mnist_svhn"), ("csv", None)]
)
def test_a_report_names_the_bad_file_and_shows_the_others(home: Path, format: str, start: str | None) -> None:
    break_row(seed(home, 1))
    done = call("report", "--format", format)
    assert done.exit_code == 1
    assert "1 bad file left out" in done.stderr
    assert "seed-1.json is damaged (rows.2.value" in " ".join(done.stderr.split())
    named = [line for line in done.stdout.splitlines() if "seed-1.json" in line]
    assert [line.startswith(str(start)) for line in named] == ([True] if start else [])
    assert "mld" in done.stdout.lower()
    seed(home, 1).unlink()
    without = call("report", "--format", format)
    assert without.exit_code == 0
    assert done.stdout.startswith(without.stdout.rstrip("\n")), "the tables are those of the other cells"


def test_a_report_of_bad_files_alone_names_them(home: Path) -> None:
    for number in (0, 1, 2):
        seed(home, number).write_bytes(b"\xff")
    done = call("report", "--dataset", "mnist_svhn")
    assert done.exit_code == 1
    assert done.stdout.count("not valid JSON") == 3
    assert "Bad files: 3" in done.stdout


def test_figures_leave_out_a_damaged_sample_file(home: Path) -> None:
    samples = next((home / "runs/samples").rglob("*.npz"))
    samples.write_bytes(samples.read_bytes()[:200])
    done = call("report", "--figures", "figures")
    assert done.exit_code == 0, done.output
    assert "left out of the grids" in " ".join(done.stderr.split())
    assert list((home / "figures").glob("*-seeds.png"))


def test_the_cache_clears_nothing_while_a_cell_is_unknown(home: Path) -> None:
    made = artefact(home)
    for number in (0, 1, 2):
        seed(home, number).write_text("{")
    listed = call("cache", "list")
    assert listed.exit_code == 1
    assert "judge of mnist" in listed.stdout
    refused = call("cache", "clear")
    assert refused.exit_code == 1
    assert "seed-0.json needs is not known (3 bad files of results)" in str(refused.exception)
    assert made.tensors.is_file()
    cleared = call("cache", "clear", "--all")
    assert cleared.exit_code == 0, cleared.output
    assert not made.folder.exists()


def test_a_mutated_sample_array_is_no_cell(home: Path) -> None:
    """The sample file's name is the cell's own: no other file is opened for it."""
    path = seed(home, 0)
    np.savez(home / "secret.npz", a=np.ones(3))
    path.write_text(path.read_text().replace("samples/mnist_svhn", "../mnist_svhn"))
    done = call("report")
    assert done.exit_code == 1
    assert "not the name of this cell's sample file" in done.stdout
