"""The command that computes a cell anew, given back to the command line that made the cell."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from mmbench.cli import app
from mmbench.config import flat, override, to_json
from mmbench.data.glyphs import SPEC
from mmbench.errors import StorageError
from mmbench.store import files
from mmbench.store.commands import rerun
from mmbench.store.inventory import check_places
from mmbench_baselines.mvae import MVAEConfig

from ..cells import cell


@pytest.mark.parametrize(
    "typed", [[], ["latent=24", "schedule.steps=3", "beta=1.5"], ["schedule.epochs=0.5", "schedule.ema=none"]]
)
def test_the_settings_make_the_same_configuration(typed: list[str]) -> None:
    """A cell records what differs from its recipe."""
    recipe = MVAEConfig.recipe(SPEC, "laptop")
    config = override(recipe, typed)
    plain, own = flat(to_json(recipe)), flat(to_json(config))
    changed = {name: value for name, value in own.items() if value != plain.get(name)}
    words = shlex.split(rerun([cell("mvae", overrides=changed)]))
    sets = [words[k + 1] for k, word in enumerate(words) if word == "--set"]
    assert override(recipe, sets) == config


def test_a_command_is_one_that_the_command_line_takes() -> None:
    made = cell("my.net", 4, dataset="cub_partial", budget="laptop", overrides={
        "latent": 7, "schedule.epochs": None, "schedule.steps": 30, "prior": "normal", "limit": None, "eval.count": 500
    })  # fmt: skip
    made["model"]["typed"] = "my net:Model"
    line = rerun([made, cell("my.net", 2)])
    program, verb, *words = shlex.split(line)
    assert (program, verb) == ("mmbench", "run")
    found = get_command(app).commands["run"].make_context("run", words).params  # type: ignore[attr-defined]
    assert (found["model"], found["dataset"], found["budget"]) == (["my net:Model"], "cub", "laptop")
    assert (found["seed"], found["stale"], found["allow_partial"]) == (["2", "4"], "rerun", True)
    assert found["settings"] == ["latent=7", "schedule.steps=30", 'prior="normal"', "limit=null", "eval.count=500"]


@pytest.mark.parametrize("below", ["results", "a/b/results"])
def test_a_bad_folder_of_runs_leaves_no_folder_of_results(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file"):
        check_places(tmp_path / below, tmp_path / "file" / "runs")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(StorageError):
        check_places(tmp_path / "mine", tmp_path / "file")
    assert (tmp_path / "mine").is_dir(), "what was there stays"


def test_a_folder_of_runs_that_fails_when_it_is_written_to_leaves_none_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path) -> None:
        if folder.name == "runs":
            raise StorageError("the disk is full")
        files.check_writable(folder)

    monkeypatch.setattr("mmbench.store.inventory.check_writable", full)
    with pytest.raises(StorageError, match="full"):
        check_places(tmp_path / "a" / "results", tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("own", {"typed": "my_data:Own"}, ["--dataset", "my_data:Own"]),
        ("pets", {"typed": "my pets/pets.toml"}, ["--dataset", "my pets/pets.toml"]),
        ("polymnist_3", {"typed": "polymnist", "views": 3}, ["--dataset", "polymnist", "--views", "3"]),
        ("cub_partial", {}, ["--dataset", "cub", "--allow-partial"]),
        ("glyphs", {}, ["--dataset", "glyphs"]),
    ],
)
def test_a_dataset_is_asked_for_as_it_was(name: str, more: dict[str, object], words: list[str]) -> None:
    made = cell("mvae", dataset=name)
    made["dataset"].update(more)  # type: ignore[typeddict-item]
    said = shlex.split(rerun([made]))
    assert [word for word in words if word not in said] == []
    assert said[said.index("--dataset") + 1] == words[1]
    assert ("--views" in said, "--allow-partial" in said) == ("--views" in words, "--allow-partial" in words)
