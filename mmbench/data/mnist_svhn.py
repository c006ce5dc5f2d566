"""MNIST-SVHN, the paper's dataset: a handwritten digit with the same digit of a photographed house number.

Pairing and sizes as in the paper's Appendix B.1: 1,121,360 train and 200,000 test pairs.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from scipy.io import loadmat
from torch import Tensor

from ..errors import DataError
from ..modality import DatasetSpec, Modality
from .dataset import Dataset, DatasetSource, Split
from .downloads import Fetch, downloading, of_md5
from .idx import MNIST
from .pairing import pair
from .sources import check_md5, locate, read

__all__ = ["MnistSvhn", "MnistSvhnSubset"]

URL = "http://ufldl.stanford.edu/housenumbers/"

SPEC = DatasetSpec(
    name="mnist_svhn",
    title="MNIST-SVHN",
    modalities=(
        # 3.92 = 3072 / 784: both images weigh the same, whatever their number of values (the paper's code)
        Modality(name="mnist", title="MNIST", shape=(1, 28, 28), network="mnist_mlp", latent=16, weight=3.92),
        Modality(name="svhn", title="SVHN", shape=(3, 32, 32), network="svhn_conv", latent=64),
    ),
    classes=10,
    metrics=("coherence", "fmd", "fid"),
    judge="lenet",  # the paper's, though it reads SVHN badly: its tables rest on it
    primary=(  # the paper's Tables 1 and 4
        ("coherence", "joint", "mnist+svhn"),
        ("coherence", "mnist->svhn", "svhn"),
        ("coherence", "svhn->mnist", "mnist"),
        ("fmd", "joint", "mnist"),
        ("fid", "joint", "svhn"),
        ("fid", "mnist->svhn", "svhn"),
        ("fmd", "svhn->mnist", "mnist"),
    ),
)


class MnistSvhn(DatasetSource):
    """MNIST with the full SVHN (its 'extra' split is not used)."""

    title: ClassVar[str] = SPEC.title
    summary: ClassVar[str] = "the paper's: MNIST digits with SVHN house numbers of the same class"
    default_budget: ClassVar[str] = "paper"
    spec: ClassVar[DatasetSpec] = SPEC
    folders: ClassVar[tuple[str, ...]] = ("", "SVHN/", "svhn/")
    """Where the .mat files may lie under the data root; the first is torchvision's place."""
    md5: ClassVar[Mapping[str, str]] = {
        "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
        "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
    }
    advice: ClassVar[str] = ""

    def load(self, root: Path, cache: Path) -> Dataset:
        return Dataset(self.spec, self._split(root, "train"), self._split(root, "test"))

    def lacks(self, root: Path) -> str:
        try:
            for split in ("train", "test"):
                self._locate(root, f"{split}_32x32.mat")
            MNIST.locate_all(root, dataset=self.spec.name)
        except DataError as error:
            return str(error)
        return ""

    def fetch(self, root: Path) -> str:
        with suppress(DataError):
            return self.verify(root)
        with downloading(self.spec.name, root) as fetch:
            self._fetch_svhn(root, fetch)
            MNIST.fetch(root, fetch, dataset=self.spec.name)
        return self.verify(root) + fetch.said()

    def verify(self, root: Path) -> str:
        count = MNIST.verify(root, dataset=self.spec.name)
        for split in ("train", "test"):
            self._svhn(root, split)
        return f"{self.title}: {count + 2} files under {root} are whole."

    def _split(self, root: Path, split: Literal["train", "test"]) -> Split:
        mnist, digits = MNIST.load(root, split, dataset=self.spec.name)
        svhn, numbers = self._svhn(root, split)
        index, labels = pair([digits, numbers])
        return Split({"mnist": mnist, "svhn": svhn}, index, labels)

    def _svhn(self, root: Path, split: Literal["train", "test"]) -> tuple[Tensor, Tensor]:
        file = f"{split}_32x32.mat"
        path = self._locate(root, file)
        content = read(path)
        if file in self.md5:
            check_md5(path, content, self.md5[file], root=root, dataset=self.spec.name)
        return parse_svhn(path, content)

    def _locate(self, root: Path, file: str) -> Path:
        places = [folder + file for folder in self.folders]
        return locate(root, *places, dataset=self.spec.name, advice=self.advice)

    def _fetch_svhn(self, root: Path, fetch: Fetch) -> None:
        for split in ("train", "test"):
            try:
                self._svhn(root, split)
            except DataError:
                file = f"{split}_32x32.mat"
                fetch.bring([URL + file], root / file, of_md5(self.md5[file]))


class MnistSvhnSubset(MnistSvhn):
    """MNIST with any part of SVHN: files of SVHN's form in ROOT/svhn-subset, of any size and checksum."""

    title: ClassVar[str] = "MNIST-SVHN (subset)"
    summary: ClassVar[str] = "MNIST with the part of SVHN that lies in svhn-subset/; not the paper's dataset"
    default_budget: ClassVar[str] = "laptop"
    spec: ClassVar[DatasetSpec] = replace(SPEC, name="mnist_svhn_subset", title=title)
    folders: ClassVar[tuple[str, ...]] = ("svhn-subset/",)
    md5: ClassVar[Mapping[str, str]] = {}
    advice: ClassVar[str] = "put any part of SVHN there in SVHN's own form (X, y)"

    def _fetch_svhn(self, root: Path, fetch: Fetch) -> None:
        for file in ("train_32x32.mat", "test_32x32.mat"):  # nowhere to be downloaded from
            self._locate(root, file)


def parse_svhn(path: Path, content: bytes) -> tuple[Tensor, Tensor]:
    """Images uint8 (N, 3, 32, 32) and labels int64 (N,) of SVHN's X (32, 32, 3, N) and y (N, 1), 10 for digit 0.

    Arguments:
        path: named in errors.
        content: the file's bytes.
    """
    try:
        variables = loadmat(io.BytesIO(content), variable_names=("X", "y"))
    except Exception as error:  # SciPy's parser raises nearly anything on broken bytes
        raise DataError(f"{path} is not a whole .mat file ({type(error).__name__}); fetch it again.") from error
    x, y = variables.get("X"), variables.get("y")
    if x is None or x.ndim != 4 or x.shape[:3] != (32, 32, 3) or x.dtype != np.uint8:
        found = "nothing" if x is None else f"{x.dtype} {x.shape}"
        raise DataError(f"{path} must hold X, uint8 (32, 32, 3, N), but holds {found}; fetch SVHN's own file.")
    if y is None or y.size != x.shape[3] or not np.isin(y, range(11)).all():
        raise DataError(
            f"{path} must hold y, one label of 1 to 10 for each of its {x.shape[3]} images; fetch it again."
        )
    images = np.ascontiguousarray(x.transpose(3, 2, 0, 1))
    return torch.from_numpy(images), torch.from_numpy(y.reshape(-1).astype(np.int64) % 10)
