"""How sure: paired differences over seeds, Holm's correction, the smallest difference that could have been shown.

Two models are compared seed by seed: the seeds that both have give one difference each, and all that is said rests on
these. Differences are taken as Gaussian (Student's t); `bootstrap` does without that where there are seeds enough.

References: Holm, "A simple sequentially rejective multiple test procedure", 1979; Agarwal et al., "Deep reinforcement
learning at the edge of the statistical precipice", 2021 (the probability of improvement).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import fmean
from typing import Literal

__all__ = [
    "CONFIDENCE",
    "LEVEL",
    "POWER",
    "Method",
    "Paired",
    "bootstrap",
    "deviation",
    "holm",
    "paired",
    "probability_of_improvement",
    "smallest_difference",
    "student",
]

Method = Literal["t", "bootstrap"]
"""Of an interval."""
CONFIDENCE = 0.95
LEVEL = 1 - CONFIDENCE
POWER = 0.8
NOTHING = (math.nan, math.nan)


@dataclass(frozen=True)
class Paired:
    """Differences of two models on the seeds that both have."""

    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    """The first model's number minus the second's, a seed each."""

    @cached_property
    def mean(self) -> float:
        """NaN without a seed in common."""
        return fmean(self.differences) if self.differences else math.nan

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 %, by Student's t; NaN for fewer than two seeds."""
        return student(self.differences)

    @cached_property
    def p(self) -> float:
        """Of the two-sided paired t-test against no difference; NaN for fewer than two seeds."""
        return student_p(self.differences)

    @cached_property
    def smallest(self) -> float:
        """The smallest difference that these seeds could have shown, see `smallest_difference`."""
        if len(self.differences) < 2:
            return math.nan
        return smallest_difference(deviation(self.differences), len(self.differences))


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Paired:
    """Numbers by seed -> their differences."""
    seeds = tuple(sorted(ours.keys() & theirs.keys()))
    return Paired(seeds, tuple(ours[seed] - theirs[seed] for seed in seeds))


def deviation(values: Sequence[float]) -> float:
    """Sample standard deviation (ddof = 1) of two values or more. (Python's own takes a hundred times as long.)"""
    mean = fmean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def student(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Student's interval of the mean of independent values; NaN for fewer than two."""
    if len(values) < 2:
        return NOTHING
    half = _quantile(len(values) - 1, 0.5 + confidence / 2) * deviation(values) / math.sqrt(len(values))
    mean = fmean(values)
    return mean - half, mean + half


def student_p(values: Sequence[float], null: float = 0.0) -> float:
    """Two-sided p of the one-sample t-test; values that are all alike are `null` (1) or another number (0)."""
    if len(values) < 2:
        return math.nan
    from scipy.special import stdtr

    error, gap = deviation(values) / math.sqrt(len(values)), abs(fmean(values) - null)
    if error <= 1e-12 * max(map(abs, values)):  # what is left is rounding
        return float(gap <= 1e-12 * max(*map(abs, values), abs(null)))
    return 2 * float(stdtr(len(values) - 1, -gap / error))


@cache
def bootstrap(values: tuple[float, ...], seed: int = 0, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The bias-corrected and accelerated bootstrap interval of the mean, drawn from `seed`; NaN for fewer than two
    values. With a handful of seeds it is too narrow: `student` is the better one there."""
    if len(values) < 2:
        return NOTHING
    if min(values) == max(values):
        return values[0], values[0]
    import numpy as np
    from scipy import stats

    rng = np.random.default_rng(seed)
    found = stats.bootstrap((values,), np.mean, confidence_level=confidence, rng=rng).confidence_interval
    return float(found.low), float(found.high)


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for their number, in their order; NaN stays and does not count."""
    order = sorted((k for k, value in enumerate(p) if not math.isnan(value)), key=lambda k: p[k])
    corrected, least = list(p), 0.0
    for rank, k in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p[k]))
        corrected[k] = least
    return corrected


def smallest_difference(std: float, n: int, level: float = LEVEL, power: float = POWER) -> float:
    """The true difference that a two-sided paired t-test of n seeds finds with this power, where the differences have
    this standard deviation; NaN for fewer than two seeds. (The chance of a finding on the wrong side is left out.)"""
    if n < 2:
        return math.nan
    return _noncentrality(n - 1, 1 - power, _quantile(n - 1, 1 - level / 2)) * std / math.sqrt(n)


def probability_of_improvement(ours: Sequence[float], theirs: Sequence[float], higher_is_better: bool) -> float:
    """How often a seed of ours is better than a seed of theirs, over all pairs; equal ones count half."""
    sign = 1 if higher_is_better else -1
    scores = [math.copysign(1, d) if (d := sign * (a - b)) else 0 for a in ours for b in theirs]
    return 0.5 + fmean(scores) / 2 if scores else math.nan


@cache
def _quantile(freedom: int, p: float) -> float:
    """Of Student's t."""
    from scipy.special import stdtrit  # half a second that other formats need not wait

    return float(stdtrit(freedom, p))


@cache
def _noncentrality(freedom: int, p: float, t: float) -> float:
    """Of the noncentral t distribution whose probability below t is p."""
    from scipy.special import nctdtrinc

    return float(nctdtrinc(freedom, p, t))
