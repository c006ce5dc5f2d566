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
from .archives import unpack
from .captioned import CaptionedImages
from .downloads import Fetch, of_md5
from .drive import Drive
from .records import Record
from .sources import is_there, locate, md5_of, read

__all__ = ["Flowers"]

URL = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102"
IMAGES, LABELS = "52808999861908f626f3c1f4e79d11fa", "e0620be6f572b9609742df49c70aed4d"
"""MD5 of 102flowers.tgz and of imagelabels.mat."""


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
    captions: ClassVar[Drive] = Drive(
        "cvpr2016_flowers.tar.gz", "0B0ywwgffWnLLcms2WWJQRFNSWXM", "0-Av8zFbeDDvNcF1sSjDR32w"
    )

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

    def fetch_images(self, root: Path, fetch: Fetch) -> None:
        folder = root / self.folder
        labels = folder / "imagelabels.mat"
        if not is_there(labels) or md5_of(labels) != LABELS:
            fetch.bring([f"{URL}/imagelabels.mat"], labels, of_md5(LABELS))
        if "image" in self.lacking(root):
            with fetch.archive([f"{URL}/102flowers.tgz"], folder / "102flowers.tgz", of_md5(IMAGES)) as archive:
                unpack(archive, folder, "jpg", fetch)

    def _labels(self, root: Path) -> list[int]:
        """The class of each image, 1 to 102."""
        path = locate(root, f"{self.folder}/imagelabels.mat", dataset=self.name)
        try:
            labels = loadmat(io.BytesIO(read(path)), variable_names=("labels",))["labels"].reshape(-1)
        except DataError:
            raise
        except Exception as error:  # SciPy's parser raises nearly anything on broken bytes
            reason = type(error).__name__
            raise DataError(f"{path} is damaged ({reason}); {self.advice(root)}.") from error
        if not np.isin(labels, range(1, 103)).all():
            raise DataError(f"{path} must hold classes from 1 to 102; {self.advice(root)}.")
        return [int(label) for label in labels]
