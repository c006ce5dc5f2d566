"""The claims on the paper's own numbers (which must meet all), on numbers that break each, and on too few seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from mmbench.report import render
from mmbench.report.claims import claims
from mmbench.report.comparison import groups
from mmbench.store import Cell

from ..cells import cell, row
from .written import paper_cells, printed_table, spread

Numbers = dict[tuple[str, str, str], float]
"""(model, metric, task) -> value."""


def paper() -> Numbers:
    table = printed_table("mnist_svhn")
    return {(r["model"], r["metric"], r["task"]): float(r["mean"]) for r in table.to_dict("records")}


def cells(numbers: Numbers, seeds: int = 5, share: float = 0.002) -> list[Cell]:
    """Cells for each model, whose rows have exactly these means and this share of them as their standard deviation."""
    rng = np.random.default_rng(0)
    rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for (model, metric, task), value in numbers.items():
        target = task.partition("->")[2] or {"fid": "svhn", "fmd": "mnist"}.get(metric, "mnist+svhn")
        for seed, drawn in enumerate(spread(value, share * abs(value), seeds, rng)):
            rows.setdefault((model, seed), []).append(row(metric, task, target, float(drawn)))
    return [cell(model, seed, rows=own) for (model, seed), own in rows.items()]


def verdicts(numbers: Numbers, **more: Any) -> Mapping[str, str]:
    return judged(cells(numbers, **more))


def judged(made: list[Cell]) -> Mapping[str, str]:
    (group,) = groups(made)
    return {claim.letter: claim.verdict for claim in claims(group)}


def test_the_papers_own_table_meets_every_claim() -> None:
    assert verdicts(paper()) == dict.fromkeys("abcdef", "holds")


def test_with_the_papers_own_spread_all_but_one_can_be_told() -> None:
    """Its NEXUS has 16.68 ± 5.93 beside MoPoE's 12.27: five seeds cannot tell that apart (Student: 5.93 * 2.78 /
    sqrt(5) = 7.4)."""
    assert judged(paper_cells("mnist_svhn")) == {**dict.fromkeys("abcdf", "holds"), "e": "cannot tell"}


def test_one_seed_tells_nothing() -> None:
    """Whatever its means are."""
    assert set(verdicts(paper(), seeds=1).values()) == {"cannot tell"}
    assert set(verdicts(paper() | {("mvtcae", "coherence", "joint"): 80.0}, seeds=1).values()) == {"cannot tell"}


def test_differences_are_those_of_the_seeds_that_both_have() -> None:
    """MLD's seeds 0 to 4 and MVTCAE's 3 to 7: two in common, whose differences are -1 and -1.2."""
    made = [c for c in cells(paper()) if c["model"]["name"] != "mvtcae"]
    lines = {c["seed"]: c for c in made if c["model"]["name"] == "mld"}
    for seed in range(3, 8):
        value = 80.0
        if seed in lines:
            (mine,) = [r for r in lines[seed]["rows"] if (r["metric"], r["task"]) == ("coherence", "mnist->svhn")]
            value = mine["value"] - 1 - 0.2 * (seed - 3)
        made.append(cell("mvtcae", seed, rows=[row("coherence", "mnist->svhn", "svhn", value)]))
    (group,) = groups(made)
    (claim,) = [claim for claim in claims(group) if claim.letter == "f"]
    assert claim.verdict == "holds"  # 1.1 +- 12.7 * 0.1414 / sqrt(2) = 1.27, inside 5 points
    assert "n = 2" in claim.numbers


@pytest.mark.parametrize(
    ("letter", "change"),
    [
        ("a", {("mvtcae", "coherence", "joint"): 80.0}),
        ("b", {("mopoe", "coherence", "mnist->svhn"): 55.0, ("nexus", "coherence", "mnist->svhn"): 56.0}),
        ("b", {("mmvae", "fid", "mnist->svhn"): 60.0}),
        ("c", {("mvtcae", "coherence", "svhn->mnist"): 75.0}),
        ("c", {("mopoe", "fid", "joint"): 65.0}),
        ("d", {("mld", "fmd", "svhn->mnist"): 8.0}),
        ("e", {("nexus", "fid", "joint"): 200.0}),
        ("e", {("nexus", "coherence", "mnist->svhn"): 5.0}),
        ("f", {("mvtcae", "coherence", "mnist->svhn"): 60.0}),
    ],
)
def test_a_number_that_contradicts_a_claim_breaks_it(letter: str, change: Numbers) -> None:
    assert verdicts(paper() | change)[letter] == "does not hold"


def test_a_lacking_model_leaves_a_claim_untold_and_says_so() -> None:
    found = verdicts({key: value for key, value in paper().items() if key[0] != "nexus"})
    assert found["e"] == found["a"] == found["d"] == "cannot tell"
    assert found["b"] == found["c"] == found["f"] == "holds"


def test_distances_of_two_kinds_are_never_compared() -> None:
    """FID of some models and FMD of the others say nothing about their order; FMD of all of them does."""
    mixed = {key: value for key, value in paper().items() if key != ("mopoe", "fid", "mnist->svhn")}
    fmd = {(m, "fmd", "mnist->svhn"): 1.0 for m in ("mopoe",)}
    assert verdicts(mixed | fmd)["b"] == "cannot tell"
    all_fmd = {
        (m, "fmd", "mnist->svhn"): mixed.get((m, "fid", "mnist->svhn"), 400.0)
        for m in ("mvae", "mvtcae", "mmvae", "mopoe")
    }
    assert verdicts(mixed | all_fmd)["b"] == "holds"
    assert "FMD MMVAE 393.3" in render(cells(mixed | all_fmd)), "the metric is named"


def test_several_configurations_are_judged_for_the_recipes_own_and_it_is_said() -> None:
    changed = [
        cell("mld", seed, rows=[row("coherence", "mnist->svhn", "svhn", 10.0)], hash="another", overrides={"width": 1})
        for seed in range(5)
    ]
    made = [*cells(paper()), *changed]
    assert judged(made) == dict.fromkeys("abcdef", "holds")
    assert "MLD under its recipe's own configuration, of 2" in render(made)


def test_two_configurations_of_which_none_is_the_recipes_are_not_judged_and_it_is_said() -> None:
    more = cell("mvtcae", rows=[row("coherence", "mnist->svhn", "svhn", 99.0)], hash="another")
    made = [*cells(paper()), more]
    assert judged(made)["f"] == "cannot tell"
    assert "several configurations of MVTCAE, and not one is the recipe's own" in render(made)


def test_the_report_prints_verdicts_and_numbers() -> None:
    text = render(cells(paper()))
    assert "**f. holds**" in text
    assert "MVTCAE 82.0, MLD 83.8 %" in text
    few = render(cells({k: v for k, v in paper().items() if k[0] in ("mld", "mvtcae")}))
    assert "**f. holds**" in few
    assert "claims of Bounoua et al., made on MNIST-SVHN" in few
    assert "(simple: M, rich: S)" in few
    said = "Not judged: a, d, e (MVAE, MMVAE, MoPoE and NEXUS were not run); b, c (MVAE, MMVAE and MoPoE were not run)."
    assert said in few
    run = "mmbench run --model mvae --model mmvae --model mopoe --model nexus --dataset mnist_svhn --budget paper"
    assert f"`{run}` runs what is lacking." in few
    assert "claims" not in render(cells({k: v for k, v in paper().items() if k[0] != "mld"}))


def test_a_distance_of_zero_is_lower_than_any() -> None:
    """As a file from elsewhere may say: a ratio to it is infinite, no crash."""
    zero = {("mld", "fmd", "joint"): 0.0, ("mld", "fmd", "svhn->mnist"): 0.0}
    assert verdicts(paper() | zero)["d"] == "holds"


def test_table_5_meets_its_claims() -> None:
    assert judged(paper_cells("cub")) == dict.fromkeys("abcde", "holds")
    text = render(paper_cells("cub"))
    assert "claims of Bounoua et al., made on photographs of birds and captions (CUB)" in text
    assert "Not judged" not in text
    assert "MLD is the only model capable of convincing caption → image generation" in text


@pytest.mark.parametrize(
    ("letter", "change"),
    [
        ("a", {("mvae", "clip_s", "joint"): 0.72}),
        ("b", {("mvtcae", "clip_s", "caption->image"): 0.70}),
        ("b", {("mopoe", "fid", "caption->image"): 70.0}),
        ("c", {("nexus", "fid", "joint"): 100.0}),
        ("d", {("mmvae", "clip_s", "image->caption"): 0.60}),
        ("e", {("mld_star", "fid", "joint"): 60.0}),
    ],
)
def test_a_number_that_contradicts_a_claim_of_table_5_breaks_it(letter: str, change: Numbers) -> None:
    assert judged(paper_cells("cub", change=change))[letter] == "does not hold"
