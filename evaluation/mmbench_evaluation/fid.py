"""The Fréchet inception distance of RGB images.

Reference: Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", 2017;
Bounoua et al., Appendix B.2.2.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from mmbench.metric import Bench, Cost, Extractor
from mmbench.modality import DatasetSpec, Modality

from .frechet import Frechet
from .inception import FEATURES, inception, lacking

__all__ = ["FID"]


class FID(Frechet):
    """Fréchet distance of colour images, on the 2,048 features of Inception.

    Values under different resize rules or different counts are not comparable: both stand in the row.
    """

    name: ClassVar[str] = "fid"
    cost: ClassVar[Cost] = "dear"
    slow: ClassVar[bool] = True

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        return "" if any(map(cls.covers, dataset.modalities)) else "no modality is an image of three channels"

    @classmethod
    def covers(cls, modality: Modality) -> bool:
        return not modality.is_text and len(modality.shape) == 3 and modality.shape[0] == 3

    @classmethod
    def extractor(cls, bench: Bench, modality: str) -> Extractor:
        return inception(bench)

    @classmethod
    def dim(cls, bench: Bench, modality: Modality) -> int:
        return FEATURES

    @classmethod
    def lacks(cls, weights: Path | None, cache: Path) -> str:
        return lacking(weights, cache)

    @classmethod
    def count(cls, bench: Bench) -> int:
        return min(bench.protocol.fid_count or bench.protocol.quality_count, len(bench.order))
