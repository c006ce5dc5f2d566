"""Intervals against SciPy where samples are independent, against a bootstrap and by coverage where they are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from mmbench_evaluation.intervals import Clustered, shared_items, wilson

BOUNDS = (-100.0, 100.0)


def clustered(values: np.ndarray, *ways: dict[str, np.ndarray], batches: int = 3) -> Clustered:
    """Fed in uneven batches."""
    sums = Clustered()
    cuts = np.linspace(0, 1, batches + 1) ** 2 * len(values)
    for a, b in zip(cuts[:-1].astype(int), cuts[1:].astype(int), strict=True):
        parts = ({name: torch.from_numpy(items[a:b]) for name, items in way.items()} for way in ways)
        sums.add(torch.from_numpy(values[a:b]), *parts)
    return sums


def width(interval: tuple[float, float] | None) -> float:
    assert interval is not None
    return (interval[1] - interval[0]) / 2


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (10, 10), (1, 1), (8523, 10_000), (3584, 3584), (47, 94)])
@pytest.mark.parametrize("confidence", [0.95, 0.68])
def test_wilson_is_scipys(k: int, n: int, confidence: float) -> None:
    expected = stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
    assert wilson(k / n, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("case", [(1.0, 0), (-0.1, 3), (1.1, 3), (float("nan"), 3)])
def test_wilson_refuses(case: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="interval"):
        wilson(*case)


WAYS = {
    "none": lambda n: (),
    "clusters of one": lambda n: ({"item": np.random.default_rng(1).permutation(3 * n)[:n]},),
    "one cluster": lambda n: ({"item": np.full(n, 4)},),
    "two ways": lambda n: ({"a": np.arange(n), "b": np.arange(n)[::-1].copy()}, {"c": np.arange(n)}),
}


@pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("k", "n"), [(37, 100), (1, 30), (4999, 5000), (1, 1), (0, 30), (30, 30)])
def test_independent_shares_are_wilsons(ways, k: int, n: int) -> None:  # type: ignore[no-untyped-def]
    values = np.random.default_rng(0).permutation(np.arange(n) < k)
    expected = stats.binomtest(k, n).proportion_ci(method="wilson")
    assert clustered(values, *ways(n)).share_interval() == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("n", [2, 7, 500])
def test_independent_means_are_students(ways, n: int) -> None:  # type: ignore[no-untyped-def]
    values = np.random.default_rng(0).normal(70, 9, n)
    expected = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    sums = clustered(values, *ways(n))
    assert sums.mean_interval((-1e9, 1e9)) == pytest.approx(expected, rel=1e-9)
    assert sums.mean_interval((60, 71)) == pytest.approx((max(60, expected[0]), min(71, expected[1])), rel=1e-9)


def test_a_single_sample_has_no_interval_of_its_mean() -> None:
    assert clustered(np.array([3.0])).mean_interval(BOUNDS) is None


def test_pairs_that_their_image_decides() -> None:
    """200,000 pairs of 10,000 images at 85 %: what counts are the images; 1.96 sqrt(0.85 0.15 / 10,000) = 0.70 %."""
    images = np.random.default_rng(0).permutation(np.repeat(np.arange(10_000), 20))
    decided = clustered((images < 8500).astype(float), {"image": images})
    assert 100 * width(decided.share_interval()) == pytest.approx(0.70, abs=0.005)
    alone = clustered(np.random.default_rng(1).permutation(np.arange(200_000) < 170_000), {"image": images})
    assert 100 * width(alone.share_interval()) == pytest.approx(0.1565, abs=0.005)  # 2 %: chance in 10,000 clusters
    assert decided.mean == alone.mean == 0.85


@pytest.mark.parametrize("clusters", [4, 30])
def test_equal_clusters_are_samples_of_their_means(clusters: int) -> None:
    """SciPy's interval of the means of the clusters."""
    items = np.repeat(np.arange(clusters), 10)
    values = np.random.default_rng(0).normal(size=clusters)[items] + np.random.default_rng(1).normal(size=len(items))
    means = values.reshape(clusters, 10).mean(axis=1)
    expected = stats.t.interval(0.95, clusters - 1, means.mean(), stats.sem(means))
    assert clustered(values, {"image": items}).mean_interval(BOUNDS) == pytest.approx(expected, rel=1e-9)


def test_the_effective_number_of_samples() -> None:
    """By Korn and Graubard, read back from Wilson's equation (p - e)^2 = z^2 e (1 - e) / n at either end e.

    10 images with 7 samples each, of which 6 images are right: V = p (1 - p) / 9 and V_0 = p (1 - p) / 69.
    """
    items = np.repeat(np.arange(10), 7)
    ends = np.array(clustered((items < 6).astype(float), {"image": items}).share_interval())
    found = stats.norm.ppf(0.975) ** 2 * ends * (1 - ends) / (0.6 - ends) ** 2
    expected = 70 * 9 / 69 * (stats.t.ppf(0.975, 69) / stats.t.ppf(0.975, 9)) ** 2
    assert found == pytest.approx([expected, expected], rel=1e-9)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_nothing_and_everything(share: float) -> None:
    """Where all samples agree, the clusters count: 2,000 samples of 100 images say no more than 100 do."""
    got = clustered(np.full(2000, share), {"image": np.repeat(np.arange(100), 20)}).share_interval()
    expected = stats.binomtest(int(100 * share), 100).proportion_ci(method="wilson")
    assert got == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_clusters_that_agree_more_than_chance_do_not_narrow_it() -> None:
    """Every image has 5 of 10 right: the variance between images is 0, and independent samples are the limit."""
    got = clustered(np.tile(np.arange(10) % 2, 400), {"image": np.repeat(np.arange(400), 10)}).share_interval()
    expected = stats.binomtest(2000, 4000).proportion_ci(method="wilson")
    assert width(got) == pytest.approx(width((expected.low, expected.high)), rel=0.004)  # Student's for 400 clusters


def bootstrap(values: np.ndarray, items: np.ndarray, draws: int = 4000) -> float:
    """Half the width of the middle 95 % of means over clusters that are drawn with replacement."""
    rng, k = np.random.default_rng(3), items.max() + 1
    sizes, sums = np.bincount(items, minlength=k), np.bincount(items, values, minlength=k)
    chosen = rng.multinomial(k, np.full(k, 1 / k), size=draws)
    low, high = np.quantile(chosen @ sums / (chosen @ sizes), (0.025, 0.975))
    return (high - low) / 2


SHAPES = {
    "20 of each image": np.repeat(np.arange(500), 20),
    "10 captions": np.repeat(np.arange(800), 10),
    "unequal": np.repeat(np.arange(600), np.random.default_rng(5).geometric(0.08, 600)),
}


@pytest.mark.parametrize("strength", [0.2, 1.0, 4.0], ids=["weak", "middling", "strong"])
@pytest.mark.parametrize("items", SHAPES.values(), ids=SHAPES)
def test_it_is_the_bootstrap_over_items(items: np.ndarray, strength: float) -> None:
    rng = np.random.default_rng(7)
    effect = strength * rng.normal(size=items.max() + 1)
    right = (rng.logistic(size=len(items)) < 1.5 + effect[items]).astype(float)
    sums = clustered(right, {"item": items})
    assert width(sums.share_interval()) == pytest.approx(bootstrap(right, items), rel=0.1)
    score = 60 + effect[items] + rng.normal(size=len(items))
    assert width(clustered(score, {"item": items}).mean_interval(BOUNDS)) == pytest.approx(
        bootstrap(score, items), rel=0.1
    )


@pytest.mark.parametrize("clusters", [8, 30])
def test_few_clusters_are_covered(clusters: int) -> None:
    """Means of 10 samples of each of a few images; the normal quantile in place of Student's would cover 91 % of 8."""
    rng, hits, runs = np.random.default_rng(0), 0, 2000
    items = np.repeat(np.arange(clusters), 10)
    for _ in range(runs):
        values = rng.normal(size=clusters)[items] + rng.normal(size=len(items))
        low, high = clustered(values, {"image": items}, batches=1).mean_interval(BOUNDS)  # type: ignore[misc]
        hits += low <= 0 <= high
    assert hits / runs == pytest.approx(0.95, abs=0.02)  # four standard errors


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_shares_of_clusters_are_covered(share: float) -> None:
    """In half of its samples an image is always right or always wrong; Wilson on the samples covers far too little."""
    rng, hits, naive, runs = np.random.default_rng(0), 0, 0, 1000
    items = np.repeat(np.arange(60), 20)
    for _ in range(runs):
        own, fixed = rng.random(len(items)) < share, rng.random(len(items)) < 0.5
        values = np.where(fixed, (rng.random(60) < share)[items], own)
        low, high = clustered(values, {"image": items}, batches=1).share_interval()
        hits += low <= share <= high
        low, high = wilson(values.mean(), len(values))
        naive += low <= share <= high
    assert hits / runs == pytest.approx(0.95, abs=0.03)
    assert naive / runs < 0.85


def test_two_given_items_are_both_counted() -> None:
    """Two images of 40 each, in 20 crossed pairings: their effects add up. Either alone would cover too little."""
    rng, hits, one, runs = np.random.default_rng(0), 0, 0, 1000
    a = np.repeat(np.arange(40), 20)
    for _ in range(runs):
        b = np.concatenate([rng.permutation(40) for _ in range(20)])
        values = rng.normal(size=40)[a] + rng.normal(size=40)[b] + rng.normal(size=800)
        low, high = clustered(values, {"a": a, "b": b}, batches=1).mean_interval(BOUNDS)  # type: ignore[misc]
        hits += low <= 0 <= high
        low, high = clustered(values, {"a": a}, {"b": b}, batches=1).mean_interval(BOUNDS)  # type: ignore[misc]
        one += low <= 0 <= high
    assert hits / runs == pytest.approx(0.95, abs=0.03)
    assert one / runs < 0.92


def test_the_widest_way_counts() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.permutation(np.repeat(np.arange(50), 20)), rng.permutation(np.repeat(np.arange(100), 10))
    values = (rng.normal(size=50)[a] + rng.normal(size=1000) > 0).astype(float)
    alone, other = clustered(values, {"a": a}).share_interval(), clustered(values, {"b": b}).share_interval()
    assert width(alone) > 1.5 * width(other)
    assert clustered(values, {"b": b}, {"a": a}).share_interval() == pytest.approx(alone)


def test_batches_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    values, items = rng.normal(size=1000), rng.integers(0, 90, 1000)
    whole = clustered(values, {"item": items}, batches=1).mean_interval(BOUNDS)
    assert clustered(values, {"item": items}, batches=17).mean_interval(BOUNDS) == pytest.approx(whole, rel=1e-12)


def test_words_that_say_their_class_are_no_clusters(dataset) -> None:  # type: ignore[no-untyped-def]
    rows = torch.tensor([5, 299, 0])
    found = shared_items(dataset.spec, dataset.test, rows, ("word", "grey", "grey"))
    assert set(found) == {"grey"}
    assert found["grey"].tolist() == dataset.test.index[rows, 0].tolist()
    silent = replace(
        dataset.spec, modalities=(*dataset.spec.modalities[:2], replace(dataset.spec.modalities[2], classes=()))
    )
    assert set(shared_items(silent, dataset.test, rows, ("word",))) == {"word"}


def test_given_words_are_covered_as_they_are() -> None:
    """Ten words, the same in every test set, of unlike difficulty: the samples are as good as independent.

    As ten clusters they would give an interval several times as wide, which always covers.
    """
    rng, hits, always, runs = np.random.default_rng(0), 0, 0, 1000
    difficulty = np.linspace(0.55, 0.99, 10)
    for _ in range(runs):
        words = rng.integers(0, 10, 1000)
        right = rng.random(1000) < difficulty[words]
        low, high = clustered(right, batches=1).share_interval()
        hits += low <= difficulty.mean() <= high
        wide = clustered(right, {"word": words}, batches=1).share_interval()
        always += wide[0] <= difficulty.mean() <= wide[1]
        assert width(wide) > 2 * width((low, high))
    assert hits / runs == pytest.approx(0.95, abs=0.03)
    assert always == runs
