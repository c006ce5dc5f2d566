"""Metrics that compare the features of samples with those of real images, all of them at once.

Features are kept until all samples of a task are there, then compared and dropped.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from mmbench.errors import ConfigError
from mmbench.metric import Bench, Kept, Metric, Row
from mmbench.modality import DatasetSpec, Modality, Task

from .classifiers import judges_keep
from .identity import hex8
from .inception import lacking
from .judge_choice import unknown
from .judge_networks import too_small

__all__ = ["OfFeatures", "OnInception"]


class OfFeatures(Metric):
    """A metric on the judge's features, for each image modality that a task generates.

    A subclass says how features are compared (`compare`), and how many samples that needs (`least`).
    """

    by: ClassVar[str] = "judge"
    """The extractor, see `Bench.extractor`."""
    least: ClassVar[int] = 2

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._features: dict[tuple[Task, str], list[Tensor]] = {}
        self._rows: list[Row] = []
        self._last: dict[str, tuple[Tensor, dict[str, float]]] = {}

    @abstractmethod
    def compare(self, modality: str, real: Tensor, made: Tensor) -> dict[str, float]:
        """Features (N, D) of real images and (M, D) of samples of one modality -> row's name -> value."""

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        if not any(map(cls.covers, dataset.modalities)):
            return "no modality is an image"
        if not dataset.classes:
            return "the data have no class labels to train its judges on"
        return unknown(dataset) or too_small(dataset)

    @classmethod
    def covers(cls, modality: Modality) -> bool:
        return not modality.is_text

    @classmethod
    def keeps(cls, bench: Bench) -> dict[str, Kept]:
        found: dict[str, Kept] = {}
        for modality in filter(cls.covers, bench.dataset.spec.modalities):
            found |= judges_keep(bench, modality, second=False)
        return found

    @classmethod
    def count(cls, bench: Bench) -> int:
        """Real images, and samples of each task."""
        return min(bench.protocol.quality_count, len(bench.order))

    @classmethod
    def prepare(cls, bench: Bench) -> None:
        if (count := cls.count(bench)) < cls.least:
            raise ConfigError(f"{cls.name} needs {cls.least} samples or more, got {count}: raise eval.quality_count")
        for modality in filter(cls.covers, bench.dataset.spec.modalities):
            bench.real_features(modality.name, cls.by, count)

    def wants(self, task: Task) -> int:
        return self.count(self.bench) if self._images(task) else 0

    def update(self, task: Task, samples: Mapping[str, Tensor], rows: Tensor) -> None:
        for name in self._images(task):
            known = self._features.setdefault((task, name), [])
            known.append(self.bench.features(name, samples[name], self.by))
            if sum(map(len, known)) >= self.wants(task):
                self._finish(task, name)

    def compute(self) -> list[Row]:
        for task, name in list(self._features):
            self._finish(task, name)
        return list(self._rows)

    def _finish(self, task: Task, modality: str) -> None:
        made = torch.cat(self._features.pop((task, modality)))
        if len(made) < self.least:
            return
        real = self.bench.real_features(modality, self.by, self.count(self.bench))
        by, kinds = self.bench.extractor(modality, self.by), {self.name: self, **self.quantities}
        for name, value in self._compared(modality, real, made).items():
            self._rows.append(
                Row(
                    metric=name,
                    task=task.name,
                    modality=modality,
                    value=value,
                    count=len(made),
                    judge=by.name,
                    identity=hex8(by.identity),
                    higher_is_better=kinds[name].higher_is_better,
                    unit=self.unit,
                )
            )

    def _compared(self, modality: str, real: Tensor, made: Tensor) -> dict[str, float]:
        """The same samples come once for each task where they are real ones."""
        before, found = self._last.get(modality, (made[:0], {}))
        if not torch.equal(before, made):
            found = self.compare(modality, real, made)
            self._last[modality] = made, found
        return found

    def _images(self, task: Task) -> tuple[str, ...]:
        return tuple(name for name in task.targets if self.covers(self.bench.dataset.spec.modality(name)))


class OnInception(OfFeatures):
    """The same on Inception's features, for every image of three channels."""

    by: ClassVar[str] = "inception"

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        return "" if any(map(cls.covers, dataset.modalities)) else "no modality is an image of three channels"

    @classmethod
    def covers(cls, modality: Modality) -> bool:
        return not modality.is_text and len(modality.shape) == 3 and modality.shape[0] == 3

    @classmethod
    def keeps(cls, bench: Bench) -> dict[str, Kept]:
        return {}

    @classmethod
    def lacks(cls, weights: Path | None, cache: Path) -> str:
        return lacking(weights, cache)

    @classmethod
    def count(cls, bench: Bench) -> int:
        return min(bench.protocol.fid_count or bench.protocol.quality_count, len(bench.order))
