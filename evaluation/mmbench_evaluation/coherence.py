"""Coherence: do the modalities of a sample speak of the same thing?

Conditional, S -> m: the share of samples whose class, read by the judge of m, is the true class of the test tuple that
was given. Joint: the share of samples of whose modalities all judges read the same class. Joint coherence knows no
truth, so a generator that always makes the same digit reaches 100 %; the entropy of the labels stands beside it.

Reference: Bounoua et al., Section 5 and Appendix B.2.1, Equation 12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from mmbench.metric import Bench, Kept, Metric, Quantity, Row
from mmbench.modality import DatasetSpec, Task

from .classifiers import UNREADABLE, Judge, judge, judges_keep, second_judge
from .identity import joined
from .intervals import Clustered, shared_items
from .judge_choice import unknown
from .judge_networks import too_small

__all__ = ["Coherence", "agreement", "entropy"]


def agreement(labels: Sequence[Tensor]) -> Tensor:
    """Where all label vectors (B,) hold the same class, bool (B,); -1 (no class) never agrees, not even with -1."""
    stacked = torch.stack(list(labels))
    return (stacked == stacked[0]).all(dim=0) & (stacked[0] != UNREADABLE)


def entropy(counts: Tensor) -> float:
    """Entropy of a histogram (K,), in nats: 0 for a single class (or an empty histogram), ln K for K equal ones."""
    p = counts[counts > 0].double()
    p = p / p.sum()
    return abs(-(p * p.log()).sum().item())


@dataclass
class _Tally:
    """Counts of one task."""

    classes: int
    targets: tuple[str, ...]
    count: int = 0
    agreed: Clustered = field(default_factory=Clustered)
    """1 for a sample of whose targets all judges read the same class."""
    right: dict[str, Clustered] = field(default_factory=dict)
    """For each target: 1 for a sample that is read as the true class of its test tuple."""
    histogram: dict[str, Tensor] = field(default_factory=dict)
    """For each target: how often each class was read, int64 (classes,)."""

    def add(self, labels: Mapping[str, Tensor], truth: Tensor, ways: Sequence[Mapping[str, Tensor]]) -> None:
        """Labels of each target (B,), the true classes of the tuples (B,), and the items that they share."""
        self.count += len(truth)
        self.agreed.add(agreement([labels[name] for name in self.targets]), *ways)
        for name in self.targets:
            read = labels[name][labels[name] != UNREADABLE]
            counts = torch.bincount(read, minlength=self.classes)
            self.right.setdefault(name, Clustered()).add(labels[name] == truth, *ways)
            self.histogram[name] = self.histogram.get(name, 0) + counts


class Coherence(Metric):
    """Do the modalities of a sample speak of the same class? Joint, and every subset to every other modality.

    In %, over all samples (a micro average), with Wilson's 95 % interval. Joint samples are independent. Those of a
    conditional task are not (`intervals`): an image that stands in 20 test tuples is given 20 times, and its samples
    are a cluster. The row of real data rests on the real targets instead, each of which is read 20 times; so these are
    looked at too, and the wider interval counts. Where all that is given is a text that says its class, the samples
    are independent.

    Joint generation also gives, for each of its modalities, the row 'label_entropy': the entropy in nats of the classes
    that the modality's judge read, those of no class left out; ln K where all K classes are equally frequent. A task
    that is given what it generates (a reconstruction) counts like a conditional one. Where the protocol names a second
    judge, its coherence stands in rows of its own, 'coherence_second'.
    """

    name: ClassVar[str] = "coherence"
    higher_is_better: ClassVar[bool | None] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 100.0)
    unit: ClassVar[str] = "%"
    group: ClassVar[str] = "coherence"
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "coherence_second": Quantity(bounds=(0.0, 100.0), higher_is_better=True, group="coherence"),
        "label_entropy": Quantity(bounds=(0.0, float("inf")), higher_is_better=None, group="diversity"),
    }
    paired: ClassVar[bool] = True
    tells: ClassVar[tuple[str, ...]] = ("collapsed", "shuffled")

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._tallies: dict[tuple[str, Task], _Tally] = {}

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        if not dataset.classes:
            return "the data have no class labels"
        mute = [m.name for m in dataset.modalities if m.is_text and not m.classes]
        return f"the text {mute[0]!r} does not say its class" if mute else unknown(dataset) or too_small(dataset)

    @classmethod
    def prepare(cls, bench: Bench) -> None:
        for name in bench.dataset.spec.names:
            cls._judges(bench, name)

    @classmethod
    def keeps(cls, bench: Bench) -> dict[str, Kept]:
        found: dict[str, Kept] = {}
        for modality in bench.dataset.spec.modalities:
            found |= judges_keep(bench, modality, second=True)
        return found

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
        ways = self._shared(task, rows)
        for metric, read in labels.items():
            tally = self._tallies.setdefault((metric, task), _Tally(self.bench.dataset.spec.classes, task.targets))
            tally.add(read, truth[rows.to(truth.device)].cpu(), ways)

    def _shared(self, task: Task, rows: Tensor) -> list[dict[str, Tensor]]:
        """The given items of the tuples, and their real targets."""
        data = self.bench.dataset
        given, real = (shared_items(data.spec, data.test, rows, names) for names in (task.given, task.targets))
        return [given, real] if given else []

    def compute(self) -> list[Row]:
        rows: list[Row] = []
        for (metric, task), tally in self._tallies.items():
            if tally.count:
                rows += self._conditional(metric, task, tally) if task.given else self._joint(metric, task, tally)
        return rows

    def _conditional(self, metric: str, task: Task, tally: _Tally) -> list[Row]:
        return [self._share(metric, task, (name,), tally.right[name]) for name in task.targets]

    def _joint(self, metric: str, task: Task, tally: _Tally) -> list[Row]:
        entropies = [self._entropy(task, name, tally) for name in task.targets if metric == self.name]
        return [self._share(metric, task, task.targets, tally.agreed), *entropies]

    def _share(self, metric: str, task: Task, modalities: Sequence[str], share: Clustered) -> Row:
        low, high = share.share_interval()
        judges = [self._judges(self.bench, name)[metric] for name in modalities]
        return Row(
            metric=metric,
            task=task.name,
            modality="+".join(modalities),
            value=100.0 * share.total / share.count,
            count=share.count,
            judge=" + ".join(by.name for by in judges),
            identity=joined([by.digits for by in judges]),
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
            identity=judge(self.bench, modality).digits,
            higher_is_better=None,
            unit="nats",
            note="" if read == tally.count else f"{tally.count - read} of {tally.count} samples are of no class",
        )
