"""Do several modalities that are generated from one condition agree with each other, as well as with it?

The coherence of a conditional task judges each target alone, and two targets that are right nine times in ten may be
wrong at different times. A model that draws one latent for all its targets errs in all of them together; one that
generates each on its own does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mmbench.metric import Bench, Kept, Metric, Quantity, Row
from mmbench.modality import DatasetSpec, Task

from .classifiers import Judge, judge, judges_keep
from .coherence import agreement
from .identity import joined
from .intervals import Clustered, shared_items
from .judge_choice import unknown
from .judge_networks import too_small

__all__ = ["Agreement"]

Read = dict[str, tuple[Tensor, Tensor]]
"""Target -> the labels (N,) that its judge read, and the test tuples (N,) that they were made for."""


class Agreement(Metric):
    """Do several targets that are made from one condition agree with each other, and all of them with it? In %. Over
    the samples of each condition that leaves two modalities or more to generate:

        agreement       all targets show the same class
        all_right       all targets show the class of what was given

    The first counts errors that are made together as agreement, so 'agreement' above 'all_right' says how often they
    are; independent targets of accuracies p and q agree on the right class with p q. The task names all targets.
    Samples of one given item are a cluster (`intervals`).
    """

    name: ClassVar[str] = "agreement"
    higher_is_better: ClassVar[bool | None] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 100.0)
    unit: ClassVar[str] = "%"
    title: ClassVar[str] = "Agreement of targets"
    group: ClassVar[str] = "coherence"
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "all_right": Quantity(bounds=(0.0, 100.0), higher_is_better=True, title="All targets right", group="coherence")
    }
    paired: ClassVar[bool] = True
    tells: ClassVar[tuple[str, ...]] = ("collapsed", "shuffled")

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._read: dict[tuple[str, ...], Read] = {}

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        if not dataset.classes:
            return "the data have no class labels"
        if len(dataset.modalities) < 3:
            return "no condition leaves two modalities to generate"
        mute = [m.name for m in dataset.modalities if m.is_text and not m.classes]
        return f"the text {mute[0]!r} does not say its class" if mute else unknown(dataset) or too_small(dataset)

    @classmethod
    def prepare(cls, bench: Bench) -> None:
        for name in bench.dataset.spec.names:
            judge(bench, name)

    @classmethod
    def keeps(cls, bench: Bench) -> dict[str, Kept]:
        found: dict[str, Kept] = {}
        for modality in bench.dataset.spec.modalities:
            found |= judges_keep(bench, modality, second=False)
        return found

    def wants(self, task: Task) -> int:
        total = len(self.bench.dataset.test)
        made = set(task.targets) - set(task.given)
        many = len(self.bench.dataset.spec.names) - len(task.given) > 1
        return min(self.bench.protocol.count or total, total) if task.given and made and many else 0

    def update(self, task: Task, samples: Mapping[str, Tensor], rows: Tensor) -> None:
        read = self._read.setdefault(task.given, {})
        for name in set(task.targets) - set(task.given):
            labels = judge(self.bench, name).predict(samples[name])
            known, before = read.get(name, (labels[:0], rows[:0]))
            read[name] = torch.cat((known, labels)), torch.cat((before, rows))

    def compute(self) -> list[Row]:
        return [row for given, read in self._read.items() if len(read) > 1 for row in self._rows(given, read)]

    def _rows(self, given: tuple[str, ...], read: Read) -> list[Row]:
        names = [name for name in self.bench.dataset.spec.names if name in read]
        labels, rows = [read[name][0] for name in names], read[names[0]][1]
        truth = self.bench.dataset.test.labels
        assert truth is not None  # `judge` refuses a dataset without labels
        alike = agreement(labels)
        right = alike & (labels[0] == truth[rows.to(truth.device)].cpu())
        shared = shared_items(self.bench.dataset.spec, self.bench.dataset.test, rows, given)
        judges = [judge(self.bench, name) for name in names]
        return [
            self._row(metric, Task(given, tuple(names)).name, names, judges, hits, shared)
            for metric, hits in (("agreement", alike), ("all_right", right))
        ]

    def _row(
        self, metric: str, task: str, names: list[str], judges: list[Judge], hits: Tensor, shared: Mapping[str, Tensor]
    ) -> Row:
        share = Clustered()
        share.add(hits, shared)
        low, high = share.share_interval()
        return Row(
            metric=metric,
            task=task,
            modality="+".join(names),
            value=100.0 * share.total / share.count,
            count=share.count,
            judge=" + ".join(by.name for by in judges),
            identity=joined([by.digits for by in judges]),
            higher_is_better=True,
            unit=self.unit,
            interval=(100.0 * low, 100.0 * high),
        )
