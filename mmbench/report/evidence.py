"""The numbers that a claim rests on, seed by seed, and what can be told from them."""

from __future__ import annotations

import math
import statistics as plain
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .comparison import Group, Line
from .paper import COHERENCE, DISTANCES, Point, metric_title, model_title
from .scale import own_lines
from .statistics import LEVEL, paired, student

__all__ = ["Evidence", "LackingError", "Part", "Series", "Verdict", "above", "below", "decided", "lower", "means"]

Series = Mapping[int, float]
"""One number of one model by seed."""
Verdict = Literal["holds", "does not hold", "cannot tell"]
EQUAL = 1e-9
"""What differs by less is equal."""


class LackingError(Exception):
    """A number that a claim needs was not measured."""


@dataclass(frozen=True)
class Part:
    """One inequality of a claim: that the mean over seeds of `values` is `least` or more."""

    text: str
    """'MLD − MVTCAE'."""
    values: tuple[float, ...]
    """One a seed; logarithms of ratios where `ratio` says so."""
    least: float
    ratio: bool = False

    def holds(self) -> bool:
        """Whether the 95 % interval lies on the right side."""
        return student(self.values)[0] >= self.least - EQUAL

    def fails(self, parts: int = 1) -> bool:
        """Whether the interval lies on the wrong side, wider where it is one of several (Bonferroni)."""
        return student(self.values, 1 - LEVEL / parts)[1] < self.least - EQUAL

    @property
    def room(self) -> float:
        """How far the interval's lower end lies above what is needed; that of the mean for one seed."""
        low = student(self.values)[0]
        return (plain.fmean(self.values) if math.isnan(low) else low) - self.least

    @property
    def said(self) -> str:
        """'MLD − MVTCAE 36.4 [34.1, 38.8], 10 needed, n = 5'."""
        low, high = student(self.values)
        interval = "" if math.isnan(low) else f" [{self._shown(low)}, {self._shown(high)}]"
        needed = "" if not self.least else f", {self._shown(self.least)} needed"
        return f"{self.text} {self._shown(plain.fmean(self.values))}{interval}{needed}, n = {len(self.values)}"

    def _shown(self, value: float) -> str:
        shown = math.exp(min(value, 50)) if self.ratio else value
        return f"{shown:.{1 if abs(shown) >= 10 else 2 if abs(shown) >= 0.1 else 3}f}".replace("-", "−")


def decided(parts: Sequence[Part]) -> Verdict:
    """Holds where every part's interval says so, does not where one says the opposite; else nobody can tell, as of a
    single seed."""
    if any(part.fails(len(parts)) for part in parts):
        return "does not hold"
    return "holds" if all(part.holds() for part in parts) else "cannot tell"


def above(name: str, one: Series, other: Series, by: float = 0.0) -> Part:
    """That one exceeds the other by so much."""
    return Part(name, _common(name, one, other), by)


def below(name: str, one: Series, limit: float) -> Part:
    """That one is no more than a limit."""
    return Part(f"{limit:.1f} − {name}", tuple(limit - value for value in one.values()), 0.0)


def lower(name: str, one: Series, other: Series, times: float) -> Part:
    """That one is so many times lower than the other, or more."""
    _common(name, one, other)
    ratios = (_logarithm(other[seed]) - _logarithm(one[seed]) for seed in one if seed in other)
    return Part(name, tuple(ratios), math.log(times), ratio=True)


def means(values: Mapping[str, Series], digits: int = 1) -> str:
    """'MVAE 38.2, MLD 85.2'."""
    return ", ".join(f"{model_title(model)} {plain.fmean(s.values()):.{digits}f}" for model, s in values.items())


@dataclass(frozen=True)
class Evidence:
    """The numbers of one table, by what the claims call them; a model's are those of its recipe's own line."""

    group: Group
    lines: Mapping[str, Line]

    @classmethod
    def of(cls, group: Group) -> Evidence:
        return cls(group, own_lines(group))

    @property
    def modalities(self) -> Sequence[str]:
        return self.group.names.modalities

    def series(self, model: str, point: Point) -> Series:
        """Raises LackingError."""
        found = self._look(model, point)
        if found is None:
            raise self._lacking(model, f"{metric_title(point[0])} of {self._of(point[1])}")
        return found

    def joint(self, model: str, metric: str = COHERENCE) -> Series:
        return self.series(model, (metric, "joint", "+".join(self.modalities)))

    def conditional(self, model: str, given: str, target: str, metric: str = COHERENCE) -> Series:
        return self.series(model, (metric, f"{given}->{target}", target))

    def distances(
        self, models: Sequence[str], task: str, modality: str, metrics: Sequence[str] = DISTANCES
    ) -> tuple[str, dict[str, Series]]:
        """(metric, model -> numbers) by the first of `metrics` that was measured for all of these models: two metrics
        have different scales and are never compared."""
        found = {metric: {m: self._look(m, (metric, task, modality)) for m in models} for metric in metrics}
        for metric, read in found.items():
            known = {model: series for model, series in read.items() if series is not None}
            if len(known) == len(models):
                return metric, known
        raise LackingError(f"no {' or '.join(map(metric_title, metrics))} of {self._of(task)} that all models have")

    def chance(self, given: str, target: str) -> float:
        """Coherence of shuffled tuples, in %."""
        shuffled = self.group.number("shuffled", (COHERENCE, f"{given}->{target}", target))
        classes = self.group.dataset["classes"]
        return shuffled.mean if shuffled else 100.0 / classes if classes else 0.0

    def _of(self, task: str) -> str:
        """'P → S', 'joint samples'."""
        return self.group.names.task_title(task) if "->" in task else "joint samples"

    def _look(self, model: str, point: Point) -> Series | None:
        line = self.lines.get(model)
        number = self.group.number("model", point, line) if line else None
        return number.by_seed if number else None

    def _lacking(self, model: str, what: str) -> LackingError:
        several = sum(line.model == model for line in self.group.lines) > 1 and model not in self.lines
        why = f"several configurations of {model_title(model)}, and not one is the recipe's own" if several else ""
        return LackingError(why or f"{model_title(model)} has no {what}")


def _common(name: str, one: Series, other: Series) -> tuple[float, ...]:
    found = paired(one, other).differences
    if not found:
        raise LackingError(f"{name}: no seed in common")
    return found


def _logarithm(distance: float) -> float:
    """A distance of 0 is lower than any."""
    return math.log(max(distance, 1e-300))
