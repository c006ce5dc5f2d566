"""A metric on constructed generators: fed as the harness feeds it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from ..config import Protocol, Schedule
from ..metric import Bench, Metric, Row
from ..modality import DatasetSpec, Task
from ..plugins import METRICS, load
from ..progress import Progress
from ..seeding import generator
from ..store.artefacts import Artefacts
from .constructed import Constructed, Stage, scenes

__all__ = ["MetricSubject", "Numbers"]

Numbers = dict[tuple[str, str, str], Row]
"""(metric, task, modality) -> row."""
BATCH = 100


@dataclass
class MetricSubject:
    """A metric, on the first toy of which it can measure something."""

    metric: str | type[Metric]
    _folder: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)
    """Of judges; it goes with the subject."""
    _measured: dict[tuple[str, int, int], Numbers] = field(default_factory=dict)

    @cached_property
    def cls(self) -> type[Metric]:
        return load(METRICS, self.metric, Metric) if isinstance(self.metric, str) else self.metric

    @cached_property
    def reasons(self) -> dict[str, str]:
        """Toy -> why the metric measures nothing of it, '' where it does."""
        return {stage.data.spec.title: self.cls.unfit(stage.data.spec) for stage in self.scenes}

    @cached_property
    def scenes(self) -> tuple[Stage, ...]:
        return scenes()

    @cached_property
    def stage(self) -> Stage:
        return next(s for s in self.scenes if not self.reasons[s.data.spec.title])

    @property
    def spec(self) -> DatasetSpec:
        return self.stage.data.spec

    @cached_property
    def bench(self) -> Bench:
        home, data = Path(self._folder.name), self.stage.data
        judge = Schedule(steps=300, batch_size=64, lr=3e-3, warmup=15, decay="cosine")
        return Bench(
            dataset=data,
            protocol=Protocol(quality_count=len(data.test), fid_count=24, batch_size=BATCH, judge=judge),
            device=torch.device("cpu"),
            order=torch.randperm(len(data.test), generator=generator(0, "evaluation order")),
            cache=home / "cache",
            artefacts=Artefacts(home / "artefacts"),
            progress=Progress(),
        )

    def tasks(self) -> list[Task]:
        """Joint generation and every task of the dataset, then reconstructions."""
        return [*self.spec.tasks(), *(Task((name,), (name,)) for name in self.spec.names)]

    def measured(self, kind: str, draw: int = 0, batch: int = BATCH) -> Numbers:
        """What the metric says of a constructed generator, remembered."""
        key = kind, draw, batch
        if key not in self._measured:
            self._measured[key] = {
                (r.metric, r.task, r.modality): r for r in self.rows(Constructed(self.stage, kind, draw), batch)
            }
        return self._measured[key]

    def rows(self, source: Constructed, batch: int = BATCH) -> list[Row]:
        metric = self.cls(self.bench)
        for task in self.tasks():
            chosen = self.bench.order[: metric.wants(task)]
            whole = source.samples(task, chosen) if len(chosen) else {}
            for start, rows in _parts(chosen, batch):
                metric.update(task, {n: x[start : start + len(rows)] for n, x in whole.items()}, rows)
        return metric.compute()


def _parts(rows: torch.Tensor, size: int) -> Iterator[tuple[int, torch.Tensor]]:
    for start in range(0, len(rows), size):
        yield start, rows[start : start + size]
