"""The likelihood of test tuples under models that have one (`mmbench.abilities.Likely`), by importance sampling.

    ln p(x) >= E ln 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x),    z_k ~ q(z | x),

which rises to ln p(x) with K. Images count by their density under the dataset's fixed likelihoods, so numbers of
different likelihoods or scales are not comparable.

Reference: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from mmbench.abilities import Likely
from mmbench.errors import PluginError, UnavailableError
from mmbench.metric import Bench, Cost, Metric, Row
from mmbench.modality import Task
from mmbench.model import Model
from mmbench.seeding import generator

from .intervals import Clustered, shared_items

__all__ = ["LogLikelihood"]

SAMPLES = 100
"""K."""
TUPLES = 1000
"""Test tuples at most: each is decoded K times."""
BATCH = 20


class LogLikelihood(Metric):
    """Likelihood by importance sampling of models that have one: the mean of ln p(x_1, ..., x_M) over test tuples, in
    nats; the row's judge says how many samples it rests on."""

    name: ClassVar[str] = "log_likelihood"
    higher_is_better: ClassVar[bool | None] = True
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    unit: ClassVar[str] = "nats"
    title: ClassVar[str] = "Log-likelihood"
    group: ClassVar[str] = "likelihood"
    cost: ClassVar[Cost] = "dear"
    paired: ClassVar[bool] = True
    of_model: ClassVar[bool] = True

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._sums = Clustered()

    def wants(self, task: Task) -> int:
        return 0

    def update(self, task: Task, samples: Mapping[str, Tensor], rows: Tensor) -> None:
        return

    @torch.no_grad()
    def examine(self, model: Model) -> None:
        if not isinstance(model, Likely):
            raise UnavailableError(f"{type(model).__name__} offers no likelihood (see mmbench.abilities.Likely)")
        data, rng = self.bench.dataset, generator(self.bench.protocol.seed, "likelihood")
        count = min(TUPLES, self.bench.protocol.quality_count, len(self.bench.order))
        with self.bench.progress.phase("likelihood", count, "tuple") as advance:
            for rows in self.bench.order[:count].split(BATCH):
                batch = {name: x.to(model.device) for name, x in data.test.gather(rows).items()}
                found = model.log_likelihood(batch, samples=SAMPLES, generator=rng)
                if tuple(found.shape) != (len(rows),):
                    raise PluginError(f"log_likelihood must return ({len(rows)},), got {tuple(found.shape)}")
                self._sums.add(found, shared_items(data.spec, data.test, rows, data.spec.names))
                advance(len(rows))

    def compute(self) -> list[Row]:
        if not self._sums.count:
            return []
        row = Row(
            metric=self.name,
            task=Task((), ()).name,
            modality="+".join(self.bench.dataset.spec.names),
            value=self._sums.mean,
            count=self._sums.count,
            judge=f"importance sampling, {SAMPLES} samples a tuple",
            higher_is_better=True,
            unit=self.unit,
            interval=self._sums.mean_interval(self.bounds),
        )
        return [row]
