"""Statistics over seeds against scipy, against cases made by hand, and against their own promise in a simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mmbench.report.comparison import groups
from mmbench.report.statistics import (
    bootstrap,
    deviation,
    holm,
    paired,
    probability_of_improvement,
    smallest_difference,
    student,
    student_p,
)
from mmbench.report.table import Table, tables

from ..cells import cell, row

OURS = {0: 10.0, 1: 12.0, 2: 11.0, 3: 15.0, 7: 99.0}
THEIRS = {0: 9.0, 1: 12.5, 2: 9.0, 3: 11.0, 5: -99.0}


def test_only_seeds_that_both_have_are_compared() -> None:
    found = paired(OURS, THEIRS)
    assert found.seeds == (0, 1, 2, 3)
    assert found.differences == (1.0, -0.5, 2.0, 4.0)
    assert found.mean == 1.625


def test_the_paired_test_is_scipys() -> None:
    found, shared = paired(OURS, THEIRS), (0, 1, 2, 3)
    truth = stats.ttest_rel([OURS[s] for s in shared], [THEIRS[s] for s in shared])
    assert found.p == pytest.approx(truth.pvalue)
    assert found.interval == pytest.approx(tuple(truth.confidence_interval(0.95)))
    assert deviation(found.differences) == pytest.approx(np.std(found.differences, ddof=1))


def test_fewer_than_two_seeds_tell_nothing() -> None:
    for found in (paired({0: 1.0}, {0: 2.0}), paired({0: 1.0}, {1: 2.0}), paired({}, {})):
        assert math.isnan(found.p)
        assert math.isnan(found.smallest)
        assert all(map(math.isnan, found.interval))
    assert math.isnan(paired({0: 1.0}, {1: 2.0}).mean)
    assert all(map(math.isnan, bootstrap((1.0,))))


def test_differences_that_are_all_alike() -> None:
    assert student_p([0.0, 0.0, 0.0]) == 1.0
    assert student_p([2.0, 2.0]) == 0.0
    assert student_p([81.1 - 80.1, 82.2 - 81.2, 1.0]) == 0.0  # rounding is no spread
    assert student([3.0, 3.0]) == (3.0, 3.0)
    assert bootstrap((3.0, 3.0)) == (3.0, 3.0)


def test_holm_by_hand() -> None:
    """Four p-values: 0.01 * 4, 0.02 * 3, 0.03 * 2 (not below the one before), 0.5 * 1."""
    assert holm([0.02, 0.5, 0.01, 0.03]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    with_none = holm([0.01, math.nan, 0.04])
    assert with_none[0] == pytest.approx(0.02)
    assert math.isnan(with_none[1])
    assert with_none[2] == pytest.approx(0.04)


def test_the_bootstrap_is_scipys_and_always_the_same() -> None:
    values = (3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0, 6.0)
    truth = stats.bootstrap((values,), np.mean, rng=np.random.default_rng(5)).confidence_interval
    assert bootstrap(values, seed=5) == pytest.approx((truth.low, truth.high))
    assert bootstrap(values) == bootstrap(values)


def test_the_probability_of_improvement_by_hand() -> None:
    """Of 2 x 3 pairs ours is higher in 3 and equal in 1."""
    assert probability_of_improvement([5.0, 2.0], [1.0, 2.0, 9.0], True) == pytest.approx(3.5 / 6)
    assert probability_of_improvement([5.0, 2.0], [1.0, 2.0, 9.0], False) == pytest.approx(2.5 / 6)
    u = stats.mannwhitneyu([5.0, 2.0], [1.0, 2.0, 9.0]).statistic
    assert probability_of_improvement([5.0, 2.0], [1.0, 2.0, 9.0], True) == pytest.approx(u / 6)
    assert math.isnan(probability_of_improvement([], [1.0], True))


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_the_smallest_difference_has_the_power_that_it_names(n: int) -> None:
    """By scipy's noncentral t distribution."""
    shift = smallest_difference(2.0, n)
    threshold = stats.t.ppf(0.975, n - 1)
    assert stats.nct.sf(threshold, n - 1, shift / 2.0 * math.sqrt(n)) == pytest.approx(0.8, abs=1e-4)


def column(models: int, seeds: int, shift: float, rng: np.random.Generator) -> Table:
    """The main table of so many models, the first `shift` better in its only column; differences have the standard
    deviation sqrt(2)."""
    values = rng.normal(50, 1, (models, seeds))
    values[0] += shift
    made = [
        cell(f"m{m}", seed, rows=[row("coherence", "joint", "mnist+svhn", float(values[m, seed]))])
        for m in range(models)
        for seed in range(seeds)
    ]
    (group,) = groups(made)
    return tables(group, main=True)[0]


def marks(table: Table) -> list[str]:
    return [entry.mark for line in table.lines if (entry := line.entries[0])]


def test_size_models_that_are_alike_are_seldom_told_apart() -> None:
    """Two models of the same mean, 5 seeds: the worse one is not bold in 5 % of 300 tables (15 ± 3 * 3.8)."""
    rng = np.random.default_rng(0)
    wrong = sum(marks(column(2, 5, 0.0, rng)) != ["best", "best"] for _ in range(300))
    assert 4 <= wrong <= 27


def test_power_the_smallest_difference_is_found_as_often_as_it_says() -> None:
    """Two models as far apart as 5 seeds can show: found in 80 % of 300 tables (240 ± 3 * 7)."""
    rng = np.random.default_rng(1)
    shift = smallest_difference(math.sqrt(2), 5)
    found = sum(marks(column(2, 5, shift, rng)) == ["best", "second"] for _ in range(300))
    assert 219 <= found <= 261


def test_many_models_do_not_make_a_chance_find_likely() -> None:
    """Six alike models: Holm keeps the chance that one is told from the best near the level. (The best is chosen from
    the same seeds, so it is somewhat above: without Holm it is beyond 20 %.)"""
    rng = np.random.default_rng(2)
    tables = [column(6, 5, 0.0, rng) for _ in range(150)]
    wrong = sum(marks(table) != ["best"] * 6 for table in tables)
    raw = sum(any(e.against.p < 0.05 for x in t.lines if (e := x.entries[0]) and e.against) for t in tables)
    assert wrong <= 24
    assert raw >= 2 * wrong
