"""MNIST and Fashion-MNIST in MNIST's own file format.

torchvision reads such files unchecked, and prefers a `processed/*.pt` of its old versions; hence the reader here. Its
mirrors serve for downloads.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from .downloads import PART, Fetch, part_of
from .sources import check_md5, locate, read

__all__ = ["FASHION", "MNIST", "IdxFiles", "parse_idx"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdxFiles:
    """A dataset in MNIST's file format, where torchvision keeps it: ROOT/NAME/raw, unpacked or still as .gz."""

    name: Literal["MNIST", "FashionMNIST"]
    """Folder under the data root, and torchvision's class."""
    md5: Mapping[str, str]
    """MD5 of each unpacked file. (torchvision knows those of the .gz files.)"""

    def load(self, root: Path, split: Literal["train", "test"], *, dataset: str) -> tuple[Tensor, Tensor]:
        """Images uint8 (N, 1, 28, 28) and labels int64 (N,)."""
        prefix = "train" if split == "train" else "t10k"
        images = self._read(root, f"{prefix}-images-idx3-ubyte", dataset)
        labels = self._read(root, f"{prefix}-labels-idx1-ubyte", dataset)
        return parse_idx(images)[:, None], parse_idx(labels).long()

    def verify(self, root: Path, *, dataset: str) -> int:
        """Checks every file; returns how many there are."""
        for file in self.md5:
            self._read(root, file, dataset)
        return len(self.md5)

    def fetch(self, root: Path, fetch: Fetch, *, dataset: str) -> None:
        """Brings what is missing or damaged, unpacked; what stood in its place is set aside."""
        for file in self.md5:
            try:
                self._read(root, file, dataset)
            except DataError:
                self._bring(root / self.name / "raw" / file, fetch)

    def locate_all(self, root: Path, *, dataset: str) -> None:
        """Raises DataError, with what to do, where a file is missing; none is read."""
        for file in self.md5:
            self._locate(root, file, dataset)

    def _locate(self, root: Path, file: str, dataset: str) -> Path:
        return locate(root, f"{self.name}/raw/{file}", f"{self.name}/raw/{file}.gz", dataset=dataset)

    def _read(self, root: Path, file: str, dataset: str) -> bytes:
        path = self._locate(root, file, dataset)
        content = read(path)
        if path.suffix == ".gz":
            content = _unzipped(content)
        check_md5(path, content, self.md5[file], root=root, dataset=dataset)
        return content

    def _bring(self, path: Path, fetch: Fetch) -> None:
        zipped = path.with_name(f"{path.name}.gz")
        with fetch.archive(self._urls(zipped.name), zipped, self._check) as archive:
            part_of(path).write_bytes(_unzipped(archive.read_bytes()))
            fetch.place(part_of(path), path)

    def _check(self, zipped: Path) -> None:
        """Raises DataError where a .gz, or a part of one's name, does not hold its file."""
        file = zipped.name.removesuffix(PART).removesuffix(".gz")
        found = hashlib.md5(_unzipped(read(zipped)), usedforsecurity=False).hexdigest()
        if found != self.md5[file]:
            raise DataError(f"{file}.gz came damaged, or is another file: MD5 {found}, not {self.md5[file]}")

    def _urls(self, file: str) -> list[str]:
        from torchvision import datasets  # here, since it takes a second to import

        mirrors = {"MNIST": datasets.MNIST, "FashionMNIST": datasets.FashionMNIST}[self.name].mirrors
        return [f"{mirror.rstrip('/')}/{file}" for mirror in mirrors]


def _unzipped(content: bytes) -> bytes:
    """The unpacked bytes; those of a damaged archive as they are, for a checksum to find out."""
    with suppress(OSError, EOFError, zlib.error):
        return gzip.decompress(content)
    return content


def parse_idx(content: bytes) -> Tensor:
    """A uint8 array in idx format: 0, 0, 8, dimensions; each extent as a big-endian uint32; the values."""
    dimensions = content[3]
    shape = np.frombuffer(content, dtype=">u4", count=dimensions, offset=4).astype(int)
    values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions)
    return torch.from_numpy(values.reshape(shape).copy())


MNIST = IdxFiles(
    name="MNIST",
    md5={
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
)
"""LeCun, Cortes and Burges, "The MNIST database of handwritten digits": 60,000 and 10,000 digits."""

FASHION = IdxFiles(
    name="FashionMNIST",
    md5={
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
)
"""Xiao, Rasul and Vollgraf, "Fashion-MNIST", 2017: 60,000 and 10,000 articles, 10 balanced classes."""
