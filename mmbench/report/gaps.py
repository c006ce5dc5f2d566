"""The difference of two models' numbers and how sure it is: over seeds, or of one seed each over its samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from .numbers import Number
from .statistics import LEVEL, paired, student

__all__ = ["Gap", "gap"]


@dataclass(frozen=True)
class Gap:
    mean: float
    low: float
    high: float
    """Of its interval; NaN where none is known."""

    @property
    def side(self) -> int:
        """1 or -1 where the whole interval lies on one side of zero, else 0."""
        return int(math.copysign(1, self.mean)) if self.low * self.high > 0 else 0

    @property
    def said(self) -> str:
        """'+3.10 [+1.20, +5.00]'."""
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def gap(one: Number, other: Number, of: int = 1) -> Gap:
    """The first minus the second with its 95 % interval, over the seeds in common, or of one seed each over its
    samples; wider where it is one of several (Bonferroni)."""
    both = paired(one.by_seed, other.by_seed)
    if len(both.seeds) > 1:
        return Gap(both.mean, *student(both.differences, 1 - LEVEL / of))
    (low, high), (low2, high2) = one.interval, other.interval
    mean, wider = one.mean - other.mean, _quantile(LEVEL / of) / _quantile(LEVEL)
    below, over = math.hypot(one.mean - low, high2 - other.mean), math.hypot(high - one.mean, other.mean - low2)
    return Gap(mean, mean - wider * below, mean + wider * over)


def _quantile(level: float) -> float:
    return NormalDist().inv_cdf(1 - level / 2)
