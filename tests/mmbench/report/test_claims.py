"""The claims on the paper's own numbers (where all must hold), and on numbers that break each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mmbench.report import render
from mmbench.report.claims import claims
from mmbench.report.comparison import groups
from mmbench.report.paper import published
from mmbench.store import Cell

from ..cells import cell, row

Numbers = dict[tuple[str, str, str], float]
"""(model, metric, task) -> value."""


def paper() -> Numbers:
    table = published("mnist_svhn")
    return {(r["model"], r["metric"], r["task"]): float(r["mean"]) for r in table.to_dict("records")}


def cells(numbers: Numbers) -> list[Cell]:
    """A cell for each model with these numbers as its rows."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for (model, metric, task), value in numbers.items():
        target = task.partition("->")[2] or {"fid": "svhn", "fmd": "mnist"}.get(metric, "mnist+svhn")
        rows.setdefault(model, []).append(row(metric, task, target, value))
    return [cell(model, rows=own) for model, own in rows.items()]


def verdicts(numbers: Numbers) -> Mapping[str, str]:
    (group,) = groups(cells(numbers))
    return {claim.letter: claim.verdict for claim in claims(group)}


def test_the_papers_own_table_meets_every_claim() -> None:
    assert verdicts(paper()) == dict.fromkeys("abcdef", "holds")


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


def test_a_lacking_model_leaves_a_claim_unjudged() -> None:
    found = verdicts({key: value for key, value in paper().items() if key[0] != "nexus"})
    assert found["e"] == found["a"] == found["d"] == "not judged"
    assert found["b"] == found["c"] == found["f"] == "holds"


def test_distances_of_two_kinds_are_never_compared() -> None:
    """FID of some models and FMD of the others say nothing about their order; FMD of all of them does."""
    mixed = {key: value for key, value in paper().items() if key != ("mopoe", "fid", "mnist->svhn")}
    fmd = {(m, "fmd", "mnist->svhn"): 1.0 for m in ("mopoe",)}
    assert verdicts(mixed | fmd)["b"] == "not judged"
    all_fmd = {
        (m, "fmd", "mnist->svhn"): mixed.get((m, "fid", "mnist->svhn"), 400.0)
        for m in ("mvae", "mvtcae", "mmvae", "mopoe")
    }
    assert verdicts(mixed | all_fmd)["b"] == "holds"


def test_a_model_under_two_configurations_is_not_judged() -> None:
    more = cell("mvtcae", rows=[row("coherence", "mnist->svhn", "svhn", 99.0)], hash="another")
    (group,) = groups([*cells(paper()), more])
    assert {c.letter: c.verdict for c in claims(group)}["f"] == "not judged"


def test_the_report_prints_verdicts_and_numbers() -> None:
    text = render(cells(paper()))
    assert "**f. holds**" in text
    assert "MVTCAE 82.0 %, MLD 83.8 %" in text
    few = render(cells({k: v for k, v in paper().items() if k[0] in ("mld", "mvtcae")}))
    assert "**f. holds**" in few
    assert few.count("Not judged: a (") == 1
    assert "claims" not in render(cells({k: v for k, v in paper().items() if k[0] != "mld"}))


def test_a_distance_of_zero_is_lower_than_any() -> None:
    """As a file from elsewhere may say: a ratio to it is infinite, no crash."""
    zero = {("mld", "fmd", "joint"): 0.0, ("mld", "fmd", "svhn->mnist"): 0.0}
    assert verdicts(paper() | zero)["d"] == "holds"
