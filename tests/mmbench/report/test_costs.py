"""What models took, in every format, against means that were taken by hand."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mmbench import store
from mmbench.report import Options, render
from mmbench.report.comparison import groups
from mmbench.report.costs import cost_lines, cost_notes, stage_lines
from mmbench.report.html import page
from mmbench.store.schema import Cell, fault

from ..cells import cell


def stage(steps: int, seconds: float, **more: Any) -> dict[str, Any]:
    plain = {"skill": {}, "collapsed": [], "artefact": "stage/0123456789abcdef", "history": {}}
    return {"steps": steps, "seconds": seconds, **plain, **more}


def measured(seed: int, **more: Any) -> Cell:
    """Two stages of 100 + 60 s, and 40 s more for each further seed; 1,500 and 2,500 GFLOP."""
    stages = {
        "autoencoder": stage(100, 100.0, parameters=1000, gflop=500.0),
        "score": stage(900, 60.0 + 40 * seed, parameters=2000, gflop=1000.0 + 1000 * seed),
    }
    cost = {
        "parameters": 3210,
        "gflop": 1500.0 + 1000 * seed,
        "calls": {
            "joint": {"score": 250.0, "decoder": 2.0},
            "mnist->svhn": {"score": 500.0},
            "svhn->mnist": {"score": 250.0, "decoder": 1.0},
            "mnist->mnist": {"decoder": 1.0},
        },
        "gflop_per_sample": 0.03125,
        "memory": 1500.0 + 100 * seed,
        "memory_of": "resident set of the process, since the cell began",
    }
    time = {"references": 7.0, "generate joint": 30.0, "generate mnist->svhn": 15.0 + 10 * seed}
    metrics = {
        name: {"distribution": "mmbench 0.1.0", "seconds": 20.0, "commit": None, "code": {}} for name in ("fmd", "fid")
    }
    made = cell("mld", seed, stages=stages, cost=cost, time=time, metrics=metrics, **more)
    assert fault(json.loads(json.dumps(made))) is None
    return made


OLD = cell("mvae", 0, stages={"elbo": stage(20, 30.0)}, time={})
CELLS = [measured(0), measured(1), OLD]
HAND = {
    "parameters": 3210.0,
    "training_seconds": 180.0,  # (160 + 200) / 2
    "training_steps": 1000.0,
    "training_gflop": 2000.0,
    "generation_seconds": 50.0,  # (45 + 55) / 2
    "sample_gflop": 0.03125,
    "joint_calls": 252.0,
    "conditional_calls": 375.5,  # (500 + 251) / 2; the reconstruction is none
    "measuring_seconds": 40.0,
    "memory": 1550.0,
}
PRINTED = ["2", "3,210", "3 min", "1,000", "2,000", "50 s", "0.0312", "252", "376", "1,550"]
LEFT_OUT = ["1", "–", "30 s", "20", "–", "–", "–", "–", "–", "–"]
ALL = Options(all=True)


def test_means_over_seeds() -> None:
    (group,) = groups(CELLS)
    ours, old = cost_lines(group)
    if ours.title != "MLD":
        ours, old = old, ours
    assert {name: number.mean for name, number in ours.numbers.items()} == pytest.approx(HAND)
    assert ours.numbers["training_seconds"].by_seed == {0: 160.0, 1: 200.0}
    assert {name: number.mean for name, number in old.numbers.items()} == {"training_seconds": 30, "training_steps": 20}
    stages = {(line.title, line.stage): line.numbers for line in stage_lines(group)}
    assert {key: numbers["training_seconds"].mean for key, numbers in stages.items()} == {
        ("MLD", "autoencoder"): 100.0,
        ("MLD", "score"): 80.0,
        ("MVAE", "elbo"): 30.0,
    }
    assert stages["MLD", "score"]["training_gflop"].mean == 1500.0
    assert "parameters" not in stages["MVAE", "elbo"]


def test_a_note_says_what_is_not_recorded_and_whose_memory_it_is() -> None:
    (group,) = groups(CELLS)
    said = " ".join(cost_notes(group))
    assert "not recorded in 1 of the 3 cells" in said
    assert "Peak memory: resident set of the process, since the cell began." in said
    gpu = measured(2)
    gpu["cost"]["memory_of"] = "tensors on the GPU, since the cell began"
    (mixed,) = groups([*CELLS, gpu])
    assert "began (2 cells); tensors on the GPU, since the cell began (1 cell)." in " ".join(cost_notes(mixed))
    (none,) = groups([OLD])
    assert "not recorded in these cells" in " ".join(cost_notes(none))
    (whole,) = groups(CELLS[:2])
    assert "not recorded" not in " ".join(cost_notes(whole))


def test_markdown_has_them_where_everything_is_asked_for() -> None:
    text = render(CELLS, options=ALL)
    _, _, part = text.partition("### Cost\n")
    rows = {line.split("|")[1].strip(): [w.strip() for w in line.split("|")[2:-1]] for line in part.splitlines()[3:5]}
    assert rows == {"MLD": PRINTED, "MVAE": LEFT_OUT}
    assert re.search(r"\| MLD +\| score +\| +2 \| +2,000 \| +80 s \| +900 \| +1,500 \|", text)
    assert "### Cost" not in render(CELLS)


def test_latex_has_them_too_and_they_fit_a_page() -> None:
    text = render(CELLS, format="tex", options=ALL)
    assert " & ".join(["MLD", *PRINTED]) + r" \\" in text
    assert r"MLD & score & 2 & 2,000 & 80 s & 900 & 1,500 \\" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}")
    assert "too wide" not in text
    assert len(re.findall(r"\\label\{(.*)\}", text)) == len(set(re.findall(r"\\label\{(.*)\}", text)))
    for head in re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n\\toprule\n.*\n(.*) \\\\\n\\midrule\nM", text):
        assert len(head[0]) == head[1].count("&") + 1


def test_json_has_each_seed() -> None:
    (group,) = json.loads(render(CELLS, format="json"))["groups"]
    found = {(c["title"], c["stage"]): c["of"] for c in group["costs"]}
    assert {name: one["mean"] for name, one in found["MLD", None].items()} == pytest.approx(HAND)
    assert found["MLD", None]["memory"] == {
        "unit": "MB", "mean": 1550.0, "std": pytest.approx(70.7106781), "by_seed": {"0": 1500.0, "1": 1600.0}
    }  # fmt: skip
    assert found["MVAE", "elbo"]["training_steps"]["by_seed"] == {"0": 20.0}


@pytest.mark.parametrize("wide", [False, True])
def test_csv_has_them_where_everything_is_asked_for(wide: bool) -> None:
    form = "csv-wide" if wide else "csv"
    records = list(csv.DictReader(io.StringIO(render(CELLS, format=form, options=ALL))))
    costs = [r for r in records if r["source"] == "cost" and r["model"] == "mld" and not r["task"]]
    if wide:
        assert {r["metric"]: float(r["mean"]) for r in costs} == pytest.approx(HAND)
        assert {(r["seed 0"], r["seed 1"]) for r in costs if r["metric"] == "memory"} == {("1500.0", "1600.0")}
    else:
        assert [(r["seed"], r["value"], r["unit"]) for r in costs if r["metric"] == "training_seconds"] == [
            ("0", "160.0", "s"), ("1", "200.0", "s")
        ]  # fmt: skip
    plain = list(csv.DictReader(io.StringIO(render(CELLS, format=form))))
    assert plain == [r for r in records if r["source"] != "cost"]


def test_the_page_has_them(tmp_path: Path) -> None:
    for one in CELLS:
        store.write(tmp_path / "results", one)
    text = page(store.gather(tmp_path / "results"), tmp_path / "runs")
    _, _, part = text.partition("-costs-table")
    rows = [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in part.partition("</table>")[0].split("<tr")]
    assert any(" ".join(PRINTED) in row for row in rows), rows
    assert "not recorded in 1 of the 3 cells" in text
    assert re.search(r'id="[\w-]*-stages-table"', text)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_the_tables_are_typeset_within_a_page(tmp_path: Path) -> None:
    head = r"\documentclass[twocolumn]{article}\usepackage[margin=0.875in]{geometry}\usepackage{booktabs,amssymb}"
    body = render(CELLS, format="tex", options=ALL)
    (tmp_path / "t.tex").write_text(head + "\\begin{document}\n" + body + "\\end{document}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert not re.findall(r"Overfull \\hbox \((\d\d+)", done.stdout)
