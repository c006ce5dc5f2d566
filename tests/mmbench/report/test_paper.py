"""What the paper prints, and that one module alone knows it by name."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import mmbench.report
from mmbench.plugins import METRICS, MODELS, available
from mmbench.report import paper

from .written import printed_table

REPORT = Path(mmbench.report.__file__).parent
NAMES = {*available(MODELS), *available(METRICS), *paper.PAPER_MODELS, *paper.METRICS}


def test_the_papers_numbers() -> None:
    table = printed_table("mnist_svhn")
    assert len(table) == 84  # Tables 1 and 4: six models, seven numbers each
    best = table[(table.table == 4) & (table.model == "mld") & (table.metric == "coherence") & (table.task == "joint")]
    assert (list(best["mean"]), list(best["std"])) == ([85.22], [0.5])
    birds = printed_table("cub")
    assert len(birds) == 35  # Table 5: seven models, five numbers each
    assert set(birds.model) == {"mvae", "mmvae", "mopoe", "nexus", "mvtcae", "mld", "mld_star"}
    assert all(np.isnan(list(birds["std"])))
    for dataset, lines in (("mnist_svhn", table), ("cub", birds)):
        read = paper.paper_voices(dataset)
        assert sum(map(len, read.values())) == len(lines)
        for r in lines.to_dict("records"):
            voices = {v.table: v for v in read[r["model"], (r["metric"], r["task"], r["modality"])]}
            np.testing.assert_equal((voices[r["table"]].mean, voices[r["table"]].std), (r["mean"], r["std"]))


@pytest.mark.parametrize("dataset", ["mnist_svhn_subset", "glyphs", "hyperparameters", "../paper/cub"])
def test_no_other_dataset_has_published_numbers(dataset: str) -> None:
    assert paper.paper_numbers(dataset) == {}


@pytest.mark.parametrize("path", sorted(REPORT.rglob("*.py")), ids=lambda path: path.relative_to(REPORT).as_posix())
def test_no_other_module_of_the_report_names_a_model_or_a_metric(path: Path) -> None:
    """As a string of its own; sentences may well speak of them."""
    words = {n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)}
    assert path.name == "paper.py" or not words & NAMES
