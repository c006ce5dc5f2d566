"""The kernel inception distance of RGB images: unbiased, where FID with few samples is not.

torch-fidelity's estimate: the mean over 100 random subsets of the squared maximum mean discrepancy with a cubic
kernel. It may be slightly negative.

Reference: Bińkowski et al., "Demystifying MMD GANs", 2018.
"""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from mmbench.metric import Cost

from .of_features import OnInception

__all__ = ["KID", "kid"]

SUBSETS, SIZE = 100, 1000
"""Subsets, and images of each: all of them where there are fewer."""


def kid(real: Tensor, made: Tensor, seed: int = 0) -> float:
    """KID of features (N, D) and (M, D); the subsets depend on the seed alone."""
    size = min(SIZE, len(real), len(made))
    subsets = SUBSETS if max(len(real), len(made)) > size else 1  # all of them would hold the same images
    found = kid_features_to_metric(made, real, kid_subsets=subsets, kid_subset_size=size, rng_seed=seed, verbose=False)
    return found[KEY_METRIC_KID_MEAN]


class KID(OnInception):
    """Kernel distance of colour images (1000 times the KID), on the 2,048 features of Inception."""

    name: ClassVar[str] = "kid"
    higher_is_better: ClassVar[bool | None] = False
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    title: ClassVar[str] = "KID × 1000"
    group: ClassVar[str] = "quality"
    cost: ClassVar[Cost] = "dear"
    tells: ClassVar[tuple[str, ...]] = ("collapsed",)

    def compare(self, modality: str, real: Tensor, made: Tensor) -> dict[str, float]:
        return {self.name: 1000 * kid(real, made, self.bench.protocol.seed)}
