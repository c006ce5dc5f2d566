r"""95 % intervals of a mean over samples some of which share an item: 20 samples of one image are not 20 opinions.

What shares an item is a cluster. With n samples in K clusters, n_k of them with the sum s_k in cluster k, the variance
of their mean p is that of a ratio,

    V = K / (K - 1) sum_k (s_k - p n_k)^2 / n^2,        V_0 = sum_i (x_i - p)^2 / (n (n - 1))  for clusters of one.

Where several items are given, each makes a clustering c of its own, and their effects add up:

    V = V_0 + sum_c max(0, V_c - V_0)

which is the formula of Cameron et al. where no two samples share two items, and too wide, never too narrow, where they
do. (The widest single clustering would be too narrow by a factor of up to sqrt(2) for two items, each given 20 times.)
A mean gets Student's interval with K - 1 degrees of freedom. A share gets Wilson's with the effective
number of samples n V_0 / V (t_{n-1} / t_{K-1})^2 in the place of n (Korn and Graubard), K where V_0 is 0: so it stays
in [0, 1]. Where every cluster has one member, V = V_0, K = n, and both are the textbook's intervals for independent
samples. So are they where one cluster holds all: then the samples differ by their noise alone, and the interval is that
of a mean for this item.

References: Cochran, "Sampling techniques", 1977, Chapter 9A (the variance); Cameron, Gelbach and Miller, "Robust
inference with multiway clustering", 2011; Korn and Graubard, "Confidence intervals for proportions with small expected
number of positive counts estimated from survey data", 1998; Wilson, "Probable inference, the law of succession, and
statistical inference", 1927.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

import torch
from scipy.special import stdtrit
from torch import Tensor

from mmbench.data.dataset import Split
from mmbench.modality import DatasetSpec

__all__ = ["Clustered", "shared_items", "wilson"]

CONFIDENCE = 0.95


def wilson(share: float, n: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a share of n samples, as fractions in [0, 1]; n may be an effective number.

    Raises ValueError unless share lies in [0, 1], n > 0 and confidence lies in (0, 1).
    """
    if not (n > 0 and 0 <= share <= 1 and 0 < confidence < 1):
        raise ValueError(f"an interval needs a share in [0, 1] of n > 0, got {share} of {n} at {confidence}")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    return (0.0 if share == 0 else low), (1.0 if share == 1 else high)


def shared_items(spec: DatasetSpec, split: Split, rows: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """Modality -> the item (B,) that each of the tuples `rows` (B,) holds, for the modalities `names`.

    A text that says its class is left out. Its few words are all that there are, and every test set holds them: they
    are no sample of words, so they add nothing to the error of a mean over them. What is left of it is the noise of the
    samples, which are independent once the word is given. (Taken as ten clusters, the words would make the interval
    that of a mean over words not yet thought of.)
    """
    picked = split.index[rows.to(split.index.device)].cpu().long()
    kept = dict.fromkeys(name for name in names if not spec.modality(name).classes)
    return {name: picked[:, split.names.index(name)] for name in kept}


@dataclass
class _Clusters:
    """Samples and their sum in each cluster of one clustering, float64 (clusters,)."""

    sizes: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    sums: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))

    def add(self, values: Tensor, items: Tensor) -> None:
        length = max(len(self.sizes), int(items.max()) + 1)
        self.sizes = _longer(self.sizes, length).index_add_(0, items, torch.ones_like(values))
        self.sums = _longer(self.sums, length).index_add_(0, items, values)

    @property
    def count(self) -> int:
        """Clusters that hold a sample."""
        return int((self.sizes > 0).sum())

    def variance(self, mean: float) -> float:
        """Of the mean; for two clusters or more."""
        k = self.count
        spread = (self.sums - mean * self.sizes).square().sum().item()
        return k / (k - 1) * spread / self.sizes.sum().item() ** 2


def _longer(x: Tensor, length: int) -> Tensor:
    return torch.cat((x, x.new_zeros(length - len(x))))


@dataclass
class Clustered:
    """Sums of a stream of numbers and of their clusters, in float64; memory grows with the number of items alone.

    What the samples share may be seen in several ways: the widest of them counts.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    _ways: defaultdict[int, dict[str, _Clusters]] = field(default_factory=lambda: defaultdict(dict), init=False)

    def add(self, values: Tensor, *ways: Mapping[str, Tensor]) -> None:
        """A batch (B,), and the ways in which its values are clustered; without any, they are independent.

        A way has one or more clusterings, whose effects add up: a name -> the cluster 0, 1, ... of each value, int64
        (B,). Every batch must bring the same ones.
        """
        if not len(values):
            return
        values = values.double().cpu()
        self.count += len(values)
        self.total += values.sum().item()
        self.squares += values.square().sum().item()
        for k, way in enumerate(ways):
            for name, items in way.items():
                self._ways[k].setdefault(name, _Clusters()).add(values, items.cpu())

    @property
    def mean(self) -> float:
        return self.total / self.count

    def share_interval(self) -> tuple[float, float]:
        """Of a mean of zeros and ones: Wilson's for the effective number of samples, as fractions in [0, 1]."""
        return wilson(self.mean, self._effective())

    def mean_interval(self, bounds: tuple[float, float]) -> tuple[float, float] | None:
        """Student's, cut at the bounds of the values; None for a single sample."""
        if self.count < 2:
            return None
        half = _student(self._clusters() - 1) * math.sqrt(self._variance())
        return max(bounds[0], self.mean - half), min(bounds[1], self.mean + half)

    def _independent(self) -> float:
        """V_0: the variance of the mean if every sample were a cluster of its own."""
        return max(0.0, self.squares / self.count - self.mean**2) / (self.count - 1)

    def _variance(self) -> float:
        alone = self._independent()
        effects = (sum(max(0.0, c.variance(self.mean) - alone) for c in way) for way in self._sharing())
        return alone + max(effects, default=0.0)

    def _clusters(self) -> int:
        """The fewest of any clustering."""
        return min((clusters.count for way in self._sharing() for clusters in way), default=self.count)

    def _sharing(self) -> list[list[_Clusters]]:
        """The clusterings of each way, but those of single members and those of one cluster, which say nothing."""
        return [[c for c in way.values() if 1 < c.count < self.count] for way in self._ways.values()]

    def _effective(self) -> float:
        """Independent samples that would tell as much; never more than there are."""
        clusters = self._clusters()
        if self.mean in (0.0, 1.0) or self.count < 2:
            return clusters
        few = _student(self.count - 1) / _student(clusters - 1)
        return self.count * (self._independent() / self._variance()) * few**2


def _student(freedom: int) -> float:
    """Quantile of Student's t for a two-sided interval."""
    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))
