"""A sweep in a report: rows by value, intervals over seeds, the Pareto front; as tables, CSV and figures."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from scipy import stats
from typer.testing import CliRunner

from mmbench import store
from mmbench.cli import app
from mmbench.config import digest
from mmbench.errors import ResultError
from mmbench.report import render
from mmbench.report.against import efficient, front, series, trades
from mmbench.report.comparison import Group, groups
from mmbench.report.figures import write_figures
from mmbench.report.html.against import against_page
from mmbench.report.statistics import student
from mmbench.report.sweep import sweep
from mmbench.store import Cell

from ..cells import cell, row
from .test_html import every, grid, tree

VALUES = {"10": (30.0, 8.0), "2": (50.0, 9.0), "0.5": (60.0, 20.0), "1": (40.0, 12.0)}
"""beta -> coherence and FMD; on the front are 10 (the best FMD), 2 and 0.5, not 1."""


def one(beta: Any, coherence: float, fmd: float, seed: int = 0, **more: Any) -> Cell:
    rows = [row("coherence", "joint", "mnist+svhn", coherence + seed), row("fmd", "joint", "mnist", fmd)]
    overrides = {} if beta == 1 else {"beta": beta}
    config = {"beta": beta, **more}
    return cell("mvae", seed, rows, hash=digest(config), config=config, overrides=overrides)


def made() -> list[Cell]:
    return [one(float(beta), *numbers, seed) for beta, numbers in VALUES.items() for seed in (0, 1, 2)]


def only(cells: list[Cell]) -> Group:
    (group,) = groups(cells)
    return group


def test_rows_stand_by_the_value_of_the_setting_and_say_it() -> None:
    group = only(made())
    titles = [group.title(line) for line in group.lines]
    assert titles == ["MVAE (beta=0.5)", "MVAE (beta=1.0)", "MVAE (beta=2.0)", "MVAE (beta=10.0)"]
    text = render(made())
    assert text.index("(beta=2.0)") < text.index("(beta=10.0)"), "as numbers, not as words"


def test_numbers_against_a_setting_with_the_seeds_intervals() -> None:
    text = sweep(groups(made()), "beta")
    low, high = stats.t.interval(0.95, 2, 61.0, stats.sem([60.0, 61.0, 62.0]))
    line = next(line for line in text.splitlines() if "0.5 " in line)
    assert f"61.00 [{low:.2f}, {high:.2f}]" in line
    assert [cells.split("|")[2].strip() for cells in text.splitlines() if cells.startswith("| MVAE")][:4] == [
        "0.5",
        "1.0",
        "2.0",
        "10.0",
    ]


def test_the_front_is_what_nothing_beats_in_both() -> None:
    group = only(made())
    (trade,) = trades(group)
    assert front(group, trade) == [(8.0, 31.0), (9.0, 51.0), (20.0, 61.0)]
    marked = [
        line.rstrip("| ").endswith("yes") for line in sweep([group], "beta").splitlines() if line.startswith("| MVAE")
    ]
    assert marked[4:] == [True, False, True, True]
    assert efficient([(1.0, 1.0), (1.0, 1.0), None, (1.0, 0.5), (0.5, 1.0)]) == [False, False, False, False, True]
    assert efficient([(1.0, 1.0), (1.0, 1.0)]) == [True, True], "equals do not beat each other"


def test_the_same_as_csv() -> None:
    lines = list(csv.DictReader(io.StringIO(sweep(groups(made()), "mvae.beta", "csv"))))
    assert len(lines) == 4 * 2
    best = next(line for line in lines if line["setting_value"] == "10.0" and line["metric"] == "fmd")
    assert (best["mean"], best["n"], best["front_with"]) == ("8.0", "3", "joint")
    assert math.isclose(float(next(x for x in lines if x["metric"] == "coherence")["std"]), 1.0)


def test_the_same_as_json() -> None:
    """The CSV's records as numbers, null where there is none."""
    cells = [*made(), one(50.0, 20.0, 7.0)]  # a single seed, without an interval
    lines = list(csv.DictReader(io.StringIO(sweep(groups(cells), "beta", "csv"))))
    found = json.loads(sweep(groups(cells), "beta", "json"))["numbers"]
    assert [(r["setting_value"], r["metric"], r["mean"]) for r in found] == [
        (line["setting_value"], line["metric"], float(line["mean"])) for line in lines
    ]
    assert {r["std"] for r in found if r["setting_value"] == "50.0"} == {None}
    assert all(isinstance(r["std"], float) for r in found if r["setting_value"] != "50.0")


def test_latex_holds_all_columns_each_float_within_a_page() -> None:
    """Of six columns of quality, too wide for one float."""
    cells = made()
    for each in cells:
        own = [row("fmd", f"{a}->{b}", b, 9.0 + len(a)) for a, b in (("mnist", "svhn"), ("svhn", "mnist"))]
        each["rows"] += [*own, *(row("coherence", r["task"], r["modality"], 123.456) for r in own)]
    text = sweep(groups(cells), "beta", "tex")
    assert "too wide" not in text
    floats = re.findall(r"\\begin\{tabular\}\{(\w+)\}\n\\toprule\n(.*) \\\\\n", text)
    heads = [head.split(" & ") for _, head in floats]
    assert all(
        head[:2] == ["Model", "beta"] and len(head) == len(kind) for (kind, _), head in zip(floats, heads, strict=True)
    )
    shown = " ".join(head for _, head in floats)
    assert sum(len(head) - 3 for head in heads if head[2] == "Seeds") == 6
    for word in ("Coherence Joint", r"M $\rightarrow$ S", r"S $\rightarrow$ M", "Joint(M) FMD", "Pareto front"):
        assert word in shown
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == len(set(re.findall(r"\\label.*", text)))


def test_the_page_has_the_same_tables_loads_nothing_and_keeps_words_words() -> None:
    cells, word = made(), "<script>alert(1)</script> a|b % _ & " + "x" * 200
    for each in cells:
        each["dataset"]["title"] = word
    text = against_page(groups(cells), "beta")
    root = tree(text)
    assert text == against_page(groups(cells), "beta"), "the same bytes"
    assert not root.all("script")
    assert root.all("h2")[0].words() == f"{word}, budget paper: against beta"
    means, front = root.all("table")
    assert [row[:2] for row in grid(means)] == [
        ["Model", "beta"],
        *(["MVAE", v] for v in ("0.5", "1.0", "2.0", "10.0")),
    ]
    assert [row[-1] for row in grid(front)] == ["Pareto front", "yes", "", "yes", "yes"]
    assert len(root.all("svg")) == 4, "curves and the front, for wide and narrow screens"
    for element in every(root):
        links = {name: value for name, value in element.attrs.items() if name in ("src", "href", "xlink:href")}
        assert all(value.startswith(("#", "data:")) for value in links.values())
        assert not any(name.startswith("on") for name in element.attrs)


@pytest.mark.parametrize(("form", "start"), [("html", "<!doctype html>"), ("tex", "% "), ("json", "{"), ("md", "## ")])
def test_the_command_line_writes_every_form(tmp_path: Path, form: str, start: str) -> None:
    for each in made():
        store.write(tmp_path, each)
    done = CliRunner().invoke(app, ["report", "--results", str(tmp_path), "--against", "beta", "--format", form])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(start)


def test_a_form_that_it_has_not_is_one_sentence(tmp_path: Path) -> None:
    store.write(tmp_path, made()[0])
    done = CliRunner().invoke(app, ["report", "--results", str(tmp_path), "--against", "beta", "--format", "csv-wide"])
    assert done.exit_code == 1
    assert "--against is printed as md, csv, tex, json or html, not as csv-wide" in str(done.exception)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_is_typeset(tmp_path: Path) -> None:
    body = sweep(groups(made()), "beta", "tex")
    head = r"\documentclass{article}\usepackage{booktabs}\begin{document}"
    (tmp_path / "t.tex").write_text(f"{head}\n{body}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("form", ["md", "tex", "html"])
def test_what_is_to_be_known_stands_with_the_numbers(form: str) -> None:
    cells = [{**one(beta, 40, 9, seed), "budget": "smoke"} for beta in (0.5, 1) for seed in (0, 1)]
    stage = cells[0]["stages"]["elbo"]
    cells[0]["stages"] = {"elbo": {**stage, "collapsed": ["all samples are alike"]}}
    text = against_page(groups(cells), "beta") if form == "html" else sweep(groups(cells), "beta", form)
    assert "not for publication" in text
    assert "all samples are alike" in text
    assert {"md": "0.5 †", "tex": "0.5 \\dag{}", "html": "0.5 †"}[form] in text


def test_numbers_outside_the_main_tables_have_a_table_too() -> None:
    rows = [row("recall", "joint", "mnist", 0.25, higher_is_better=True)]
    cells = [cell("mvae", seed, rows, hash=digest(b), config={"beta": b}) for b in (0.5, 1) for seed in (0, 1)]
    assert "0.25" in sweep(groups(cells), "beta")


def test_an_interval_of_a_share_stays_between_0_and_100() -> None:
    cells = [one(beta, coherence, 9, seed) for beta in (0.5, 1) for seed, coherence in ((0, 70), (1, 97))]
    assert student([70, 98])[0] < 0 < 100 < student([70, 98])[1]
    assert "[0.00, 100.00]" in sweep(groups(cells), "beta")


def test_a_percentage_that_is_no_share_may_be_more_than_100() -> None:
    """Density counts how many real balls a sample lies in, over k."""
    of = {70.0: 0, 97.0: 1, 150.0: 2}
    cells = [
        cell("mvae", seed, [row("density", "joint", "mnist", value, unit="%")], hash=digest(b), config={"beta": b})
        for b in (0.5, 1)
        for value, seed in of.items()
    ]
    low, high = student(list(of))
    assert low < 100 < high
    number = only([one for one in cells if one["config"]["beta"] == 1]).numbers
    (found,) = (n for (source, _, _), n in number.items() if source == "model")
    assert found.interval == pytest.approx((low, high))


def test_other_settings_make_series_of_their_own() -> None:
    cells = [one(beta, 50.0 + beta + width, 9.0, width=width) for beta in (1, 2) for width in (4, 8)]
    ((_, some),) = series(groups(cells), "beta")
    assert [(s.title, s.values) for s in some] == [("MVAE (width=4)", (1, 2)), ("MVAE (width=8)", (1, 2))]
    swept = {"schedule": {"steps": 5, "epochs": None}}, {"schedule": {"steps": None, "epochs": 2.0}}
    cells = [cell("mvae", 0, hash=f"aa{k}", config=config) for k, config in enumerate(swept)]
    ((_, some),) = series(groups(cells), "schedule.steps")
    assert some[0].values == (None, 5)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("betta", "no cell has a setting 'betta'; did you mean 'beta'"),
        ("width", "no model has several values of 'width' in one table; what differs is beta"),
        ("eval.count", "eval.count is how cells are measured"),
    ],
)
def test_what_does_not_vary_is_one_sentence(setting: str, said: str) -> None:
    cells = [one(beta, 50.0, 9.0, width=4) for beta in (1, 2)]
    with pytest.raises(ResultError, match=said):
        sweep(groups(cells), setting)


def test_figures_against_a_setting(tmp_path: Path) -> None:
    paths = write_figures(made(), tmp_path, tmp_path, setting="beta", forms=("svg",))
    assert [path.name for path in paths] == ["mnist_svhn-paper-against-beta.svg", "mnist_svhn-paper-front-beta.svg"]


def test_the_figures_curve_goes_through_the_means_in_the_order_of_the_values() -> None:
    from mmbench.report.figures.against import against, fronts

    group = only(made())
    ((_, some),) = series([group], "beta")
    figure = fronts(group, some, "beta")
    assert figure
    curve = next(line for line in figure.axes[0].lines if len(line.get_xdata()) == 4)
    assert list(zip(curve.get_xdata(), curve.get_ydata(), strict=True)) == [(20, 61), (12, 41), (9, 51), (8, 31)]
    assert {text.get_text() for text in figure.axes[0].texts} == {"0.5", "1.0", "2.0", "10.0"}
    border = next(line for line in figure.axes[0].lines if len(line.get_xdata()) == 3)
    assert list(border.get_xdata()) == [8, 9, 20]
    drawn = against(group, some, "beta")
    assert drawn
    assert drawn.axes[0].get_xscale() == "log", "0.5 to 10 spans a factor of 20"
    words = [one(beta, 50.0, 9.0) for beta in ("none", "full")]
    ((_, some),) = series(groups(words), "beta")
    assert against(only(words), some, "beta")
