"""What a mean over tasks hides is said: tasks at chance, models whose order turns with the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mmbench.report import render
from mmbench.report.comparison import groups
from mmbench.report.gaps import gap
from mmbench.report.hidden import hidden
from mmbench.report.table import tables
from mmbench.store import Cell

from ..cells import cell, row

GLYPHS = ("pen", "sign", "name")
VIEWS = [f"m{k}" for k in range(5)]
Values = Mapping[str, Mapping[tuple[str, str], float]]
"""Model -> (given, target) -> coherence in %."""


def cells(values: Values, seeds: int = 1, half: float = 2.5, names: Any = GLYPHS) -> list[Cell]:
    """`half`: of each interval over the samples; seeds differ by a tenth."""
    made = []
    for model, numbers in values.items():
        for k in range(seeds):
            rows = [row("coherence", "joint", "+".join(names), 50.0)]
            for (given, target), value in numbers.items():
                v = value + k / 10
                rows.append(row("coherence", f"{given}->{target}", target, v, interval=[v - half, v + half]))
            made.append(cell(model, k, rows, dataset="own", modalities=list(names)))
    return made


def said(made: list[Cell]) -> list[str]:
    (group,) = groups(made)
    return hidden(group)


LOW = {("pen", "name"): 80.0, ("sign", "name"): 9.0}
HIGH = {("pen", "name"): 60.0, ("sign", "name"): 55.0}


@pytest.mark.parametrize("seeds", [1, 5])
def test_a_mean_says_which_tasks_are_at_chance_and_where_the_order_turns(seeds: int) -> None:
    """Chance of one of ten classes is 10 %; the mean of 80 and 9 is far above it."""
    made = cells({"mvae": LOW, "mld": HIGH}, seeds)
    low, turned = said(made)
    column = "Coherence 1 given → N (mean)"
    assert low == f"Means hide tasks that are not above chance. {column}: MVAE in S → N."
    assert turned.endswith(f"{column}: MVAE beats MLD in P → N, not in S → N.")
    assert all(f"> **Warning:** {line}" in render(made) for line in (low, turned))


def test_the_number_itself_is_marked_and_the_mark_explained() -> None:
    made = cells({"mvae": LOW, "mld": HIGH})
    table = tables(groups(made)[0])[0]
    hides = {line.title: [entry.hides for entry in line.entries if entry] for line in table.lines}
    assert hides == {"MVAE": [0, 1], "MLD": [0, 0]}
    for form, mark in (("md", "44.50 (‡)"), ("tex", r"44.50\,(\ddag)")):
        text = render(made, format=form)  # type: ignore[arg-type]
        assert text.count(mark) == 1
        assert "some of the tasks in this mean are not above chance" in text


def test_a_mean_at_chance_has_the_mark_of_chance_alone() -> None:
    made = cells({"mvae": {("pen", "name"): 9.0, ("sign", "name"): 10.0}})
    (entry,) = [e for e in tables(groups(made)[0])[0].lines[0].entries if e and e.number.row["task"] == "1 given"]
    assert (entry.at_chance, entry.hides) == (True, 0)


@pytest.mark.parametrize(
    ("values", "half"),
    [
        ({"mvae": {("pen", "name"): 80.0, ("sign", "name"): 45.0}, "mld": HIGH}, 30.0),
        ({"mvae": {("pen", "name"): 80.0, ("sign", "name"): 56.0}, "mld": HIGH}, 2.5),
        ({"mvae": HIGH, "mld": HIGH}, 2.5),
    ],
    ids=["wide intervals", "better everywhere", "equal"],
)
def test_what_is_not_sure_is_not_said(values: Values, half: float) -> None:
    assert said(cells(values, half=half)) == []


def test_of_five_views_tasks_are_counted_and_one_pair_is_shown() -> None:
    tasks = [(a, b) for a in VIEWS for b in VIEWS if a != b]
    low = {task: 9.0 if task[1] == "m3" else 70.0 for task in tasks}
    high = {task: 30.0 if task[1] == "m4" else 50.0 for task in tasks}
    other = {task: 31.0 if task[1] == "m3" else 49.0 for task in tasks}
    found = said(cells({"mvae": low, "mopoe": other, "mld": high}, names=VIEWS, half=0.2))
    assert found[0].endswith("Coherence 1 given (mean): MVAE in 4 of 20 tasks.")
    assert found[1].endswith("MVAE beats MoPoE in m0 → m1, not in m0 → m3 (and 2 more pairs).")


def test_of_distances_the_lower_one_is_better() -> None:
    rows = {
        "mvae": [("pen", 10.0), ("name", 30.0)],
        "mld": [("pen", 20.0), ("name", 20.0)],
    }
    made = [
        cell(model, k, [row("coherence", "joint", "+".join(GLYPHS), 50.0)]
             + [row("fmd", f"{given}->sign", "sign", v + k / 10, judge="j") for given, v in own],
             dataset="own", modalities=list(GLYPHS))
        for model, own in rows.items()
        for k in range(3)
    ]  # fmt: skip
    assert said(made) == [
        "Means hide that the order of models turns with the task. "
        "1 given → S (mean) FMD: MVAE beats MLD in P → S, not in N → S."
    ]


def test_a_gap_is_wider_where_it_is_one_of_several() -> None:
    """1.96 and, of ten, 2.81 standard errors (normal quantiles of 0.975 and 0.9975)."""
    made = cells({"mvae": {("pen", "name"): 80.0}, "mld": {("pen", "name"): 70.0}}, half=1.96)
    (group,) = groups(made)
    point = ("coherence", "pen->name", "name")
    one, other = (group.number("model", point, line) for line in group.lines)
    assert one is not None
    assert other is not None
    alone, of_ten = gap(one, other), gap(one, other, 10)
    assert alone.low == pytest.approx(10 - 1.96 * 2**0.5, abs=1e-3)
    assert of_ten.high == pytest.approx(10 + 2.8070 * 2**0.5, abs=1e-3)
    assert (alone.side, gap(other, one).side) == (1, -1)
