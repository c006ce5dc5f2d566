"""The tables of five views: what the field prints, means over subsets and targets; each subset only where asked for."""

from __future__ import annotations

from itertools import combinations
from statistics import fmean
from typing import Any

import pytest

from mmbench.data.polymnist import specification
from mmbench.report import Options, render
from mmbench.report.comparison import groups
from mmbench.report.table import Table, tables
from mmbench.store import Cell

from ..cells import cell, row

VIEWS = [f"m{k}" for k in range(5)]
ALL = "+".join(VIEWS)
JUDGES = {"judge": "strided 97.0 %", "identity": "a1b2c3d4"}


def coherence(given: tuple[str, ...], target: str, seed: int) -> float:
    """Of each subset, target and seed another number."""
    return 10.0 * len(given) + sum(3 ** VIEWS.index(g) for g in given) / 100 + VIEWS.index(target) + seed / 4


def distance(target: str, given: int = 0) -> float:
    return 40.0 - 5 * given + 2.0 ** VIEWS.index(target)


def chosen() -> list[tuple[str, ...]]:
    """Two subsets of each size, as a protocol draws them."""
    return [s for k in range(1, 5) for s in list(combinations(VIEWS, k))[:2]]


def rows_of(seed: int) -> list[dict[str, Any]]:
    rows = [row("coherence", "joint", ALL, 30.0 + seed, **JUDGES)]
    rows += [row("label_entropy", "joint", view, 2.0, **JUDGES) for view in VIEWS]
    rows += [row("fmd", "joint", view, distance(view), **JUDGES) for view in VIEWS]
    for given in chosen():
        rest = [view for view in VIEWS if view not in given]
        task = f"{'+'.join(given)}->{'+'.join(rest)}"
        rows += [row("coherence", task, view, coherence(given, view, seed), **JUDGES) for view in rest]
        rows += [row("fmd", task, view, distance(view, len(given)), **JUDGES) for view in rest]
    return rows


@pytest.fixture
def made() -> list[Cell]:
    cells = [cell("mvae", seed, rows_of(seed), dataset="polymnist_drawn", modalities=VIEWS) for seed in (0, 1)]
    for one in cells:
        one["dataset"]["primary"] = [list(point) for point in specification("p", "P", 5).primary]
    return cells


def main_table(made: list[Cell]) -> Table:
    (group,) = groups(made)
    return tables(group, main=True)[0]


def test_the_main_table_is_the_fields(made: list[Cell]) -> None:
    table = main_table(made)
    assert table.spans == [("Coherence (% ↑)", 5), ("Quality (FMD ↓)", 1)]
    assert [column.label for column in table.columns] == [
        "Joint", "1 given (mean)", "2 given (mean)", "3 given (mean)", "4 given (mean)", "Joint (mean) FMD"
    ]  # fmt: skip


def test_its_numbers_are_means_over_subsets_and_targets(made: list[Cell]) -> None:
    (line,) = main_table(made).lines
    means = [entry.number.mean for entry in line.entries if entry]
    right = [30.5]
    for k in range(1, 5):
        values = [
            coherence(given, view, seed)
            for seed in (0, 1)
            for given in chosen()
            if len(given) == k
            for view in VIEWS
            if view not in given
        ]
        right.append(fmean(values))
    assert means == pytest.approx([*right, fmean(map(distance, VIEWS))])
    assert next(entry.number.by_seed for entry in line.entries if entry) == {0: 30.0, 1: 31.0}


def test_one_subset_of_a_size_stands_under_its_size_too(made: list[Cell]) -> None:
    """Four given leave one target: one number is its own mean."""
    last = "+".join(VIEWS[:3] + VIEWS[4:])
    for one in made:
        one["rows"] = [r for r in one["rows"] if not r["task"].startswith(f"{last}->")]
    table = main_table(made)
    assert [column.label for column in table.columns][4] == "4 given (mean)"
    entry = table.lines[0].entries[4]
    assert entry is not None
    assert entry.number.mean == pytest.approx(fmean(coherence(tuple(VIEWS[:4]), "m4", seed) for seed in (0, 1)))


def test_further_tables_are_means_and_all_shows_every_subset(made: list[Cell]) -> None:
    text, every = render(made), render(made, options=Options(all=True))
    assert "m0 → m1" not in text
    assert "m0+m1 → m4" not in text
    assert "### FMD (↓)" in text
    for given in chosen():
        for view in VIEWS:
            if view not in given:
                assert f"{'+'.join(given)} → {view}" in every


def test_notes_say_what_a_mean_is_over_and_that_it_mixes_judges(made: list[Cell]) -> None:
    """Of two subsets of one view each, four targets: eight numbers."""
    text = render(made)
    assert (
        "1 given (mean): the mean over 8 numbers, one for each target of each subset that is given, and so on" in text
    )
    assert text.count("A mean over modalities mixes the scales of their judges") == 1
    for one in made:
        one["rows"] = [r for r in one["rows"] if r["metric"] != "fmd" or r["modality"] == "m0"]
    assert "mixes the scales" not in render(made)


def test_what_was_not_measured_is_said(made: list[Cell]) -> None:
    assert "Not measured" not in render(made)
    for one in made:
        one["rows"] = [r for r in one["rows"] if r["metric"] != "fmd"]
    assert main_table(made).spans == [("Coherence (% ↑)", 5)]
    assert "Not measured: FMD Joint." in render(made)


def test_views_of_different_number_share_no_table() -> None:
    both = [cell("mvae", 0, dataset=name, modalities=VIEWS[:n]) for name, n in (("p", 5), ("p_3", 3))]
    assert len(groups(both)) == 2
    assert {specification("p", "P", n).name for n in (2, 3, 4, 5)} == {"p_2", "p_3", "p_4", "p"}
