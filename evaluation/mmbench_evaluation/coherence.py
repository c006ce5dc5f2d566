"""Coherence: do the modalities of a sample speak of the same thing?

Conditional, S -> m: the share of samples whose class, read by the judge of m, is the true class of the test tuple that
was given. Joint: the share of samples of whose modalities all judges read the same class. Joint coherence knows no
truth, so a generator that always makes the same digit reaches 100 %; the entropy of the labels stands beside it.

Reference: Bounoua et al., Section 5 and Appendix B.2.1, Equation 12.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import ClassVar

import torch
from torch import Tensor

from mmbench.metric import Bench, Metric, Row
from mmbench.modality import Task

from .classifiers import UNREADABLE, Judge, judge, second_judge

__all__ = ["Coherence", "agreement", "entropy", "wilson"]


def agreement(labels: Sequence[Tensor]) -> Tensor:
    """Where all label vectors (B,) hold the same class, bool (B,); -1 (no class) never agrees, not even with -1."""
    stacked = torch.stack(list(labels))
    return (stacked == stacked[0]).all(dim=0) & (stacked[0] != UNREADABLE)


def entropy(counts: Tensor) -> float:
    """Entropy of a histogram (K,), in nats: 0 for a single class (or an empty histogram), ln K for K equal ones."""
    p = counts[counts > 0].double()
    p = p / p.sum()
    return abs(-(p * p.log()).sum().item())


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share, as fractions in [0, 1].

    Reference: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    Raises ValueError unless 0 <= successes <= n, n >= 1 and confidence lies in (0, 1).
    """
    if n < 1 or not 0 <= successes <= n or not 0 < confidence < 1:
        raise ValueError(f"an interval needs 0 <= successes <= n, n >= 1, got {successes} of {n} at {confidence}")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = successes / n
    centre = p + z**2 / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    return (0.0 if successes == 0 else low), (1.0 if successes == n else high)


@dataclass
class _Tally:
    """Counts of one task."""

    classes: int
    targets: tuple[str, ...]
    count: int = 0
    agreed: int = 0
    """Samples of whose targets all judges read the same class."""
    right: dict[str, int] = field(default_factory=dict)
    """For each target: samples read as the true class of their test tuple."""
    histogram: dict[str, Tensor] = field(default_factory=dict)
    """For each target: how often each class was read, int64 (classes,)."""

    def add(self, labels: Mapping[str, Tensor], truth: Tensor) -> None:
        """Labels of each target (B,) and the true classes of the tuples (B,)."""
        self.count += len(truth)
        self.agreed += int(agreement([labels[name] for name in self.targets]).sum())
        for name in self.targets:
            read = labels[name][labels[name] != UNREADABLE]
            counts = torch.bincount(read, minlength=self.classes)
            self.right[name] = self.right.get(name, 0) + int((labels[name] == truth).sum())
            self.histogram[name] = self.histogram.get(name, 0) + counts


class Coherence(Metric):
    """Joint and conditional coherence, in %, over all samples (a micro average), with Wilson's 95 % interval.

    Joint generation also gives, for each of its modalities, the row 'label_entropy': the entropy in nats of the classes
    that the modality's judge read, those of no class left out; ln K where all K classes are equally frequent. A task
    that is given what it generates (a reconstruction) counts like a conditional one. Where the protocol names a second
    judge, its coherence stands in rows of its own, 'coherence_second'.
    """

    name: ClassVar[str] = "coherence"
    higher_is_better: ClassVar[bool | None] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 100.0)
    unit: ClassVar[str] = "%"
    paired: ClassVar[bool] = True

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._tallies: dict[tuple[str, Task], _Tally] = {}

    @classmethod
    def prepare(cls, bench: Bench) -> None:
        for name in bench.dataset.spec.names:
            cls._judges(bench, name)

    @classmethod
    def _judges(cls, bench: Bench, modality: str) -> dict[str, Judge]:
        """Metric -> the judge of a modality."""
        second = second_judge(bench, modality)
        return {cls.name: judge(bench, modality)} | ({f"{cls.name}_second": second} if second else {})

    def wants(self, task: Task) -> int:
        total = len(self.bench.dataset.test)
        return min(self.bench.protocol.count or total, total)

    def update(self, task: Task, samples: Mapping[str, Tensor], rows: Tensor) -> None:
        truth = self.bench.dataset.test.labels
        assert truth is not None  # `judge` refuses a dataset without labels
        labels: dict[str, dict[str, Tensor]] = {}
        for name in task.targets:
            for metric, by in self._judges(self.bench, name).items():
                labels.setdefault(metric, {})[name] = by.predict(samples[name])
        for metric, read in labels.items():
            tally = self._tallies.setdefault((metric, task), _Tally(self.bench.dataset.spec.classes, task.targets))
            tally.add(read, truth[rows.to(truth.device)].cpu())

    def compute(self) -> list[Row]:
        rows: list[Row] = []
        for (metric, task), tally in self._tallies.items():
            if tally.count:
                rows += self._conditional(metric, task, tally) if task.given else self._joint(metric, task, tally)
        return rows

    def _conditional(self, metric: str, task: Task, tally: _Tally) -> list[Row]:
        return [self._share(metric, task, (name,), tally.right[name], tally.count) for name in task.targets]

    def _joint(self, metric: str, task: Task, tally: _Tally) -> list[Row]:
        entropies = [self._entropy(task, name, tally) for name in task.targets if metric == self.name]
        return [self._share(metric, task, task.targets, tally.agreed, tally.count), *entropies]

    def _share(self, metric: str, task: Task, modalities: Sequence[str], successes: int, count: int) -> Row:
        low, high = wilson(successes, count)
        return Row(
            metric=metric,
            task=task.name,
            modality="+".join(modalities),
            value=100.0 * successes / count,
            count=count,
            judge=" + ".join(self._judges(self.bench, name)[metric].name for name in modalities),
            higher_is_better=self.higher_is_better,
            unit=self.unit,
            interval=(100.0 * low, 100.0 * high),
        )

    def _entropy(self, task: Task, modality: str, tally: _Tally) -> Row:
        read = int(tally.histogram[modality].sum())
        return Row(
            metric="label_entropy",
            task=task.name,
            modality=modality,
            value=entropy(tally.histogram[modality]),
            count=read,
            judge=judge(self.bench, modality).name,
            higher_is_better=None,
            unit="nats",
            note="" if read == tally.count else f"{tally.count - read} of {tally.count} samples are of no class",
        )
