r"""Precision, recall, density and coverage: quality and diversity apart, which a Fréchet distance mixes.

With B(x) the open ball around a point x to its k-th nearest neighbour among the points of its own kind,

    precision   the share of samples in some real image's ball
    recall      the share of real images in some sample's ball
    density     how many real balls a sample lies in, over k, averaged: above 1 where samples crowd
    coverage    the share of real images whose ball holds a sample

Recall and coverage of two equally large sets of one distribution are below 100 %: read them against the floor of real
data. All depend on the number of images, which stands in the row. Recall trusts the samples' own neighbourhoods: an
outlier among the samples has a wide ball, and raises it; coverage does not.

References: Kynkäänniemi et al., "Improved precision and recall metric for assessing generative models", 2019; Naeem et
al., "Reliable fidelity and diversity metrics for generative models", 2020 (density, coverage, k = 5).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from mmbench.metric import Cost, Quantity

from .of_features import OfFeatures, OnInception

__all__ = ["PRDC", "InceptionPRDC", "prdc"]

K = 5
"""Neighbours that make a ball."""
BLOCK = 1000
"""Rows of a matrix of distances at once."""


def prdc(real: Tensor, made: Tensor, k: int = K, known: Tensor | None = None) -> dict[str, float]:
    """'precision', 'recall', 'coverage' in [0, 1] and 'density' >= 0 of features (N, D) and (M, D), N and M > k.

    `known` are the `radii` of the real ones, where they are.
    """
    centre = real.double().mean(0)  # distances are of differences: a large mean would cost digits
    real, made = real.double() - centre, made.double() - centre
    of_real, of_made = radii(real, k) if known is None else known, radii(made, k)
    hits, covered, recalled = made.new_zeros(len(made)), [], []
    for part, radius in zip(real.split(BLOCK), of_real.split(BLOCK), strict=True):
        far = torch.cdist(part, made)
        inside = far < radius[:, None]
        hits += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append((far < of_made).any(1))
    return {
        "precision": (hits > 0).double().mean().item(),
        "recall": torch.cat(recalled).double().mean().item(),
        "density": hits.mean().item() / k,
        "coverage": torch.cat(covered).double().mean().item(),
    }


def radii(x: Tensor, k: int) -> Tensor:
    """The distance (N,) of each of x (N, D) to its k-th nearest neighbour, itself not counted."""
    return torch.cat(list(_radii(x, k)))


def _radii(x: Tensor, k: int) -> Iterator[Tensor]:
    for start in range(0, len(x), BLOCK):
        far = torch.cdist(x[start : start + BLOCK], x)
        rows = torch.arange(len(far))
        far[rows, start + rows] = math.inf
        yield far.kthvalue(k, dim=1).values


class _Radii(NamedTuple):
    """Of the real images, which are the same for all samples."""

    values: Tensor


def _quantities(suffix: str, title: str) -> dict[str, Quantity]:
    share, more = (0.0, 100.0), (0.0, math.inf)
    kinds = {"precision": ("quality", share), "recall": ("diversity", share)} | {
        "density": ("quality", more),
        "coverage": ("diversity", share),
    }
    return {
        name + suffix: Quantity(bounds=bounds, higher_is_better=True, title=f"{name.capitalize()}{title}", group=group)
        for name, (group, bounds) in kinds.items()
    }


class PRDC(OfFeatures):
    """Precision, recall, density and coverage of images, in %, on the features of the judge with k = 5."""

    name: ClassVar[str] = "prdc"
    higher_is_better: ClassVar[bool | None] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, math.inf)
    unit: ClassVar[str] = "%"
    quantities: ClassVar[Mapping[str, Quantity]] = _quantities("", "")
    tells: ClassVar[tuple[str, ...]] = ("collapsed",)
    least: ClassVar[int] = K + 1
    suffix: ClassVar[str] = ""

    def compare(self, modality: str, real: Tensor, made: Tensor) -> dict[str, float]:
        known = self.bench.memory.recall(_Radii, (self.name, modality), lambda: _Radii(radii(real.double(), K)))
        return {name + self.suffix: 100 * value for name, value in prdc(real, made, K, known.values).items()}


class InceptionPRDC(OnInception, PRDC):
    """Precision, recall, density and coverage of colour images, in %, on the features of Inception with k = 5: rows
    'precision_inception' and so on."""

    name: ClassVar[str] = "prdc_inception"
    cost: ClassVar[Cost] = "dear"
    quantities: ClassVar[Mapping[str, Quantity]] = _quantities("_inception", " (Inception)")
    suffix: ClassVar[str] = "_inception"
