"""What `samplers.py` measures of one sampler of a trained MLD."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mmbench.cells.measuring import groups, targets
from mmbench.cells.sampling import batches
from mmbench.metric import Bench, Metric
from mmbench.modality import Task
from mmbench.seeding import Noise, generator
from mmbench_evaluation.coherence import Coherence
from mmbench_evaluation.frechet import FMD, Frechet
from mmbench_mld.model import MLD

__all__ = ["Latents", "measure", "prepare"]

NEIGHBOURS, TRAINING = 1000, 10_000
"""Samples whose neighbours are sought, and training tuples among which."""


class Latents:
    """Generated and real latents of the tasks of one seed: their variance, and their nearest neighbours."""

    def __init__(self, model: MLD, bench: Bench) -> None:
        self.model, self.bench = model, bench
        data, count = bench.dataset, bench.protocol.count or len(bench.order)
        self.real = self.encoded(data.test.gather(bench.order[:count]))
        self.training = self.encoded(data.train.gather(data.train.spread(TRAINING)))

    @torch.no_grad()
    def encoded(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        parts = [self.model._latents({n: x[k : k + 1000].to(self.model.device) for n, x in batch.items()})
                 for k in range(0, len(next(iter(batch.values()))), 1000)]  # fmt: skip
        return {name: torch.cat([part[name] for part in parts]) for name in batch}

    def measured(self, task: Task, made: Mapping[str, Tensor]) -> dict[str, float]:
        """The variance, and the neighbours in what is no word that says its class: such words are few points.

        Data hold an item many times, in several tuples: real latents are taken once each, and of both sorts as many.
        """
        whole, real = (torch.cat([x[n] for n in task.targets], 1) for x in (made, self.real))
        found = {"latent_variance": float(whole.var(0).mean() / real[: len(whole)].var(0).mean())}
        names = [name for name in task.targets if not self.bench.dataset.spec.modality(name).classes]
        if names:
            z, real, training = (torch.cat([x[n] for n in names], 1) for x in (made, self.real, self.training))
            real = torch.unique(real, dim=0)
            count = min(len(z), len(real), NEIGHBOURS)
            some = torch.randperm(len(real), generator=generator(0, "neighbours"))[:count].to(real.device)
            found["nn_diversity"] = nearest(z[:count], None) / nearest(real[some], None)
            found["nn_training"] = nearest(z[:count], training) / nearest(real[some], training)
        return found


def prepare(bench: Bench) -> None:
    """Train or load the judges, and take the real images' moments, before a sampler is timed."""
    Coherence.prepare(bench)
    for modality in filter(FMD.covers, bench.dataset.spec.modalities):
        FMD.real(bench, modality.name)


def nearest(x: Tensor, among: Tensor | None) -> float:
    """Mean distance to the nearest of `among`; of the others of x where that is None."""
    distances = torch.cdist(x, x if among is None else among)
    return float((distances.fill_diagonal_(torch.inf) if among is None else distances).min(1).values.mean())


def measure(model: MLD, bench: Bench, latents: Latents, seed: int) -> Iterator[dict[str, Any]]:
    """All numbers of the model as it is configured now, with the noise of a cell of this seed."""
    kinds: list[type[Metric]] = [Coherence, FMD]
    for group in groups(bench)[0]:
        metrics, made, count, seconds = [kind(bench) for kind in kinds], [], 0, 0.0
        draws = generator(seed, "sample", "given", *group[0].given)
        for _, rows in batches(bench.order[: bench.protocol.count], bench.protocol.batch_size):
            started = time.monotonic()
            samples, drawn = draw(model, bench, group[0].given, targets(group), rows, draws)
            seconds, count = seconds + time.monotonic() - started, count + len(rows)
            made.append(drawn)
            for metric, task in ((m, t) for m in metrics for t in group if m.wants(t)):
                metric.update(task, {name: samples[name] for name in task.targets}, rows)
        whole = {name: torch.cat([part[name] for part in made]) for name in targets(group)}
        for row in [*metrics[0].compute(), *Frechet.compute(metrics[1])]:
            yield {"task": row.task, "modality": row.modality, "metric": row.metric, "value": row.value, "count": count}
        for task in group:
            for metric, value in latents.measured(task, whole).items():
                place = {"task": task.name, "modality": "+".join(task.targets), "metric": metric}
                yield {**place, "value": value, "count": count}
        yield {"task": group[0].name, "modality": "", "metric": "seconds", "value": seconds, "count": count}


@torch.no_grad()
def draw(
    model: MLD, bench: Bench, given: Sequence[str], wanted: Sequence[str], rows: Tensor, draws: torch.Generator
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Samples on the CPU and their standardised latents, as `MLD.generate` makes them."""
    batch = bench.dataset.test.gather(rows, given) if given else {}
    noise = Noise(draws, len(rows), model.device)
    latents = model._complete(model._latents({n: x.to(model.device) for n, x in batch.items()}), len(rows), noise)
    return {name: model._decode(name, latents[name]).cpu() for name in wanted}, latents
