"""What a report is about: chosen cells and rows, and another folder beside them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from scipy import stats
from typer.testing import CliRunner, Result

from mmbench import store
from mmbench.cli import app
from mmbench.errors import ResultError
from mmbench.report.selection import Selection
from mmbench.store import Cell, Found

from ..cells import cell, modality, row
from .written import paper_cells


def keep(folder: Path, made: list[Cell]) -> Path:
    for one in made:
        store.write(folder, one)
    return folder


def report(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["report", "--results", *map(str, words)])


def records(*words: str | Path) -> list[dict[str, str]]:
    done = report(*words, "--format", "csv")
    assert done.exit_code == 0, done.output
    return list(csv.DictReader(io.StringIO(done.stdout)))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    keep(folder, paper_cells("mnist_svhn", 3))
    keep(folder, paper_cells("cub", 3))
    return keep(folder, [cell("mld", 0, budget="smoke"), cell("mvae", 9, status="failed", reason="NaN", rows=[])])


@pytest.mark.parametrize(
    ("words", "field", "values"),
    [
        (["--dataset", "cub"], "dataset", {"cub"}),
        (["--dataset", "cub,mnist_svhn", "--budget", "paper"], "dataset", {"cub", "mnist_svhn"}),
        (["--model", "mld", "--model", "mvae"], "model", {"mld", "mvae", ""}),
        (["--metric", "fid"], "metric", {"fid"}),
        (["--metric", "fmd"], "metric", {"fmd", "fmd_ratio"}),
        (["--task", "mnist->svhn"], "task", {"mnist->svhn"}),
        (["--budget", "smoke"], "budget", {"smoke"}),
        (["--seed", "0,2"], "seed", {"0", "2", ""}),
    ],
)
def test_cells_and_rows_are_chosen_by_word(results: Path, words: list[str], field: str, values: set[str]) -> None:
    assert {record[field] for record in records(results, *words)} == values


def test_words_narrow_each_other(results: Path) -> None:
    found = records(results, "--dataset", "mnist_svhn", "--budget", "paper", "--model", "mld", "--metric", "coherence",
                    "--task", "joint", "--seed", "1")  # fmt: skip
    own = [record for record in found if record["source"] == "model" and record["metric"] == "coherence"]
    assert [(record["model"], record["seed"], record["task"]) for record in own] == [("mld", "1", "joint")]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--dataset", "cubs"], "holds no cells of dataset 'cubs'; did you mean 'cub'"),
        (["--model", "mdl"], "holds no cells of model 'mdl'; did you mean 'mld'"),
        (["--metric", "fidd"], "holds no cells of metric 'fidd'; did you mean 'fid'"),
        (["--task", "join"], "holds no cells of task 'join'; did you mean 'joint'"),
        (["--seed", "7"], "holds no cells of seed 7"),
        (["--seed", "one"], "'one' is no seed: write whole numbers"),
        (["--compare", "nowhere"], "nowhere does not exist"),
        (["--dataset", "cub", "--model", "mld", "--budget", "smoke"], "holds no cells of budget 'smoke'"),
    ],
)
def test_a_word_that_nothing_has_is_one_sentence(results: Path, words: list[str], says: str) -> None:
    done = report(results, *words)
    assert done.exit_code == 1
    assert says in f"{done.exception}"


def test_the_main_tables_alone(results: Path) -> None:
    text = report(results, "--main", "--dataset", "cub").stdout
    assert text.count("\n### ") == 1
    assert "claims" not in text
    assert "Caption match" not in text


def test_a_selection_of_nothing_is_everything() -> None:
    made = paper_cells("cub", 1)
    assert Selection().of(Found(cells=made)).cells == made
    with pytest.raises(ResultError, match="holds no cells of model"):
        Selection(model=("x",)).of(Found())


def test_the_recipes_own_settings_alone() -> None:
    """What --set changed, of the model or of the protocol, and a training without some modalities are left out."""
    own, factor, judged, incomplete = (cell("mvae", seed) for seed in range(4))
    factor["overrides"] = {"beta": 2.5}
    judged["overrides"] = {"eval.second_judge": "wide"}
    incomplete["missing"] = 0.2
    found = Found(cells=[own, factor, judged, incomplete], failures=[factor])
    chosen = Selection(recipes=True).of(found)
    assert (chosen.cells, chosen.failures) == ([own], [])
    with pytest.raises(ResultError, match="cells of changed settings only; leave out --recipes"):
        Selection(recipes=True).of(Found(cells=[factor, judged]))


def test_recipes_at_the_command_line(tmp_path: Path) -> None:
    folder = keep(tmp_path, [cell("mvae"), cell("own", overrides={"width": 64}, hash="ffffffffff")])
    assert {"mvae", "own"} <= {record["model"] for record in records(folder)}
    chosen = {record["model"] for record in records(folder, "--recipes")}
    assert "mvae" in chosen
    assert "own" not in chosen


def test_a_model_is_found_by_the_word_that_it_was_run_by() -> None:
    mine: Any = cell("code_vae.CodeVAE")
    mine["model"]["typed"] = "code_vae:CodeVAE"
    found = Found(cells=[mine, cell("mvae")])
    assert Selection(model=("code_vae:CodeVAE",)).of(found).cells == [mine]
    assert Selection(model=("code_vae.CodeVAE",)).of(found).cells == [mine]


def test_numbers_of_no_main_table_are_not_asked_for_in_one(results: Path) -> None:
    done = report(results, "--main", "--metric", "label_entropy", "--dataset", "mnist_svhn")
    assert str(done.exception) == "label_entropy: in no main table; leave out --main"


def joint(model: str, values: list[float], **more: Any) -> list[Cell]:
    judge = {name: more.pop(name) for name in ("identity", "judge") if name in more}
    return [
        cell(
            model, k, rows=[row("coherence", "joint", "mnist+svhn", v, **judge), row("fid", "joint", "svhn", v)], **more
        )
        for k, v in enumerate(values)
    ]


OURS, THEIRS = [80.0, 82.0, 81.5], [79.0, 81.5, 80.0]


def beside(tmp_path: Path, theirs: list[Cell], *words: str) -> str:
    ours = keep(tmp_path / "ours", joint("mld", OURS))
    other = keep(tmp_path / "theirs", theirs)
    done = report(ours, "--compare", other, "--main", *words)
    assert done.exit_code == 0, done.output
    return done.stdout


def lines_of(text: str) -> list[list[str]]:
    return [[part.strip() for part in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_two_folders_stand_side_by_side(tmp_path: Path) -> None:
    text = beside(tmp_path, joint("mld", THEIRS))
    low, high = stats.ttest_rel(OURS, THEIRS).confidence_interval(0.95)
    lines = {line[0]: line[2:] for line in lines_of(text)}
    assert lines["· theirs"][0] == "80.17 ± 1.26"
    assert lines["· ours − theirs"][0] == f"+1.00 [{low:.2f}, {high:.2f}]".replace("-", "−")
    assert "ours minus those" in text


def test_the_same_in_the_other_formats(tmp_path: Path) -> None:
    wide = list(csv.DictReader(io.StringIO(beside(tmp_path, joint("mld", THEIRS), "--format", "csv-wide"))))
    found = next(record for record in wide if record["metric"] == "coherence" and record["source"] == "model")
    assert float(found["ours_minus_other"]) == pytest.approx(1.0)
    whole = json.loads(beside(tmp_path, joint("mld", THEIRS), "--format", "json"))
    assert whole["groups"][0]["tables"][0]["lines"][0]["entries"][0]["beside"]["mean"] == pytest.approx(80.1666667)
    assert r"ours $-$ theirs" in beside(tmp_path, joint("mld", THEIRS), "--format", "tex")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dataset": "glyphs"}, "theirs holds no cells of mnist_svhn at budget paper on test tuples."),
        ({"budget": "smoke"}, "theirs holds no cells of mnist_svhn at budget paper on test tuples."),
        ({"split": "validation"}, "theirs holds no cells of mnist_svhn at budget paper on test tuples."),
        ({"modalities": [modality("mnist", latent=8), "svhn"]},
         "theirs is not compared, since it has other settings of the modalities (mnist.latent=16 here, 8 there)."),
        ({"protocol": {"count": 100, "quality_count": 5000, "batch_size": 1000, "judge_epochs": 50.0, "seed": 0}},
         "theirs is not compared, since it has other settings of the protocol (count=None here, 100 there)."),
    ],
)  # fmt: skip
def test_what_may_not_be_compared_is_said_and_left_out(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    text = beside(tmp_path, joint("mld", THEIRS, **change))
    assert f"> **Warning:** {says}" in text
    assert "· theirs" not in text


def test_other_data_are_never_compared(tmp_path: Path) -> None:
    moved = joint("mld", THEIRS)
    for one in moved:
        one["dataset"]["fingerprint"] = "another"
    text = beside(tmp_path, moved)
    assert "it has other data (fingerprint 0123456789abcdef here, another there)" in text
    assert "· theirs" not in text


def test_numbers_of_other_judges_are_left_out_and_the_others_compared(tmp_path: Path) -> None:
    text = beside(tmp_path, joint("mld", THEIRS, identity="ffffffff"))
    (line,) = [line for line in lines_of(text) if line[0] == "· theirs"]
    assert line[2] == ""
    assert line[3] == "80.17 ± 1.26"
    assert "Coherence(M+S) has another judge there and is not compared." in text


def test_lines_are_matched_by_configuration(tmp_path: Path) -> None:
    """Another version may hash the recipe's own settings otherwise; changed settings only meet their like."""
    text = beside(tmp_path, joint("mld", THEIRS, hash="another"))
    assert any(line[0] == "· theirs" for line in lines_of(text))
    changed = joint("mld", THEIRS, hash="third", overrides={"width": 1}) + joint("mvae", [1.0])
    text = beside(tmp_path / "2", changed)
    assert "theirs has no line of MLD." in text
    assert not any(line[0] == "· theirs" for line in lines_of(text))


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    ours = keep(tmp_path / "results", joint("mld", OURS))
    other = keep(tmp_path / "may" / "results", joint("mld", THEIRS))
    assert f"· {other}" in report(ours, "--compare", other).stdout


def test_files_of_another_schema_are_named(tmp_path: Path) -> None:
    ours = keep(tmp_path / "ours", joint("mld", OURS))
    other = keep(tmp_path / "theirs", joint("mld", THEIRS))
    path = next(other.rglob("seed-0.json"))
    path.write_text(path.read_text().replace('"schema": 3', '"schema": 2'))
    done = report(ours, "--compare", other)
    assert done.exit_code == 1
    assert "has schema 2, this mmbench reads schema 3" in done.output


def test_a_line_for_each_seed_is_no_place_for_another_folder(tmp_path: Path) -> None:
    ours = keep(tmp_path / "ours", joint("mld", OURS))
    done = report(ours, "--compare", ours, "--format", "csv")
    assert "write --format csv-wide" in f"{done.exception}"
