"""Oxford-102 flowers with ten captions each.

Images: Nilsback and Zisserman, "Automated flower classification over a large number of classes", ICVGIP 2008.
Captions: Reed et al., "Learning Deep Representations of Fine-grained Visual Descriptions", CVPR 2016.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.io import loadmat

from ..errors import DataError
from .captioned import CaptionedImages, Record
from .sources import locate, read

__all__ = ["Flowers"]


class Flowers(CaptionedImages):
    """ROOT/flowers-102 as torchvision keeps it (jpg/, imagelabels.mat), and in it text_c10/class_NNNNN/.

    Classes 1 to 82 train and 83 to 102 test: 6,433 and 1,756 images. (Reed et al. hold out 20 classes too, others.)
    """

    title: ClassVar[str] = "Flowers"
    summary: ClassVar[str] = "Oxford-102: photographs of flowers with ten captions each, split by class"
    name: ClassVar[str] = "flowers"
    images: ClassVar[int] = 8_189
    test_classes: ClassVar[frozenset[int]] = frozenset(range(82, 102))
    folder: ClassVar[str] = "flowers-102"

    def records(self, root: Path) -> list[Record]:
        folder = root / self.folder
        return [
            Record(
                folder / "jpg" / f"image_{number:05}.jpg",
                folder / "text_c10" / f"class_{label:05}" / f"image_{number:05}.txt",
                label - 1,
            )
            for number, label in enumerate(self._labels(root), start=1)
        ]

    def advice(self, root: Path) -> str:
        return f"run `mmbench data fetch {self.name} --data-root {root}`"

    def _labels(self, root: Path) -> list[int]:
        """The class of each image, 1 to 102."""
        path = locate(root, f"{self.folder}/imagelabels.mat", dataset=self.name)
        try:
            labels = loadmat(io.BytesIO(read(path)), variable_names=("labels",))["labels"].reshape(-1)
        except DataError:
            raise
        except Exception as error:  # SciPy's parser raises nearly anything on broken bytes
            raise DataError(
                f"{path} is damaged ({type(error).__name__}); remove it and {self.advice(root)}."
            ) from error
        if not np.isin(labels, range(1, 103)).all():
            raise DataError(f"{path} must hold classes from 1 to 102; remove it and {self.advice(root)}.")
        return [int(label) for label in labels]
