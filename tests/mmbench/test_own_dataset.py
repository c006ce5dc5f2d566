"""A dataset that is not installed, 'module:Class', from the run to what is read of it afterwards."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mmbench
from mmbench.cli import app
from mmbench.errors import MmbenchError

OWN = """
import torch
from mmbench import Dataset, DatasetSource, DatasetSpec, Modality, Split

class Own(DatasetSource):
    title, summary = "Own", "two greys"
    def load(self, root, cache):
        print("loading")
        return Dataset(SPEC, split(60, 0), split(30, 1))

SPEC = DatasetSpec(name="own", title="Own", classes=2, metrics=("coherence",), modalities=(
    Modality(name="left", shape=(1, 28, 28), network="mnist_mlp", latent=4),
    Modality(name="right", shape=(1, 28, 28), network="NETWORK", latent=4)))

def split(count, seed):
    labels, own = torch.arange(count) % 2, torch.arange(count)
    x = torch.rand(2, count, 1, 28, 28, generator=torch.Generator().manual_seed(seed)) / 2
    x[:, labels == 1] += 0.5
    return Split({"left": x[0], "right": x[1]}, torch.stack([own, own], 1), labels)
"""
TINY = {"schedule.steps": 2, "eval.count": 20, "eval.quality_count": 20, "eval.judge.steps": 2}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_own_data.py").write_text(OWN.replace("NETWORK", "mnist_mlp"))
    (tmp_path / "my_misfit_data.py").write_text(OWN.replace("NETWORK", "svhn_conv"))
    yield tmp_path
    for name in ("my_own_data", "my_misfit_data"):
        sys.modules.pop(name, None)


def test_a_cell_of_it_is_run_reported_loaded_and_sampled(here: Path) -> None:
    typed = "my_own_data:Own"
    table = mmbench.run("mvae", typed, budget="smoke", set=TINY)
    assert set(table["dataset"]) == {"own"}
    assert "coherence" in set(table["metric"])
    assert len(mmbench.load_results(dataset=typed)) == len(mmbench.load_results(dataset="own")) == len(table)
    (path,) = here.glob("results/own/mvae/*/seed-0.json")
    assert json.loads(path.read_text())["dataset"]["typed"] == typed
    for word in (typed, "own"):
        report = CliRunner().invoke(app, ["report", "--dataset", word])
        assert report.exit_code == 0, report.output
        assert "## Own (`own`), budget smoke" in report.output
    assert isinstance(mmbench.load_model(path), mmbench.Model)
    assert mmbench.sample(path, count=3)["right"].shape == (3, 1, 28, 28)
    again = CliRunner().invoke(app, ["run", "--model", "mvae", "--dataset", typed, "--budget", "smoke", "--jobs", "0",
                                     *[word for k, v in TINY.items() for word in ("--set", f"{k}={v}")]])  # fmt: skip
    assert again.exit_code == 0, again.output
    assert "1 complete already" in again.output


def test_what_cannot_be_built_fails_before_a_judge_is_trained(here: Path) -> None:
    with pytest.raises(MmbenchError, match=r"'svhn_conv' does not fit the modality 'right' of shape \(1, 28, 28\)"):
        mmbench.run("mvae", "my_misfit_data:Own", budget="smoke", set=TINY)
    assert not list(here.glob("runs/artefacts/judge/*"))


MODEL = """
from mmbench_baselines.mvae import MVAE

class Unbuilt(MVAE):
    @classmethod
    def build(cls, dataset, config, networks):
        raise ValueError("no such layer")
"""


def test_a_model_that_cannot_be_built_fails_before_a_judge_is_trained(here: Path) -> None:
    (here / "my_unbuilt.py").write_text(MODEL)
    with pytest.raises(MmbenchError, match="no such layer"):
        mmbench.run("my_unbuilt:Unbuilt", "my_own_data:Own", budget="smoke", set=TINY)
    assert not list(here.glob("runs/artefacts/judge/*"))
    sys.modules.pop("my_unbuilt", None)
