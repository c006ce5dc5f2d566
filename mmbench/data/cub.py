"""CUB image-captions, the paper's second dataset: photographs of birds with ten captions each.

Images: Wah et al., "The Caltech-UCSD Birds-200-2011 Dataset", 2011. Captions: Reed et al., "Learning Deep
Representations of Fine-grained Visual Descriptions", CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ..errors import DataError
from .archives import unpack
from .captioned import CaptionedImages
from .downloads import Fetch, of_md5
from .drive import Drive
from .records import Record
from .sources import locate
from .texts import read_table

__all__ = ["TEST_CLASSES", "Cub"]

URL = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
MD5 = "97eceeb196236b17998738112f37df78"
CLASSES = frozenset(map(str, range(1, 201)))

TEST_CLASSES = (
    1, 4, 6, 8, 9, 14, 23, 29, 31, 33, 34, 35, 36, 37, 38, 43, 49, 51, 53, 66, 72, 79, 83, 84, 86, 91, 95, 96, 98, 101,
    102, 103, 112, 114, 119, 121, 130, 135, 138, 147, 156, 163, 165, 166, 180, 183, 185, 186, 187, 197,
)  # fmt: skip
"""The 50 test classes, as numbered by classes.txt, of the zero-shot split of Akata et al. (CVPR 2013) that Reed et al.
and the paper use; with them the counts are the paper's, 8,855 train and 2,933 test images. (The first 150 classes would
give 8,822.)"""


class Cub(CaptionedImages):
    """ROOT/CUB_200_2011 as Caltech's archive unpacks it, and in it text_c10/CLASS/NAME.txt.

    88,550 train and 29,330 test tuples. A part of the images (--allow-partial) is `cub_partial`: the classes present
    keep their split if that leaves at least a tenth of them for test, or else the first three quarters of them train.
    """

    title: ClassVar[str] = "CUB"
    summary: ClassVar[str] = "the paper's: photographs of birds with ten captions each, split by class"
    default_budget: ClassVar[str] = "paper"
    name: ClassVar[str] = "cub"
    images: ClassVar[int] = 11_788
    test_classes: ClassVar[frozenset[int]] = frozenset(number - 1 for number in TEST_CLASSES)
    folder: ClassVar[str] = "CUB_200_2011"
    captions: ClassVar[Drive] = Drive("cvpr2016_cub.tar.gz", "0B0ywwgffWnLLZW9uVHNjb2JmNlE", "0-8y2UVmBHAlG26HafWYNoFQ")

    def records(self, root: Path) -> list[Record]:
        listed, names = self._table(root, "images.txt")
        labelled, labels = self._table(root, "image_class_labels.txt")
        _check_names(listed, names)
        folder = root / self.folder
        if unlabelled := [number for number in names if labels.get(number, (0, ""))[1] not in CLASSES]:
            raise DataError(
                f"{labelled} gives no class of 1 to 200 to {len(unlabelled)} of the images "
                f"in images.txt, image {unlabelled[0]} for one; {self.advice(root)}."
            )
        return [
            Record(
                folder / "images" / name,
                (folder / "text_c10" / name).with_suffix(".txt"),
                int(labels[number][1]) - 1,
            )
            for number, (_, name) in names.items()
        ]

    def fetch_images(self, root: Path, fetch: Fetch) -> None:
        with fetch.archive([URL], root / "CUB_200_2011.tgz", of_md5(MD5)) as archive:
            unpack(archive, root, self.folder, fetch)

    def _table(self, root: Path, file: str) -> tuple[Path, dict[str, tuple[int, str]]]:
        """One of Caltech's lists: its path, and number -> (line, value)."""
        path = locate(root, f"{self.folder}/{file}", dataset=self.name)
        return path, read_table(path)


def _check_names(path: Path, names: Mapping[str, tuple[int, str]]) -> None:
    """DataError where an image lies outside the folder, or stands twice in the list."""
    seen: dict[str, int] = {}
    for line, name in names.values():
        if name in seen:
            raise DataError(f"{path}, line {line}: {name[:80]!r} stands in line {seen[name]} already.")
        if Path(name).is_absolute() or ".." in Path(name).parts or not Path(name).stem:
            raise DataError(f"{path}, line {line}: {name[:80]!r} is not the path of an image below images/.")
        seen[name] = line
