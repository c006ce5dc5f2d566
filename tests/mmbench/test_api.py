"""`import mmbench` in Python: what is there, what it imports, and a whole run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mmbench
from mmbench import store
from mmbench.errors import ConfigError, ResultError

from .cells import cell

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples/notebook.ipynb"
TINY = {"schedule.steps": 4, "eval.count": 20, "eval.quality_count": 20, "eval.judge.steps": 5}


def test_results_need_no_torch() -> None:
    """Nor matplotlib, nor any part that trains: what is not imported takes no time."""
    code = """
import sys
from mmbench import load_results
heavy = {"torch", "torchvision", "matplotlib", "seaborn", "transformers", "ray", "scipy.stats"} & set(sys.modules)
sys.exit(str(heavy) if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_reading_results_needs_no_torch_either(tmp_path: Path) -> None:
    store.write(tmp_path, cell("mvae"))
    code = f"import sys, mmbench; mmbench.load_results({str(tmp_path)!r}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_every_name_is_there_and_what_is_not_is_an_attribute_error() -> None:
    for name in mmbench.__all__:
        assert getattr(mmbench, name).__doc__, name
        assert name in dir(mmbench)
    assert isinstance(mmbench.Model, type)
    with pytest.raises(AttributeError, match="no attribute 'Modle'"):
        mmbench.Modle  # noqa: B018


def test_results_are_tidy(tmp_path: Path) -> None:
    made = [cell("mvae", seed, hash=f"{beta}" * 10, config={"beta": beta}) for seed in (0, 1) for beta in (1, 2)]
    for one in made:
        store.write(tmp_path, one)
    table = mmbench.load_results(tmp_path)
    assert len(table) == sum(len(one["rows"]) for one in made)
    assert {"dataset", "split", "model", "seed", "metric", "task", "modality", "value", "config.beta"} <= {*table}
    means = table[(table.metric == "fid") & (table.task == "joint")].groupby("config.beta")["value"].mean()
    assert means.to_dict() == {1: 70.5, 2: 70.5}
    for column in store.COLUMNS:
        assert column in (mmbench.load_results.__doc__ or ""), f"{column} is not documented"


def test_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="is no folder of results"):
        mmbench.load_results(tmp_path / "nowhere")
    (tmp_path / "d/m/b-0").mkdir(parents=True)
    (tmp_path / "d/m/b-0/seed-0.json").write_text("{")
    with pytest.raises(ResultError, match="is damaged"):
        mmbench.load_results(tmp_path)
    with pytest.raises(ResultError, match="is no file"):
        mmbench.load_model(tmp_path / "seed-0.json")
    with pytest.raises(ConfigError, match="there is no budget"):
        mmbench.run("mvae", budget="smokee", results=tmp_path)


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep is run, read, drawn from; its cells' code is executed as a notebook's kernel would."""
    monkeypatch.chdir(tmp_path)
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    scope: dict[str, object] = {}
    for source in ("".join(c["source"]) for c in cells if c["cell_type"] == "code"):
        exec(compile(source, str(NOTEBOOK), "exec"), scope)
    table, samples, model = scope["table"], scope["samples"], scope["model"]
    assert isinstance(table, pd.DataFrame)
    assert sorted(table["config.latent"].unique()) == [4, 8]
    assert isinstance(samples, dict)
    assert isinstance(samples["pen"], np.ndarray)
    assert samples["pen"].shape[0] == 4
    assert isinstance(model, mmbench.Model)
