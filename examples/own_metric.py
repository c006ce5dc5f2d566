"""A metric of one's own: how far apart the features of samples and of real images lie, along random directions."""

import math

import torch

from mmbench.metric import Metric, Row
from mmbench.seeding import generator

DIRECTIONS = 128


class SlicedDistance(Metric):
    """Sliced Wasserstein distance (the first) of the judge's features: 0 where both are distributed alike."""

    name = "sliced"
    title = "Sliced distance"
    higher_is_better = False
    bounds = (0.0, math.inf)
    group = "quality"
    tells = ("collapsed",)  # `mmbench check` makes a collapsed generator, and sees whether this is true

    def __init__(self, bench):
        super().__init__(bench)
        self.images = [m.name for m in bench.dataset.spec.modalities if not m.is_text]
        self.seen = {}

    @classmethod
    def unfit(cls, dataset):
        return "" if dataset.classes else "the data have no class labels to train a judge on"

    @classmethod
    def prepare(cls, bench):
        for m in bench.dataset.spec.modalities:
            if not m.is_text:
                bench.extractor(m.name)  # trains or loads the judge, before anything is timed

    def wants(self, task):
        judged = any(name in self.images for name in task.targets)
        return min(self.bench.protocol.quality_count, len(self.bench.order)) if judged else 0

    def update(self, task, samples, rows):
        for name in set(task.targets) & set(self.images):
            self.seen.setdefault((task, name), []).append(self.bench.features(name, samples[name]))

    def compute(self):
        return [self.row(task, name, torch.cat(parts)) for (task, name), parts in self.seen.items()]

    def row(self, task, name, made):
        judge = self.bench.extractor(name)
        value = sliced(made, self.bench.real_features(name, count=len(made)))
        return Row(
            metric=self.name,
            task=task.name,
            modality=name,
            value=value,
            count=len(made),
            judge=judge.name,
            identity=judge.identity[:8],
            higher_is_better=self.higher_is_better,
        )


def sliced(made, real):
    """Mean over directions of the distance between sorted projections, for features (n, D) of equal n."""
    made, real = made[: len(real)].double(), real[: len(made)].double()
    axes = torch.randn(made.shape[1], DIRECTIONS, generator=generator(0, "sliced"), dtype=torch.float64)
    axes = axes / axes.norm(dim=0)
    return float(((made @ axes).sort(dim=0).values - (real @ axes).sort(dim=0).values).abs().mean())
