"""Reports against numbers worked out by hand and by numpy."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mmbench import store
from mmbench.errors import ResultError
from mmbench.report import Options, render
from mmbench.report.comparison import groups
from mmbench.report.table import tables
from mmbench.store import Cell

from ..cells import cell, row


def lines_of(text: str, name: str) -> list[list[str]]:
    """The table lines that start with a name, as their texts."""
    found = [[part.strip() for part in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [line for line in found if line[0] == name]


def table(cells: list[Cell]) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(render(cells, format="csv-wide")), keep_default_na=False, na_values=[""])


def pick(frame: pd.DataFrame, **where: Any) -> dict[str, Any]:
    """The one record with these values."""
    found = [r for r in frame.to_dict("records") if all(r[name] == value for name, value in where.items())]
    assert len(found) == 1
    return found[0]


def coherence(model: str, values: list[float], **more: Any) -> list[Cell]:
    """A cell for each value of joint coherence."""
    return [
        cell(model, seed, rows=[row("coherence", "joint", "mnist+svhn", v)], **more) for seed, v in enumerate(values)
    ]


def test_mean_and_sample_standard_deviation() -> None:
    values = [38.2, 41.9, 40.4, 37.7, 39.05]
    found = pick(table(coherence("mvae", values)), source="model")
    assert found["mean"] == pytest.approx(np.mean(values), rel=1e-12)
    assert found["std"] == pytest.approx(np.std(values, ddof=1), rel=1e-12)
    assert (found["n"], found["seeds"]) == (5, "0 1 2 3 4")
    line = lines_of(render(coherence("mvae", values)), "MVAE")
    assert line == [["MVAE", "5", f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"]]


def test_one_seed_has_no_deviation() -> None:
    assert lines_of(render(coherence("mvae", [38.25])), "MVAE") == [["MVAE", "1", "38.25"]]
    assert np.isnan(pick(table(coherence("mvae", [38.25])), source="model")["std"])


def test_a_share_is_shown_in_percent() -> None:
    made = cell(rows=[row("coherence", "joint", "mnist+svhn", 0.3825, unit="")])
    assert lines_of(render([made]), "MVAE") == [["MVAE", "1", "38.25"]]


def test_the_papers_number_and_the_difference() -> None:
    made = coherence("mld", [80.22, 82.22])  # the paper: 85.22 ± 0.5
    text = render(made)
    assert lines_of(text, "· paper") == [["· paper", "", "85.22 ± 0.5"]]
    assert lines_of(text, "· ours − paper") == [["· ours − paper", "", "−4.00"]]
    found = pick(table(made), source="model")
    assert (found["paper_table"], found["paper_mean"], found["paper_std"]) == (4, 85.22, 0.5)
    assert found["ours_minus_paper"] == pytest.approx(-4.0)


def test_where_the_paper_contradicts_itself_the_report_says_so() -> None:
    text = render([cell("mvae", rows=[row("fid", "joint", "svhn", 70.0)])])
    assert "the paper prints 68.9 in Table 1 and 68.0 ± 0.99 in Table 4" in text
    assert lines_of(text, "· ours − paper") == [["· ours − paper", "", "+2.0"]]


@pytest.mark.parametrize(
    ("model", "dataset"), [("mld", "mnist_svhn_subset"), ("mld", "glyphs"), ("other", "mnist_svhn"), ("mld", "cub")]
)
def test_nothing_else_is_compared_with_the_paper(model: str, dataset: str) -> None:
    made = coherence(model, [80.0, 81.0], dataset=dataset)  # CUB has no classifier's coherence in the paper
    text = render(made)
    assert not lines_of(text, "· paper") + lines_of(text, "· ours − paper")
    assert "has no numbers" in text
    assert np.isnan(pick(table(made), source="model")["paper_mean"])


def test_a_smaller_budget_is_compared_with_a_warning() -> None:
    assert "ours of budget smoke" in render(coherence("mld", [80.0], budget="smoke"))
    assert "Warning" not in render(coherence("mld", [80.0]))


def test_bold_knows_the_direction() -> None:
    def made(model: str, shift: float, seed: int) -> Cell:
        values = 50 + shift + seed / 100
        rows = [row("coherence", "joint", "mnist+svhn", values), row("fid", "joint", "svhn", values)]
        return cell(model, seed, rows=[*rows, row("label_entropy", "joint", "mnist", 2.0 + shift / 100)])

    text = render([made(model, shift, k) for model, shift in (("mvae", 0), ("mld", 5)) for k in range(3)])
    (mvae, more), (mld, also) = lines_of(text, "MVAE"), lines_of(text, "MLD")
    assert mvae[2:] == ["_50.01 ± 0.01_", "**50.01 ± 0.01**"]
    assert mld[2:] == ["**55.01 ± 0.01**", "_55.01 ± 0.01_"]
    assert (more[2:], also[2:]) == (["2.00 ± 0.00"], ["2.05 ± 0.00"]), "what is only described has no best"


def test_ties_as_printed_are_both_bold_and_one_model_alone_is_not() -> None:
    text = render(coherence("mvae", [50.001] * 2) + coherence("mld", [50.002] * 2))
    assert [lines_of(text, name)[0][2] for name in ("MVAE", "MLD")] == ["**50.00 ± 0.00**"] * 2
    assert "**50" not in render(coherence("mvae", [50.0, 51.0]))


def test_models_stand_in_the_papers_order_and_others_after_them() -> None:
    names = ["zeta", "mld", "nexus", "alpha", "mvae"]
    text = render([c for name in names for c in coherence(name, [1.0], dataset="glyphs")])
    order = [line.split("|")[1].strip() for line in text.splitlines() if line[:1] == "|"][2:]
    assert order == ["MVAE", "NEXUS", "MLD", "alpha", "zeta"]


def test_the_table_has_the_shape_of_table_1() -> None:
    text = render([cell("mvae", seed) for seed in range(3)])
    heads = [line for line in text.splitlines() if line.startswith("| Model")]
    names = [[part.strip() for part in head.strip("|").split("|")][2:] for head in heads]
    assert names == [
        ["Joint", "M → S", "S → M", "Joint(M) FMD", "Joint(S) FID", "M → S FID", "S → M FMD"],
        ["Entropy(M)"],
        ["S → S", "M → M FMD"],
    ]
    assert "M: mnist, S: svhn (image, 1 × 28 × 28)" in text
    assert lines_of(text, "Real test data")[0][2] == "91.50"
    assert lines_of(text, "Chance (shuffled)")[0][2] == "10.25"
    assert lines_of(text, "MVAE")[-1][2:] == ["82.00 ± 1.00", "4.00 ± 1.00"]  # reconstructions: 81 to 83, 3 to 5


def glyphs() -> list[Cell]:
    rows = [row("coherence", "joint", "pen+sign+name", 50.0), row("fmd", "joint", "sign", 9.0)]
    for given, target, value in (("pen", "sign", 10), ("sign", "name", 30), ("pen+name", "sign", 60),
                                 ("pen+sign", "name", 80), ("name", "sign", 20)):  # fmt: skip
        rows += [row("coherence", f"{given}->{target}", target, float(value))]
        rows += [row("fmd", f"{given}->{target}", target, value + 100.0)] if target == "sign" else []
    names = ("mvae", "mld", "a_long_name_of_a_model")
    return [cell(m, k, rows=rows, dataset="glyphs", modalities=["pen", "sign", "name"]) for m in names for k in (0, 1)]


def test_three_modalities_are_summarised_by_target_and_the_number_of_given_ones() -> None:
    text = render(glyphs())
    heads = [line for line in text.splitlines() if line.startswith("| Model ") and "Joint" in line]
    labels = [[part.strip() for part in head.strip("|").split("|")][2:] for head in heads]
    mean = "1 given → S (mean)"
    assert labels == [["Joint", mean, "S → N", "P+N → S", "P+S → N"], ["Joint(S)", mean, "P+N → S"]]
    assert [part.strip("*") for part in lines_of(text, "MLD")[0][2:]] == [
        *("50.00 ± 0.00", "15.00 ± 0.00** (‡)", "30.00 ± 0.00", "60.00 ± 0.00", "80.00 ± 0.00")  # (10 + 20) / 2
    ]
    assert "1 given → S (mean): the mean over P → S and N → S, and so on" in text


def test_distances_of_several_judges_are_never_averaged() -> None:
    """FMD has the scale of its modality's judge; of three modalities its columns stay apart, in their order."""
    names = ["a", "b", "c"]
    rows = [row("fmd", "joint", name, 10.0**k, judge=name) for k, name in enumerate(names)]
    rows += [row("fmd", f"{x}->{y}", y, 7.0, judge=y) for x in reversed(names) for y in reversed(names) if x != y]
    rows += [row("fid", "joint", name, 1.0 + k) for k, name in enumerate(names)]
    (group,) = groups([cell("mvae", 0, rows=rows, dataset="views", modalities=names)])
    main, further, *_ = tables(group)
    assert [column.label for column in main.columns] == ["Joint(A) FID", "Joint(B) FID", "Joint(C) FID"]
    assert [entry.number.mean for entry in main.lines[0].entries if entry] == [1.0, 2.0, 3.0]
    means = [f"1 given → {letter} (mean) FMD" for letter in "ABC"]
    assert [column.label for column in further.columns] == ["Joint(A) FMD", "Joint(B) FMD", "Joint(C) FMD", *means]


def test_every_task_is_shown_on_request() -> None:
    def labels(options: Options) -> list[str]:
        heads = [line for line in render(glyphs(), options=options).splitlines() if line.startswith("| Model ")]
        return [part.strip() for head in heads for part in head.strip("|").split("|")]

    tasks = ["P → S", "S → N", "N → S", "P+S → N", "P+N → S"]
    assert set(tasks) <= set(labels(Options(all=True)))
    assert not {"P → S", "N → S"} & set(labels(Options())), "which their mean stands for"


@pytest.mark.parametrize(
    "other",
    [
        {"budget": "smoke"},
        {"dataset": "mnist_svhn_subset"},
        {"protocol": {"count": 100, "quality_count": 5000, "judge_epochs": 50.0, "seed": 0}},
    ],
)
def test_what_differs_is_never_one_table(other: dict[str, Any]) -> None:
    made = coherence("mvae", [10.0]) + coherence("mld", [90.0], **other)
    assert len(groups(made)) == 2
    text = render(made)
    assert text.count("\n### Coherence") == 2
    assert "**90" not in text


def test_other_data_or_judges_are_never_one_table() -> None:
    moved = coherence("mld", [90.0])[0]
    moved["dataset"]["fingerprint"] = "another"
    judged = cell("mld", rows=[row("coherence", "joint", "mnist+svhn", 90.0, judge="another (accuracy 0.5)")])
    assert len(groups([*coherence("mvae", [10.0]), moved])) == 2
    assert len(groups([*coherence("mvae", [10.0]), judged])) == 2


def test_the_batch_size_and_a_missing_metric_do_not_part_cells() -> None:
    protocol = cell()["protocol"]
    made = [cell("mvae", 0), cell("mvae", 1, protocol=protocol | {"batch_size": 5}), *coherence("mld", [50.0])]
    assert len(groups(made)) == 1
    text = render(made)
    assert lines_of(text, "MLD")[0][3:] == ["–"] * 6  # all but its joint coherence
    fewer = [cell("mvae", 0), *coherence("mvae", [0, 50.0])[1:]]
    assert lines_of(render(fewer), "MVAE")[0][5] == "12.00 (n=1)"


def test_two_configurations_are_two_lines_with_what_differs() -> None:
    made = coherence("mld", [80.0, 81.0])
    made += coherence("mld", [70.0], hash="ffff00aa11", config={"latent": 20, "schedule": {"lr": 0.01}})
    text = render(made)
    assert lines_of(text, "MLD (schedule.lr=0.001)")[0][1] == "2"
    assert lines_of(text, "MLD (schedule.lr=0.01)")[0][1:] == ["1", "70.00"]
    assert "- MLD (schedule.lr=0.01): schedule.lr=0.01." in text
    assert "MLD (schedule.lr=0.01) lacks seed 1." in text
    assert pick(table(made), hash="ffff00aa11")["settings"] == "schedule.lr=0.01"


def test_warnings() -> None:
    rows = [row("label_entropy", "joint", "mnist", 0.5), row("coherence", "joint", "mnist+svhn", 99.0)]
    rows += [row("fid", "joint", "svhn", 50.0, note=f"biased: {n} samples for 2048 dimensions") for n in (500,)]
    failed = cell("mld", 4, status="failed", reason="stage score: the loss is NaN", rows=[])
    elsewhere = cell("mld", 0, dataset="glyphs", status="failed", reason="no memory", rows=[])
    text = render([cell("mmvae", 0, rows=rows)], [elsewhere, failed])
    assert "MMVAE collapses (Entropy(M) 0.50 of 2.30 possible)" in text  # ln 10 = 2.3026
    assert "Joint(S) FID: biased: 500 samples for 2048 dimensions (MMVAE)." in text
    assert "MLD ab12cd seed 4 failed on mnist_svhn, budget paper: stage score: the loss is NaN." in text
    assert "## Failed cells\n\n- MLD ab12cd seed 0 failed on glyphs, budget paper: no memory." in text
    assert "collapses" not in render([cell("mvae")])


def test_the_header_names_data_judges_and_seeds() -> None:
    text = render([cell("mvae", seed) for seed in (0, 2)])
    assert "1,000 training and 200 test tuples" in text
    assert "fingerprint 0123456789abcdef" in text
    assert "mnist classifier (accuracy 0.985)" in text
    assert "Training seeds: 2 (0, 2)." in text
    assert "Samples behind each number: Coherence, Label entropy, FMD, FID 1,000." in text


def test_reference_points_of_the_data_are_counted_once() -> None:
    found = table([cell("mvae", 0), cell("mld", 0), cell("mld", 1)])
    assert pick(found, source="real")["n"] == 1
    assert pick(found, source="shuffled")["mean"] == 10.25
    assert len(found[found["source"] == "reconstruction"]) == 4


@pytest.mark.parametrize("format", ["md", "csv", "csv-wide", "tex", "json"])
def test_the_same_files_give_the_same_bytes(tmp_path: Path, format: Any) -> None:
    made = [cell(model, seed) for model in ("mld", "mvae", "other") for seed in range(3)]
    for one in made:
        store.write(tmp_path, one)
    first = render(store.cells(tmp_path), [], format)
    assert render(list(reversed(store.cells(tmp_path))), [], format) == first
    assert render(made, [], format) == first
    assert first.endswith("\n")
    assert not first.endswith("\n\n")


def test_csv_has_a_line_for_each_number() -> None:
    found = table([cell("mvae", 0), cell("mvae", 1), cell("mld", 0)])
    assert len(found) == 2 * (8 + 2) + 2  # models and their reconstructions, real and shuffled
    assert list(found["source"].drop_duplicates()) == ["model", "reconstruction", "real", "shuffled"]


def test_latex_is_balanced_and_escaped() -> None:
    made = [cell(model, seed) for model in ("mvae", "a_b & c%") for seed in range(2)]
    text = render(made, format="tex")
    stack: list[str] = []
    for verb, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if verb == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert not stack
    shown = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert shown.count("{") - shown.count("}") == shown.count(r"\{") - shown.count(r"\}")
    assert shown.isascii()
    assert r"a\_b \& c\%" in shown
    assert r"\textbf{" in shown
    assert len(re.findall(r"(?<!\\)\$", shown)) % 2 == 0
    for tabular in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", shown, re.DOTALL):
        for line in tabular[1].splitlines():
            if line.endswith(r"\\") and "multicolumn" not in line:
                assert len(re.findall(r"(?<!\\)&", line)) == len(tabular[0]) - 1


def test_nothing_yet_says_what_to_run() -> None:
    assert "mmbench run --model mld --dataset glyphs" in render([])
    assert render([], format="tex").startswith("% There are no finished cells yet")
    assert render([], format="csv").startswith("dataset,fingerprint,split,budget")
    assert "no memory" in render([], [cell(status="failed", reason="no memory", rows=[])])


def test_an_unknown_format() -> None:
    with pytest.raises(ResultError, match="did you mean 'md'"):
        render([cell()], format="mdx")  # type: ignore[arg-type]


def test_a_report_needs_no_torch() -> None:
    code = "import sys, mmbench.report; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def second(model: str, first: float, other: float, noise: float = 0.0) -> list[Cell]:
    """Cells whose M -> S coherence is read by two judges."""
    found = []
    for seed in range(3):
        shift = noise * (seed - 1) * (-1 if model == "mld" else 1)
        rows = [
            row("coherence", "mnist->svhn", "svhn", first + shift),
            row("coherence_second", "mnist->svhn", "svhn", other + shift, higher_is_better=True, unit="%",
                judge="wide 95.0 %"),
        ]  # fmt: skip
        found.append(cell(model, seed, rows=rows))
    return found


def test_an_order_that_flips_with_the_judge_is_flagged() -> None:
    text = render([*second("mvae", 50.0, 60.0), *second("mld", 55.0, 58.0), *second("mopoe", 20.0, 21.0)])
    (line,) = [line for line in text.splitlines() if "in the other order" in line]
    assert "MVAE and MLD" in line
    assert "(-5.00 [-5.00, -5.00] and +2.00 [+2.00, +2.00] points apart)" in line
    assert "in the other order" not in render([*second("mvae", 50.0, 60.0), *second("mld", 55.0, 65.0)])


def test_an_order_of_which_no_judge_is_sure_does_not_flip() -> None:
    """0.01 points apart, and seeds 2 points: that is no order."""
    assert "in the other order" not in render([*second("mvae", 50.0, 60.01, 1.0), *second("mld", 50.01, 60.0, 1.0)])


def test_a_metric_that_was_left_out_is_named_with_what_to_do() -> None:
    text = render([cell(left_out={"clip_s": "no weights: give --weights-root"})])
    assert "CLIP-S is left out: no weights: give --weights-root. Then: `mmbench evaluate --dataset mnist_svhn" in text


def test_intervals_of_one_seed_are_its_samples_those_of_several_are_of_their_mean() -> None:
    def made(values: list[float]) -> list[Cell]:
        return [
            cell(seed=k, rows=[row("coherence", "joint", "mnist+svhn", v, interval=[v - 2.5, v + 2.5])])
            for k, v in enumerate(values)
        ]

    found = pick(table(made([50.0])), source="model")
    assert (found["interval_low"], found["interval_high"]) == (47.5, 52.5)
    assert lines_of(render(made([50.0])), "MVAE")[0][2] == "50.00 [47.50, 52.50]"
    values = [50.0, 52.0, 57.0]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    found = pick(table(made(values)), source="model")
    assert (found["interval_low"], found["interval_high"]) == pytest.approx((low, high))
    assert "[" not in lines_of(render(made(values)), "MVAE")[0][2]
    shown = render(made(values), options=Options(intervals="t"))
    assert lines_of(shown, "MVAE")[0][2] == f"53.00 ± 3.61 [{low:.2f}, {high:.2f}]"
    low, high = stats.bootstrap((values,), np.mean, rng=np.random.default_rng(0)).confidence_interval
    shown = render(made(values), options=Options(intervals="bootstrap"))
    assert lines_of(shown, "MVAE")[0][2] == f"53.00 ± 3.61 [{low:.2f}, {high:.2f}]"


def test_every_seed_stands_in_the_csv() -> None:
    made = coherence("mvae", [38.2, 41.9, 40.4]) + coherence("mld", [80.0])
    long = pd.read_csv(io.StringIO(render(made, format="csv")))
    assert [(r["model"], int(r["seed"]), r["value"]) for r in long.to_dict("records")] == [
        *(("mvae", 0, 38.2), ("mvae", 1, 41.9), ("mvae", 2, 40.4), ("mld", 0, 80.0))
    ]
    wide = pick(table(made), model="mvae")
    assert [wide["seed 0"], wide["seed 1"], wide["seed 2"]] == [38.2, 41.9, 40.4]
    assert np.isnan(pick(table(made), model="mld")["seed 1"])


def test_of_like_notes_every_number_is_shown() -> None:
    """Whichever is the worst: of samples without a class the most, of too few samples the least."""
    made = [
        cell("mvae", k, rows=[row("fid", "joint", "svhn", 50.0, note=f"{n} of 400 samples are of no class")])
        for k, n in enumerate((176, 21, 366, 98))
    ]
    assert "Joint(S) FID: 21 to 366 of 400 samples are of no class (MVAE 21 to 366)." in render(made)


def test_a_reference_point_has_no_deviation_over_seeds() -> None:
    """It is the data's; where it was measured differently, that is said."""
    made = [
        cell("mvae", k, rows=[row("coherence", "joint", "mnist+svhn", v, source=s)
                              for s, v in (("model", 50.0), ("real", 91.0 + k))])
        for k in (0, 1)
    ]  # fmt: skip
    text = render(made)
    assert lines_of(text, "Real test data")[0][2] == "91.50"
    assert "Real test data: Coherence Joint differs between cells, 91 to 92; their mean is shown." in text
