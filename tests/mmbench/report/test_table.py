"""The main table of the paper's two datasets in every format, and the marks in it."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mmbench.cells.data_record import dataset_record
from mmbench.data.captioned import PRIMARY
from mmbench.data.dataset import Dataset, Split
from mmbench.data.mnist_svhn import SPEC
from mmbench.report import Options, render
from mmbench.report.comparison import groups
from mmbench.report.latex import _float, _width  # the width that a table says of itself
from mmbench.report.table import Entry, Table, tables
from mmbench.store import Cell

from ..cells import cell, row
from .written import paper_cells, printed

MAIN = Options(main=True)
HEADS = {  # as the paper prints them, with our words for the modalities, and the captions' metrics
    "mnist_svhn": [("Coherence (% ↑)", ["Joint", "M → S", "S → M"]),
                   ("Quality (FMD of M, FID of S ↓)", ["Joint(M)", "Joint(S)", "M → S", "S → M"])],
    "cub": [("CLIP-S (↑)", ["Joint", "I → C", "C → I"]), ("Quality (FID ↓)", ["Joint(I)", "C → I"])],
}  # fmt: skip
POINTS = {
    "mnist_svhn": [("coherence", "joint", "mnist+svhn"), ("coherence", "mnist->svhn", "svhn"),
                   ("coherence", "svhn->mnist", "mnist"), ("fmd", "joint", "mnist"), ("fid", "joint", "svhn"),
                   ("fid", "mnist->svhn", "svhn"), ("fmd", "svhn->mnist", "mnist")],
    "cub": [("clip_s", "joint", "image+caption"), ("clip_s", "image->caption", "caption"),
            ("clip_s", "caption->image", "image"), ("fid", "joint", "image"), ("fid", "caption->image", "image")],
}  # fmt: skip
BOTH = pytest.mark.parametrize("dataset", ["mnist_svhn", "cub"])


def main_table(made: list[Cell]) -> Table:
    (group,) = groups(made)
    return tables(group, main=True)[0]


def named(made: list[Cell], points: Any) -> list[Cell]:
    """The same cells with primary columns in their record."""
    for one in made:
        one["dataset"]["primary"] = [list(point) for point in points]
    return made


def test_the_papers_datasets_name_the_papers_columns() -> None:
    assert list(SPEC.primary) == POINTS["mnist_svhn"]
    assert list(PRIMARY) == POINTS["cub"]


def test_a_cell_records_the_columns_that_its_dataset_names() -> None:
    tuples = torch.arange(64)
    items = {"mnist": torch.zeros(64, 1, 28, 28).byte(), "svhn": torch.zeros(64, 3, 32, 32).byte()}
    split = Split(items, torch.stack([tuples, tuples], 1), tuples % 10)
    record = dataset_record(Dataset(SPEC, split, split), "test")
    assert record.get("primary") == [list(point) for point in POINTS["mnist_svhn"]]
    other = dataset_record(Dataset(replace(SPEC, primary=()), split, split), "test")
    assert "primary" not in other


@BOTH
@pytest.mark.parametrize("old", [True, False], ids=["older files", "files that name their columns"])
def test_the_main_table_has_the_papers_columns_in_its_order_and_nothing_else(dataset: str, old: bool) -> None:
    made = paper_cells(dataset) if old else named(paper_cells(dataset), POINTS[dataset])
    table = main_table(made)
    assert [column.point for column in table.columns] == POINTS[dataset]
    assert table.spans == [(heading, len(labels)) for heading, labels in HEADS[dataset]]
    assert [column.short for column in table.columns] == [label for _, labels in HEADS[dataset] for label in labels]
    models = list(dict.fromkeys(model for model, *_ in printed(dataset)))
    assert [line.line.model for line in table.lines if line.line] == models


def test_a_dataset_may_name_other_columns() -> None:
    points = [("fid", "mnist->svhn", "svhn"), ("label_entropy", "joint", "svhn"), ("fid", "nowhere", "svhn")]
    made = named(paper_cells("mnist_svhn"), points)
    assert [column.point for column in main_table(made).columns] == points[:2]
    assert "Not measured: FID Nowhere." in render(made)


@BOTH
def test_markdown_has_the_main_table_in_one_piece(dataset: str) -> None:
    text = render(paper_cells(dataset), options=MAIN)
    (head,) = [line for line in text.splitlines() if line.startswith("| Model")]
    labels = [label for _, labels in HEADS[dataset] for label in labels]
    found = [part.strip() for part in head.strip("|").split("|")][2:]
    assert [re.sub(r" (FMD|FID)$", "", label) for label in found] == labels
    assert text.count("\n### ") == 1


@BOTH
def test_latex_groups_the_main_tables_columns_under_rules(dataset: str) -> None:
    text = render(paper_cells(dataset), format="tex", options=MAIN)
    (body,) = re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, re.DOTALL)
    _, _, first, rules, second, *_ = body.splitlines()
    counts = [len(labels) for _, labels in HEADS[dataset]]
    assert [int(n) for n in re.findall(r"\\multicolumn\{(\d)\}", first)] == counts
    ends = [(3, 2 + counts[0]), (3 + counts[0], 2 + sum(counts))]
    assert [tuple(map(int, rule)) for rule in re.findall(r"\\cmidrule\(lr\)\{(\d)-(\d)\}", rules)] == ends
    labels = [label.replace("→", r"$\rightarrow$") for _, labels in HEADS[dataset] for label in labels]
    assert second.removesuffix(r" \\").split(" & ") == ["Model", "n", *labels]


@BOTH
def test_json_has_the_same_columns_and_the_papers_numbers(dataset: str) -> None:
    (group,) = json.loads(render(paper_cells(dataset), format="json", options=MAIN))["groups"]
    (table,) = group["tables"]
    assert [tuple(column["mean_of"][0]) for column in table["columns"]] == POINTS[dataset]
    for line in table["lines"]:
        for point, entry in zip(POINTS[dataset], line["entries"], strict=True):
            mean, std = printed(dataset)[line["model"], *point]
            assert entry["paper"]["printed"] == (f"{mean} ± {std}" if std else mean)
            assert entry["mean"] == pytest.approx(float(mean))
            assert len(entry["by_seed"]) == 5


def test_the_papers_numbers_and_differences_have_its_own_digits() -> None:
    """0.66 is not 0.660, 48.78 ± 1 is not ± 1.00, and a difference has the digits of what it is taken from."""
    text = render(paper_cells("cub", change={("mvae", "clip_s", "joint"): 0.693}), options=MAIN)
    assert re.search(r"\| · paper +\| +\| +0\.66 \| +0\.70 \| +0\.64 \| +158\.91 \|", text)
    assert re.search(r"\| · ours − paper +\| +\| +\+0\.03 \| +0\.00 \|", text)
    assert re.search(r"\| · paper +\| +\| +48\.78 ± 1 \|", render(paper_cells("mnist_svhn"), options=MAIN))
    assert "ours minus the paper's" in text


def test_distances_in_their_judges_scale_have_ratio_and_rank_and_no_difference() -> None:
    """Twice every FMD of the paper but NEXUS's: 2 * 12.98 / (2 * 3.93) = 3.30 times the lowest, as the paper's."""
    change = {
        (m, "fmd", t): 2 * float(v) for (m, metric, t, _), (v, _) in printed("mnist_svhn").items() if metric == "fmd"
    }
    change["nexus", "fmd", "joint"] = 2 * 10.0
    table = main_table(paper_cells("mnist_svhn", change=change))
    found = {line.title: line.entries[3] for line in table.lines}
    scale = {title: entry.scale for title, entry in found.items() if entry and entry.scale}
    assert scale["MVTCAE"].ratio == pytest.approx(12.98 / 3.93)
    assert (scale["MVTCAE"].rank, scale["MVTCAE"].paper_rank) == (3, 2)
    assert (scale["NEXUS"].rank, scale["NEXUS"].paper_rank) == (2, 4)
    assert all(entry and entry.difference != entry.difference for entry in found.values()), "no difference"
    text = render(paper_cells("mnist_svhn", change=change), options=MAIN)
    assert "×3.30 (3.30)" in text
    assert "+9.0" not in text


def marks(table: Table, k: int = 0) -> dict[str, str]:
    return {line.title: entry.mark for line in table.lines if (entry := line.entries[k])}


def coherence(values: dict[str, list[float]], **more: Any) -> list[Cell]:
    chance = row("coherence", "joint", "mnist+svhn", 1.75, source="shuffled")
    return [
        cell(m, k, rows=[row("coherence", "joint", "mnist+svhn", v), chance], **more)
        for m, found in values.items()
        for k, v in enumerate(found)
    ]


def test_nothing_is_bold_that_is_not_better_than_chance() -> None:
    table = main_table(coherence({"mvae": [0.75, 0.80, 0.70], "mld": [0.5, 0.4, 0.6]}))
    assert marks(table) == {"MVAE": "", "MLD": ""}
    assert all(entry and entry.at_chance for line in table.lines for entry in line.entries)
    text = render(coherence({"mvae": [0.75, 0.80, 0.70], "mld": [0.5, 0.4, 0.6]}))
    assert "0.75 ± 0.05 ‡" in text
    assert "‡: not above chance (what shuffled tuples" in text
    assert "**0.75" not in text


def test_an_interval_that_reaches_chance_is_at_chance() -> None:
    made = coherence({"mvae": [2.0, 2.1], "mld": [9.0, 9.2]})
    for one in made:
        one["rows"][0]["interval"] = [one["rows"][0]["value"] - 0.5, one["rows"][0]["value"] + 0.5]
    assert [entry.at_chance for line in main_table(made).lines for entry in line.entries if entry] == [True, False]


def test_chance_without_shuffled_data_is_that_of_equal_classes() -> None:
    made = [
        cell(m, k, rows=[row("coherence", "mnist->svhn", "svhn", v + k / 10)])
        for m, v in (("mvae", 9.5), ("mld", 30.0))
        for k in (0, 1, 2)
    ]
    assert [entry.at_chance for line in main_table(made).lines for entry in line.entries if entry] == [True, False]


def test_two_seeds_that_overlap_are_both_bold_and_clear_ones_are_not() -> None:
    assert set(marks(main_table(coherence({"mvae": [50.0, 56.0], "mld": [54.0, 55.0]}))).values()) == {"best"}
    clear = {"mvae": [50.0, 51.0, 49.0], "mopoe": [40.0, 41.1, 39.0], "mld": [80.0, 81.1, 79.0]}
    assert marks(main_table(coherence(clear))) == {"MVAE": "second", "MoPoE": "", "MLD": "best"}


def test_single_seeds_are_not_compared() -> None:
    made = coherence({"mvae": [50.0], "mld": [80.0]})
    assert set(marks(main_table(made)).values()) == {""}
    assert "One training seed each: no spread over seeds, and no model is marked as best." in render(made)
    some = marks(main_table(coherence({"mvae": [50.0, 50.1, 49.9], "mopoe": [60.0, 60.1, 59.8], "mld": [90.0]})))
    assert some == {"MVAE": "second", "MoPoE": "best", "MLD": ""}


def test_agreement_on_few_classes_is_marked_and_never_bold() -> None:
    made = coherence({"mvae": [60.0, 61.0, 60.5], "mopoe": [50.0, 50.6, 50.7], "mmvae": [99.0, 98.0, 99.5]})
    for one in made:
        entropy = 0.2 if one["model"]["name"] == "mmvae" else 2.2
        one["rows"].append(row("label_entropy", "joint", "mnist", entropy))
    table = main_table(made)
    assert marks(table) == {"MVAE": "best", "MoPoE": "second", "MMVAE": ""}
    assert "98.83 ± 0.76 §" in render(made)


def test_a_model_has_one_name() -> None:
    text = "".join(render(paper_cells("mnist_svhn"), format=form) for form in ("md", "tex", "json"))
    assert text.count("The paper's tables write MoPoE as MOPOE.") == text.count("MOPOE") == 3, "once in each"
    assert set(re.findall("mopoe", text, re.IGNORECASE)) == {"MoPoE", "mopoe", "MOPOE"}


LATEX = subprocess.run(["sh", "-c", "command -v pdflatex"], capture_output=True).returncode == 0


@pytest.mark.skipif(not LATEX, reason="no LaTeX here")
@BOTH
def test_a_latex_table_is_as_wide_as_it_says_at_8_pt(tmp_path: Path, dataset: str) -> None:
    (group,) = groups(paper_cells(dataset))
    made = tables(group)
    start = [r"\documentclass{article}\usepackage{booktabs}\begin{document}"]
    for number, table in enumerate(made):
        (body,) = re.findall(
            r"\\begin\{tabular\}.*?\\end\{tabular\}", _float(group, table, number, [], Options()), re.DOTALL
        )
        size = r"\fontsize{8}{9.6}\selectfont\setlength{\tabcolsep}{3pt}"
        start.append(rf"\setbox0=\hbox{{{size}{body}}}\typeout{{WIDE \the\wd0}}")
    (tmp_path / "t.tex").write_text("\n".join([*start, r"x\end{document}"]))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "t.tex"], cwd=tmp_path, capture_output=True, text=True
    )
    wide = [float(width) for width in re.findall(r"WIDE ([\d.]+)pt", done.stdout)]
    assert len(wide) == len(made)
    for width, table in zip(wide, made, strict=True):
        assert width <= _width(table, Options()) <= 1.1 * width


@pytest.mark.skipif(not LATEX, reason="no LaTeX here")
@BOTH
def test_the_pdf_has_no_type_under_8_pt_and_holds_notes_and_judges(tmp_path: Path, dataset: str) -> None:
    head = r"\documentclass[10pt]{article}\usepackage[textwidth=6.75in]{geometry}\usepackage{booktabs}\begin{document}"
    text = render(paper_cells(dataset), format="tex")
    (tmp_path / "t.tex").write_text(f"{head}\n{text}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert "Overfull" not in done.stdout
    fonts = subprocess.run(["pdffonts", "t.pdf"], cwd=tmp_path, capture_output=True, text=True).stdout
    sizes = {int(size) for size in re.findall(r"\+(?:CM|SF)\w*?(\d+) ", fonts)}
    assert sizes <= {8, 10}
    shown = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    for note in ("Judges", "Samples behind each number", "paired t-test over seeds", "claims of Bounoua et al."):
        assert note in shown


def test_entries_that_were_not_measured_are_none() -> None:
    table = main_table([cell("mvae", 0), *coherence({"mld": [50.0]})])
    entries: list[Entry | None] = list(table.lines[1].entries)
    assert entries[0] is not None
    assert entries[1:] == [None] * 6
