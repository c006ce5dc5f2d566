r"""Moments of a stream of features, and the Fréchet distance between two Gaussians.

    d^2 = |mu_1 - mu_2|^2 + tr(C_1 + C_2 - 2 (C_1^{1/2} C_2 C_1^{1/2})^{1/2})

References: Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", 2017
(the distance between features); Dowson and Landau, "The Frechet distance between multivariate normal distributions",
1982; Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979 (the
streaming sums).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from mmbench.errors import ConfigError

__all__ = ["Moments", "frechet_distance", "matrix_root"]

EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True, eq=False)
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

    @cached_property
    def root(self) -> Tensor:
        """`matrix_root` of the covariance, taken once."""
        return matrix_root(self.covariance)

    def distance(self, other: Moments) -> float:
        """Squared Fréchet distance >= 0 to another stream. This stream's root is kept: let it be the real data's."""
        return _distance(self.mean, self.covariance, self.root, other.mean, other.covariance)


def frechet_distance(mu1: Tensor, cov1: Tensor, mu2: Tensor, cov2: Tensor) -> float:
    """Squared Fréchet distance >= 0 between two Gaussians with means (D,) and covariances (D, D)."""
    return _distance(mu1, cov1, matrix_root(cov1), mu2, cov2)


def matrix_root(cov: Tensor) -> Tensor:
    """L (D, rank), float64, with L L^T = cov, by eigendecomposition; eigenvalues below rounding error count as 0."""
    with _one_thread():
        values, vectors = torch.linalg.eigh(_symmetric(cov))
    kept = values > values[-1].clamp(min=0) * len(values) * EPS
    return vectors[:, kept] * values[kept].sqrt()


def _distance(mu1: Tensor, cov1: Tensor, root1: Tensor, mu2: Tensor, cov2: Tensor) -> float:
    """The trace of the matrix root is the sum of the roots of the eigenvalues of L^T C_2 L, where L L^T = C_1.

    L has only `rank` columns, so few samples make it quick; the matrix is symmetric, so no imaginary part and no added
    epsilon are needed. What rounding leaves of an eigenvalue 0 is taken as 0, since its root would be felt.
    """
    cov1, cov2 = cov1.double(), cov2.double()
    shift = (mu1.double() - mu2.double()).square().sum()
    squared = shift + cov1.trace() + cov2.trace() - 2 * _overlap(root1, cov2)
    return max(0.0, squared.item())


def _overlap(root1: Tensor, cov2: Tensor) -> Tensor:
    if root1.shape[1] == 0:
        return root1.new_zeros(())
    with _one_thread():
        values = torch.linalg.eigvalsh(_symmetric(root1.T @ cov2 @ root1))
    # no eigenvalue exceeds |C_1| |C_2|; columns of L are sorted by length, and the last is |C_1|^{1/2} long
    largest = root1[:, -1].square().sum() * torch.linalg.matrix_norm(cov2)
    return values.where(values > largest * len(values) * EPS, 0.0).sqrt().sum()


def _symmetric(a: Tensor) -> Tensor:
    a = a.double()
    return (a + a.T) / 2


@contextmanager
def _one_thread() -> Iterator[None]:
    """Threads of a decomposition wait for each other: where other processes kept two cores busy, 320 features took 20 s
    instead of 0.05 s, and 2,048 features minutes instead of seconds; on idle cores little is gained."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
