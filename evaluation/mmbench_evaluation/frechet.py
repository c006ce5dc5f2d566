r"""Fréchet distances between real and generated samples, from the first two moments of their features.

    d^2 = |mu_1 - mu_2|^2 + tr(C_1 + C_2 - 2 (C_1^{1/2} C_2 C_1^{1/2})^{1/2})

`FMD` takes the features of the suite's own classifiers (320 numbers for 28x28 images, 500 for 32x32). They have
no fixed scale: compare distances only under one judge.

References: Bounoua et al., Appendix B.2.2 (FMD); Heusel et al., "GANs trained by a two time-scale update rule
converge to a local Nash equilibrium", 2017 (the distance); Dowson and Landau, "The Frechet distance between
multivariate normal distributions", 1982; Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
computing sample variances", 1979 (the streaming sums).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar, Self

import torch
from torch import Tensor

from mmbench.errors import ConfigError
from mmbench.metric import Bench, Metric, Row
from mmbench.modality import Task

from .classifiers import BATCH, judge

__all__ = ["FMD", "Moments", "frechet_distance"]


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Count, mean and scatter of a stream of vectors, in float64; memory does not grow with the stream.

    The scatter is taken about the mean and merged by Chan's formula, so a large mean costs no digits.
    """

    count: int
    mean: Tensor
    """(D,)."""
    scatter: Tensor
    """Sum of (x - mean)(x - mean)^T, (D, D)."""

    @classmethod
    def zero(cls, dim: int) -> Self:
        """Of nothing yet."""
        return cls(0, torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dim, dtype=torch.float64))

    @classmethod
    def of(cls, x: Tensor) -> Self:
        """Of a batch (B, D), B >= 1."""
        x = x.double()
        mean = x.mean(dim=0)
        centred = x - mean
        return cls(len(x), mean, centred.T @ centred)

    def update(self, x: Tensor) -> Moments:
        """With a batch (B, D) more."""
        return self.merge(Moments.of(x)) if len(x) else self

    def merge(self, other: Moments) -> Moments:
        """Of both streams together."""
        count = self.count + other.count
        if count == 0:
            return self
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        between = torch.outer(delta, delta) * (self.count * other.count / count)
        return Moments(count, mean, self.scatter + other.scatter + between)

    @property
    def covariance(self) -> Tensor:
        """Unbiased covariance (D, D). Raises ConfigError for fewer than two vectors."""
        if self.count < 2:
            raise ConfigError(f"a covariance needs two samples or more, got {self.count}: raise eval.quality_count")
        return self.scatter / (self.count - 1)


def frechet_distance(mu1: Tensor, cov1: Tensor, mu2: Tensor, cov2: Tensor) -> float:
    """Squared Fréchet distance >= 0 between two Gaussians with means (D,) and covariances (D, D).

    The trace of the matrix root is the sum of the singular values of C_1^{1/2} C_2^{1/2}. Taken so, rounding errors of
    rank-deficient covariances are not magnified by a square root, and no imaginary part or added epsilon is needed.
    """
    with _few_threads(len(mu1)):
        root1, root2 = _root(cov1), _root(cov2)
        overlap = torch.linalg.svdvals(root1.T @ root2).sum()
    shift = (mu1.double() - mu2.double()).square().sum()
    squared = shift + root1.square().sum() + root2.square().sum() - 2 * overlap
    return max(0.0, squared.item())


def _root(cov: Tensor) -> Tensor:
    """L (D, rank) with L L^T = cov, by eigendecomposition; eigenvalues below rounding error are taken as 0."""
    cov = cov.double()
    values, vectors = torch.linalg.eigh((cov + cov.T) / 2)
    kept = values > values[-1].clamp(min=0) * len(values) * torch.finfo(torch.float64).eps
    return vectors[:, kept] * values[kept].sqrt()


@contextmanager
def _few_threads(dim: int) -> Iterator[None]:
    """One thread for small matrices: nothing is lost, and where other processes keep the cores busy, a decomposition
    whose threads wait for each other took 20 s instead of 0.05 s (320 features, two cores)."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if dim <= 1024 else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class FMD(Metric):
    """Fréchet distance on the features of the judge, for each image that a task generates.

    The real moments come from the first `quality_count` tuples of the evaluation order: for a model's samples, the real
    partners of what was given (Appendix B.2.2). They are computed once for all sources of samples.
    """

    name: ClassVar[str] = "fmd"
    higher_is_better: ClassVar[bool | None] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._made: dict[tuple[Task, str], Moments] = {}

    @classmethod
    def prepare(cls, bench: Bench) -> None:
        for modality in bench.dataset.spec.modalities:
            if not modality.is_text:
                _real(bench, modality.name)

    def wants(self, task: Task) -> int:
        return _count(self.bench) if self._images(task) else 0

    def update(self, task: Task, samples: Mapping[str, Tensor], rows: Tensor) -> None:
        for name in self._images(task):
            features = judge(self.bench, name).features(samples[name])
            old = self._made.get((task, name), Moments.zero(features.shape[1]))
            self._made[task, name] = old.update(features)

    def compute(self) -> list[Row]:
        return [self._row(task, name) for task, name in self._made]

    def _images(self, task: Task) -> tuple[str, ...]:
        return tuple(name for name in task.targets if not self.bench.dataset.spec.modality(name).is_text)

    def _row(self, task: Task, modality: str) -> Row:
        made, real = self._made[task, modality], _real(self.bench, modality)
        dim = len(made.mean)
        return Row(
            metric=self.name,
            task=task.name,
            modality=modality,
            value=frechet_distance(made.mean, made.covariance, real.mean, real.covariance),
            count=made.count,
            judge=judge(self.bench, modality).name,
            higher_is_better=self.higher_is_better,
            note=f"biased: {made.count} samples for {dim} dimensions" if made.count <= dim else "",
        )


def _count(bench: Bench) -> int:
    return min(bench.protocol.quality_count, len(bench.order))


def _real(bench: Bench, modality: str) -> Moments:
    """Moments of the real test items of the evaluation's first tuples, remembered in `bench.memo`."""
    key = f"fmd/{modality}/{bench.protocol.seed}/{bench.protocol.quality_count}"
    if key not in bench.memo:
        parts = bench.order[: _count(bench)].split(BATCH)
        images = (bench.dataset.test.gather(rows, (modality,))[modality] for rows in parts)
        bench.memo[key] = reduce(Moments.merge, (Moments.of(judge(bench, modality).features(x)) for x in images))
    return bench.memo[key]
