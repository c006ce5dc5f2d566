"""Trust around the numbers: which code, which networks, which judges, which settings stand behind a table."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest

from mmbench.report import render
from mmbench.report.comparison import groups
from mmbench.store.provenance import code_of_module, harness

from ..cells import cell, modality, row

ME = {"mmbench_mld": code_of_module("mmbench_mld")}
OTHER = {"mmbench_mld": "0123456789"}


def made_by(model: dict[str, str], training: str = "") -> dict[str, Any]:
    now = harness()
    return {"model": model, "dataset": {}, "harness": {**now, "training": training or now["training"]}}


def lines_of(text: str, name: str) -> list[list[str]]:
    rows = [[part.strip() for part in line.strip("| ").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in rows if row[0] == name]


def joint(value: float, **more: Any) -> list[dict[str, Any]]:
    return [row("coherence", "joint", "mnist+svhn", value, **more)]


def test_seeds_of_two_codes_are_two_lines_and_the_stale_one_says_so() -> None:
    cells = [cell("mld", seed, joint(80.0), code=made_by(ME)) for seed in (0, 1)]
    cells += [cell("mld", seed, joint(20.0), code=made_by(OTHER)) for seed in (2, 3)]
    text = render(cells)
    assert lines_of(text, "MLD")[0][:3] == ["MLD", "2", "**80.00 ± 0.00**"], "not 50.00"
    assert lines_of(text, "MLD (stale)")[0][:3] == ["MLD (stale)", "2", "_20.00 ± 0.00_"]
    assert f"MLD (stale): other code made it (mmbench_mld 0123456789 -> {ME['mmbench_mld']}" in text
    command = "mmbench run --model mld --dataset mnist_svhn --budget paper --seed 2 --seed 3 --stale rerun"
    assert f"`{command}` computes it anew." in text


def test_models_that_the_same_other_code_made_share_a_warning() -> None:
    """Seven lines that say the same hide the eighth; what to type stays each model's own."""
    cells = [cell(model, 0, joint(80.0), code=made_by(OTHER)) for model in ("mld", "mld_uni")]
    (line,) = (line for line in render(cells).splitlines() if "other code made" in line)
    assert "MLD (stale), mld_uni (stale): other code made them (mmbench_mld 0123456789 -> " in line
    for model in ("mld", "mld_uni"):
        assert f"`mmbench run --model {model} --dataset mnist_svhn --budget paper --seed 0 --stale rerun`" in line


def test_models_that_lack_the_same_seeds_share_a_warning() -> None:
    cells = [cell("mld", seed, joint(80.0)) for seed in (0, 1, 2)]
    cells += [cell(model, 0, joint(50.0)) for model in ("mvae", "mopoe")] + [cell("nexus", 1, joint(50.0))]
    lacking = [line.removeprefix("> **Warning:** ") for line in render(cells).splitlines() if " lack" in line]
    assert lacking == ["MVAE, MoPoE lack seed 1, 2.", "NEXUS lacks seed 0, 2."]


def test_the_harness_that_trained_counts_as_well() -> None:
    cells = [cell("mld", 0, joint(80.0), code=made_by(ME)), cell("mld", 1, joint(20.0), code=made_by(ME, "fedcba9876"))]
    assert lines_of(render(cells), "MLD (stale)")
    assert "training fedcba9876 -> " in render(cells)


def test_two_old_codes_are_told_apart() -> None:
    older = {"mmbench_mld": "9999999999"}
    cells = [cell("mld", k, joint(20.0), code=made_by(code)) for k, code in enumerate((OTHER, older))]
    titles = {group.title(line) for group in groups(cells) for line in group.lines}
    assert len(titles) == 2
    assert all(title.startswith("MLD (stale; code ") for title in titles)


def test_code_that_is_not_here_is_not_called_stale() -> None:
    cells = [cell("mine", 0, joint(20.0), code=made_by({"a_package_that_is_not_here": "1"}))]
    assert "stale" not in render(cells)


def test_another_network_of_a_modality_is_another_table() -> None:
    """And so is every other thing that models are given: latent, likelihood, scale, weight."""
    for change in (
        {"network": "svhn_conv"},
        {"latent": 8},
        {"likelihood": "gaussian"},
        {"scale": 0.5},
        {"weight": 2.0},
    ):
        changed = [modality("mnist", **change), "svhn"]
        found = groups([cell("mvae", 0), cell("mld", 0, modalities=changed)])
        assert len(found) == 2, change
    assert "M, S mnist_mlp, 16 latent dimensions, laplace likelihood of scale 0.75, its loss × 1." in render(
        [cell("mvae")]
    )


@pytest.mark.parametrize("part", ["identity", "reference"])
def test_judges_of_one_printed_name_and_other_weights_share_no_table(part: str) -> None:
    found = groups(
        [cell("mvae", 0, joint(1.0, **{part: "a1b2c3d4"})), cell("mld", 0, joint(2.0, **{part: "ffffffff"}))]
    )
    assert len(found) == 2


def test_tables_of_the_same_data_say_what_keeps_them_apart() -> None:
    """Which models stand in the other one, and why: judges by their weights, settings by their values."""
    ours = cell("mvae", 0, joint(1.0))
    theirs = cell("mld", 0, joint(2.0, identity="ffffffff+a1b2c3d4"))
    second, first = render([ours, theirs]).split("## MNIST_SVHN")[1:]
    assert "Another table of these data holds MLD: it has other judges (M [a1b2c3d4] here, [ffffffff] there)." in first
    assert (
        "Another table of these data holds MVAE: it has other judges (M [ffffffff] here, [a1b2c3d4] there)." in second
    )
    assert "Another table" not in render([ours])
    assert "Another table" not in render([ours, cell("mld", 0, joint(2.0), budget="smoke")])  # its heading says it
    counted = render([ours, cell("mld", 0, joint(2.0), protocol={**ours["protocol"], "seed": 7})])
    assert "holds MLD: it has other settings of the protocol (seed=0 here, 7 there)." in counted
    latent = render([ours, cell("mld", 0, joint(2.0), modalities=[modality("mnist", latent=8), "svhn"])])
    assert "it has other settings of the modalities (mnist.latent=16 here, 8 there)." in latent


def test_tables_of_other_reference_autoencoders_say_so() -> None:
    ratio = row("fmd_ratio", "joint", "mnist", 2.0)
    text = render([cell("mvae", 0, [ratio]), cell("mld", 0, [{**ratio, "reference": "ffffffff"}])])
    assert "holds MLD: it has other reference autoencoders (M [e5f6a7b8] here, [ffffffff] there)." in text


def test_a_judge_is_named_with_its_digits_and_a_ratio_with_its_reference_autoencoder() -> None:
    text = render([cell("mvae", 0, [*joint(1.0), row("fmd_ratio", "joint", "mnist", 2.0)])])
    judges = "M mnist classifier (accuracy 0.985) [a1b2c3d4]; S svhn classifier (accuracy 0.921) [a1b2c3d4]."
    assert judges in text
    assert "Reference autoencoders: M [e5f6a7b8]." in text


def test_changed_settings_stand_in_the_title() -> None:
    own = cell("mld", 0, joint(80.0), overrides={"score.steps": 150, "score.epochs": None, "eval.count": 30})
    text = render([own])
    assert lines_of(text, "MLD (score.steps=150)")
    assert "(not the budget's: count=30)" in text
    assert lines_of(render([cell("mld", 0, joint(80.0), overrides={"score.ema": None})]), "MLD (score.ema=null)")
    many = cell("mld", 0, joint(80.0), overrides={f"a_long_name_{k}": k for k in range(9)})
    assert lines_of(render([many]), "MLD (9 settings changed)")
    assert "not the recipe's: a_long_name_0=0, " in render([many])
    assert lines_of(render([cell("mld", 0, joint(80.0))]), "MLD")


def test_a_collapsed_stage_is_marked_and_stays_in_the_mean() -> None:
    stages = cell("mld")["stages"]
    ruined = {"elbo": {**stages["elbo"], "collapsed": ["stage 'elbo' has collapsed: skill mnist 0.01, 0.05 needed"]}}
    text = render([cell("mvae", 0, joint(10.0)), cell("mvae", 1, joint(30.0), stages=ruined)])
    assert lines_of(text, "MVAE †")[0][1:3] == ["2", "20.00 ± 14.14"]
    assert "† MVAE: seed 1: stage 'elbo' has collapsed" in text


def test_the_skills_of_a_collapsed_stage_share_a_sentence() -> None:
    """Of five views and five seeds it is five sentences, not 25; a reason of other words stays as it is."""
    stages = cell("mld")["stages"]
    reasons = [
        f"stage 'elbo' has collapsed: skill {m} 0.0{k} on validation tuples, 0.05 needed"
        for k, m in ((1, "a"), (2, "b"))
    ]
    ruined = {"elbo": {**stages["elbo"], "collapsed": [*reasons, "stage 'elbo' has collapsed: own words"]}}
    text = render([cell("mvae", seed, joint(10.0), stages=ruined) for seed in (0, 1)])
    skills = "stage 'elbo' has collapsed: skill a 0.01, b 0.02 on validation tuples, 0.05 needed"
    said = [f"seed {seed}: {skills}; seed {seed}: stage 'elbo' has collapsed: own words" for seed in (0, 1)]
    assert f"† MVAE: {'; '.join(said)}. It is part of the mean." in text


def test_cells_to_choose_settings_by_stand_apart_and_without_the_papers_numbers() -> None:
    text = render([cell("mvae", 0), cell("mvae", 1, split="validation")])
    assert text.count("## MNIST_SVHN") == 2
    assert text.count("validation tuples (to choose settings by)") == 1
    assert text.count("· paper") == render([cell("mvae", 0)]).count("· paper")


def environment(commit: str, torch: str = "2.14.1", device: str = "cpu: x, 2 threads", day: str = "2026-11-27") -> Any:
    return {"commit": commit, "torch": torch, "device": device, "mmbench": "0.1.0", "finished": f"{day}T10:00:00+00:00"}


def test_where_a_table_comes_from() -> None:
    text = render([cell("mvae", 0, environment=environment("aaa")), cell("mvae", 1, environment=environment("aaa"))])
    assert "- Made by: commit aaa; mmbench 0.1.0; torch 2.14.1; cpu: x, 2 threads; 2026-11-27; data fingerprint" in text
    assert "rests on" not in text
    cells = [cell("mvae", k, environment=environment("aaa")) for k in (0, 1)]
    cells.append(cell("mvae", 2, environment=environment("bbb-dirty", "2.11.0", "cuda: y, 16 threads", "2026-11-20")))
    text = render(cells)
    assert "commits aaa (2 cells) and bbb-dirty (1 cell)" in text
    assert "2026-11-20 to 2026-11-27" in text
    assert "rests on several commits, several versions of torch, several devices, checkouts with changed files" in text


def metrics(**codes: str) -> dict[str, Any]:
    return {
        name: {"distribution": "x", "seconds": 1.0, "commit": None, "code": {"not_here": code}}
        for name, code in codes.items()
    }


def test_seeds_measured_by_different_code_are_named() -> None:
    cells = [cell("mvae", k, joint(1.0), metrics=metrics(coherence=str(k))) for k in (0, 1)]
    assert "Coherence: seeds of one line were measured by different code." in render(cells)
    assert "different code" not in render(cells[:1])


def test_metrics_of_older_code_are_named() -> None:
    own = metrics(coherence="0")
    own["coherence"]["code"] = {"mmbench_evaluation": "0000000000"}
    text = render([cell("mvae", 0, joint(1.0), metrics=own)])
    assert "Coherence: measured by other code than is here now. `mmbench evaluate --again --metrics coherence`" in text


def test_reference_points_say_which_data_and_how_many() -> None:
    rows = [*joint(1.0), *joint(90.0, source="real", data="the evaluated test tuples")]
    rows += [row("fmd", "joint", "mnist", 3.0), row("fmd", "joint", "mnist", 1.0, source="real", count=400,
                                                    data="training tuples")]  # fmt: skip
    text = render([cell("mvae", 0, rows)])
    said = "Coherence from 1,000 samples (the evaluated test tuples); FMD from 400 samples (training tuples)."
    assert f"Real test data: {said}" in text


def test_the_csv_has_all_of_it() -> None:
    stale = cell("mld", 0, joint(20.0), code=made_by(OTHER), overrides={"width": 64}, environment=environment("aaa"))
    table = pd.read_csv(io.StringIO(render([stale], format="csv")))
    (line,) = table[table["source"] == "model"].to_dict("records")
    assert (line["stale"], line["changed"], line["commit"], line["split"]) == (True, "width=64", "aaa", "test")
    assert line["identity"] == "a1b2c3d4+a1b2c3d4"
    assert line["code"] == groups([stale])[0].lines[0].code


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("its weights are missing; put them into a folder", True),
        ("it measures nothing on Toy: the data have no class labels", False),
        ("it gave no number on Toy; tell its author", False),
    ],
)
def test_what_to_type_stands_where_it_can_help(reason: str, told: bool) -> None:
    (line,) = [x for x in render([cell("mvae", left_out={"fid": reason})]).splitlines() if "is left out" in x]
    assert reason.partition(";")[0] in line
    assert ("mmbench evaluate --dataset" in line) == told
