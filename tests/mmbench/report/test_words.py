"""What stands around a table's numbers: what they are, who judged, how it was made; in every format."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

from mmbench.report import Options, render
from mmbench.report.comparison import groups
from mmbench.report.costs import CELL_COSTS
from mmbench.report.html import page
from mmbench.report.html.tables import settings
from mmbench.report.judges import judge_lines
from mmbench.report.protocol import plain
from mmbench.report.table import tables
from mmbench.report.warnings import warnings
from mmbench.report.words import about
from mmbench.store import Cell, Found

from ..cells import cell, mnist_svhn_rows, modality, row
from .test_html import Element, captioned, grid, tree
from .written import paper_cells

GLYPHS = ["pen", "sign", modality("name", shape=[5], tokens=16, likelihood="categorical", network="word_mlp")]
WHOLE = "pen+sign+name"
JUDGES = {"pen": ("lenet 99.6 %", "9d0d86c8"), "sign": ("lenet 99.3 %", "dc8b9924"), "name": ("exact", "")}
OLD_PROTOCOL = {
    "split": "test", "count": 400, "quality_count": 400, "fid_count": 64, "resize": "pytorch-fid", "rounding": False,
    "second_judge": None, "batch_size": 1000, "judge": {"epochs": None, "steps": 300}, "seed": 0,
}  # fmt: skip


def judged(metric: str, task: str, name: str, value: float, **more: Any) -> dict[str, Any]:
    names = name.split("+")
    judge, digits = " + ".join(JUDGES[n][0] for n in names), "+".join(JUDGES[n][1] for n in names)
    return row(metric, task, name, value, judge=judge, identity=digits if any(digits.split("+")) else "", **more)


def rows_of(shift: float = 0.0, note: str = "") -> list[dict[str, Any]]:
    """The rows that coherence and FMD write of three modalities."""
    rows = [judged("coherence", "joint", WHOLE, 60 + shift)]
    rows += [judged("label_entropy", "joint", m, 2.0, note=note if m == "name" else "") for m in JUDGES]
    for source, level in (("real", 98.0), ("shuffled", 1.75)):
        rows.append(judged("coherence", "joint", WHOLE, level, source=source, data="the evaluated test tuples"))
    rows += [judged("label_entropy", "joint", m, 2.29, source="real", data="the evaluated test tuples") for m in JUDGES]
    for given, target in [(a, b) for a in JUDGES for b in JUDGES if a != b]:
        rows.append(judged("coherence", f"{given}->{target}", target, 50 + shift))
        if target != "name":
            rows.append(judged("fmd", f"{given}->{target}", target, 100 + shift))
    for m, real in (("pen", 53.87), ("sign", 56.76)):
        for metric, value, far in (("fmd", 105.0, real), ("fmd_ratio", 0.19, 0.08)):
            more: dict[str, Any] = {"reference": "c31cbd2b", "higher_is_better": False} if far < 1 else {}
            rows.append(judged(metric, "joint", m, value + shift / 100, **more))
            rows.append(judged(metric, "joint", m, far, source="real", data="other test tuples", **more))
    return rows


def glyphs(*models: str, seeds: int = 1, **more: Any) -> list[Cell]:
    values = {"dataset": "glyphs", "modalities": GLYPHS, "titles": {"pen": "pen", "sign": "sign"}, "budget": "smoke"}
    made = [
        cell(m, k, rows_of(10 * n, note=f"{100 * n + 13} of 400 samples are of no class"), **(values | more))
        for n, m in enumerate(models)
        for k in range(seeds)
    ]
    for one in made:
        one["dataset"]["title"] = "Glyphs"
        one["protocol"] = OLD_PROTOCOL
    return made


def test_markdown_has_warnings_then_tables_and_last_how_they_were_made() -> None:
    text = render(glyphs("mvae", "mld"))
    parts = [line for line in text.splitlines() if line.startswith(("##", "> **Warning:** Budget smoke"))]
    assert parts[0].startswith("## Glyphs")
    assert parts[1].startswith("> **Warning:** Budget smoke")
    assert parts[2] == "### Coherence (% ↑), 1 of 2"
    assert parts[3] == "### Quality (FMD ↓), 2 of 2"
    assert parts[-1] == "### How it was made"
    assert text.index("Training seeds") > text.index("### How it was made")


@pytest.mark.parametrize(("budget", "first"), [("smoke", "Budget smoke"), ("laptop", "Budget laptop")])
def test_a_shorter_budget_is_the_first_warning(budget: str, first: str) -> None:
    (group,) = groups(glyphs("mvae", budget=budget))
    assert warnings(group, [])[0].startswith(first)
    (paper,) = groups(glyphs("mvae", budget="paper"))
    assert not any(line.startswith("Budget") for line in warnings(paper, []))


def test_label_entropy_stands_by_modality_beside_real_data_with_its_side() -> None:
    """Of three modalities, and of five, whose other numbers are means."""
    names = [f"m{k}" for k in range(5)]
    five = [judged_by("coherence", "+".join(names), 50.0), *(judged_by("label_entropy", m, 2.0) for m in names)]
    for made, wanted in (
        (glyphs("mvae"), ["Entropy(P)", "Entropy(S)", "Entropy(N)"]),
        ([cell("mvae", rows=five, modalities=names)], [f"Entropy({m})" for m in names]),
    ):
        (table,) = [t for t in tables(groups(made)[0]) if t.title.startswith("Label entropy")]
        assert table.labels == wanted
        assert table.title == "Label entropy (nats, closer to real is better)"
    text = render(glyphs("mvae"))
    assert f"at most ln 10 = {math.log(10):.2f}; real data have 2.29. Closer to real data is better" in text


def judged_by(metric: str, modality: str, value: float) -> dict[str, Any]:
    return row(metric, "joint", modality, value, judge="j", identity="")


def test_a_note_on_a_metric_stands_once_and_below_its_own_table() -> None:
    made = glyphs("mvae", "mld")
    note, own = "FMD ratio: FMD divided by", "a blunt yardstick"
    text = render(made)
    assert text.count(note) == text.count("FMD: Frechet distance") == text.count("Coherence: of how many") == 1
    assert text.index("FMD ratio (↓)") < text.index(note) < text.index("### How it was made")
    assert "1 is as good as those, real data reach 0.08, a blunt yardstick" in text
    assert "as many other real samples reach 53.87 (P) and 56.76 (S)" in text
    (group,) = json.loads(render(made, format="json"))["groups"]
    notes = {table["title"]: table["notes"] for table in group["tables"]}
    assert [title for title, found in notes.items() if any(own in said for said in found)] == ["FMD ratio (↓)"]
    tex = render(made, format="tex")
    (piece,) = [part for part in tex.split(r"\begin{table") if note in part]
    assert r"FMD ratio ($\downarrow$)" in piece


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Element:
    return tree(page(Found(glyphs("mvae", "mld")), tmp_path_factory.mktemp("runs")))


def test_the_page_splits_at_headings_has_short_labels_and_notes_below_tables(root: Element) -> None:
    main = captioned(root, "Glyphs: Coherence (% ↑), 1 of 2")
    assert grid(main)[1] == ["Model", "Seeds", "Joint", *(f"1 given → {letter} (mean)" for letter in "PSN")]
    far = captioned(root, "Glyphs: Quality (FMD ↓), 2 of 2")
    assert grid(far)[0][-1] == "Quality (FMD ↓)"
    assert grid(far)[1] == ["Model", "Seeds", "Joint(P)", "Joint(S)", "1 given → P (mean)", "1 given → S (mean)"]
    assert [rows[0] for rows in grid(far)][2:] == ["MVAE", "MLD", "Real test data"]
    assert sum("FMD ratio: FMD divided by" in p.words() for p in root.all("p") if p.attrs.get("class") == "foot") == 1


def test_claims_of_models_that_were_not_run_are_one_sentence_on_the_page(root: Element) -> None:
    assert not [ol for ol in root.all("ol") if ol.attrs.get("class") == "claims"]
    words = root.words()
    assert "hold here? (simple: P, rich: S)" in words
    assert words.count("Not judged: a, d, e (MMVAE, MoPoE, NEXUS and MVTCAE were not run)") == 1
    assert (
        "mmbench run --model mmvae --model mopoe --model nexus --model mvtcae --dataset glyphs --budget smoke" in words
    )


def test_claims_about_two_images_are_not_made_of_five() -> None:
    names = [f"m{k}" for k in range(5)]
    rows = [judged_by("coherence", "+".join(names), 50.0), *(judged_by("fmd", m, 9.0) for m in names)]
    text = render([cell(m, rows=rows, modalities=names) for m in ("mvae", "mld")])
    assert "b, c, d, e, f (about a simple and a rich image; these data have 5 modalities)" in text
    assert "simple:" not in text


def test_the_paper_is_named_and_that_it_has_no_numbers() -> None:
    assert "The paper (Bounoua et al., Masked Multi-time Diffusion" in render(glyphs("mvae"))
    assert "has no numbers on Glyphs." in render(glyphs("mvae"))
    assert "has no numbers of these models and tasks." in render([cell("own")])
    assert "has no numbers on validation tuples." in render([cell("mvae", split="validation")])
    ours = render([cell("mvae")])
    assert "has no numbers" not in ours
    assert "those of the paper (Bounoua et al." in ours


def test_a_warning_names_its_models_each_with_its_own_number() -> None:
    (group,) = groups(glyphs("mvae", "mld", "own"))
    (line,) = [line for line in warnings(group, []) if "of no class" in line]
    assert line == "Entropy(N): 13 to 213 of 400 samples are of no class (own 213, MLD 113, MVAE 13)."
    many = groups(glyphs(*(f"model{k:02}" for k in range(12))))[0]
    (line,) = [line for line in warnings(many, []) if "of no class" in line]
    assert "(model11 1113, " in line
    assert line.endswith("model04 413, 4 more).")


def test_a_note_of_all_models_and_many_columns_is_short() -> None:
    """Of 20 distances of 7 models."""
    names = [f"m{k}" for k in range(5)]
    rows = [row("fid", f"{a}->{b}", b, 9.0, note="biased: 64 samples") for a in names for b in names if a != b]
    (group,) = groups([cell(f"model{k}", rows=rows, modalities=names) for k in range(7)])
    assert "FID (20 numbers): biased: 64 samples (all models)." in warnings(group, [])


def test_each_modality_has_its_judges_with_what_each_judged() -> None:
    (group,) = groups(glyphs("mvae"))
    found = [
        (line.modality, line.judge, line.identity, line.metrics) for line in judge_lines(group) if not line.reference
    ]
    assert found == [
        ("pen", "lenet 99.6 %", "9d0d86c8", ("Coherence", "Label entropy", "FMD")),
        ("sign", "lenet 99.3 %", "dc8b9924", ("Coherence", "Label entropy", "FMD")),
        ("name", "exact", "", ("Coherence", "Label entropy")),
    ]
    (line,) = [line for line in about(group) if line.startswith("Judges")]
    own = "P lenet 99.6 % [9d0d86c8]; S lenet 99.3 % [dc8b9924]; N compared letter for letter."
    assert line == f"Judges (in %: right on real test data): {own}"
    assert "Reference autoencoders: P [c31cbd2b], S [c31cbd2b]." in about(group)


def test_of_the_protocol_only_what_was_used_is_said() -> None:
    (group,) = groups(glyphs("mvae"))
    assert "Protocol: judge.steps=300, seed=0." in about(group)
    for one in (made := glyphs("mvae")):
        one["rows"].append(row("fid", "joint", "sign", 50.0, judge="inception 2015-12-05, resize pytorch-fid"))
    (line,) = [line for line in about(groups(made)[0]) if line.startswith("Protocol")]
    assert line == "Protocol: judge.steps=300, resize=pytorch-fid, rounding=no, seed=0."
    birds = paper_cells("cub", 1)
    for one in birds:
        one["protocol"] = OLD_PROTOCOL
        one["rows"] = [r for r in one["rows"] if r["metric"] == "fid"]
    assert not any("judge.steps" in line for line in about(groups(birds)[0])), "no classifier was trained"


def test_data_and_networks_are_told_in_words() -> None:
    (group,) = groups(glyphs("mvae"))
    lines = about(group)
    assert lines[0].startswith("Glyphs: P: pen, S: sign (image, 1 × 28 × 28), N: name (text, 5 tokens). 1,000 training")
    image = "P, S mnist_mlp, 16 latent dimensions, laplace likelihood of scale 0.75, its loss × 1"
    text = "N word_mlp, 16 latent dimensions, categorical likelihood, its loss × 1"
    assert lines[1] == f"Networks and likelihoods of all models: {image}; {text}."
    assert "Training seeds: 1 (number 0)." in lines
    assert "Training seeds: 3 (0 to 2)." in about(groups(glyphs("mvae", seeds=3))[0])


def test_the_training_of_each_model_is_one_note() -> None:
    made = glyphs("mvae", "mld")
    for one, steps in zip(made, (1000, 5400), strict=True):
        one["stages"]["elbo"]["steps"] = steps
    assert "- Training: MVAE 1,000 steps; MLD 5,400 steps." in render(made)


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "none"), ([], "none"), ([1, 0.5], "1, 0.5"), ("cosine", "cosine"), (True, "yes"), (0.001, "0.001")],
)
def test_settings_are_words(value: Any, said: str) -> None:
    assert plain(value) == said


def test_an_automatic_precision_says_what_it_was() -> None:
    made = glyphs("mvae")[0]
    made["config"] = {"precision": "auto", "schedule": {"precision": "auto", "decay": "cosine", "ema": None}}
    made["stages"]["elbo"]["precision"] = "float32"
    table = settings(groups([made])[0], "g")
    found = {row.name: row.cells[0].text for body in table.bodies for row in body.rows}
    assert found == {
        "precision": "auto (float32 here)", "schedule.precision": "auto (float32 here)", "schedule.decay": "cosine",
        "schedule.ema": "none",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0283, "28 ms"), (0.3, "300 ms"), (2.44, "2.4 s"), (70.4, "70 s"), (700.0, "12 min")]
)
def test_a_short_time_is_no_zero(seconds: float, said: str) -> None:
    (cost,) = [cost for cost in CELL_COSTS if cost.metric == "generation_seconds"]
    assert cost.write(seconds) == said


def test_reference_rows_say_what_they_are() -> None:
    """Chance of one of ten labels is 10 %, of three that agree 1 %."""
    text = render(glyphs("mvae"))
    assert "- Real test data: what the same judges say of the data themselves, below 100 % where they err." in text
    assert "one of 10 labels is right by chance in 10 %, all 3 agree in 1 %." in text
    assert "Real validation data" in render([cell("mvae", split="validation")])


def test_reconstructions_are_called_what_they_are_and_cut_between_metrics() -> None:
    text = render([cell("mvae", 0, mnist_svhn_rows())])
    titles = re.findall(r"^### (Reconstructions.*)$", text, re.MULTILINE)
    assert titles == ["Reconstructions (each modality from itself: what encoder and decoder lose)"]
    rows = [row("coherence", f"{m}->{m}", m, 50.0, source="reconstruction") for m in ("mnist", "svhn")]
    rows += [row("fmd", f"{m}->{m}", m, 5.0, source="reconstruction") for m in ("mnist", "svhn")]
    long = render([cell("a_long_name_of_a_model" * 4, 0, mnist_svhn_rows()[:8] + rows)], options=Options())
    heads = re.findall(r"^### Reconstructions.*: (\S+) \(", long, re.MULTILINE)
    assert heads == ["Coherence", "FMD"]
