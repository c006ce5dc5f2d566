"""MNIST-Fashion: digit k with an article of class k. Real, and a quick download (about 40 MB)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Literal

from ..errors import DataError
from ..modality import DatasetSpec, Modality
from .dataset import Dataset, DatasetSource, Split
from .downloads import downloading
from .idx import FASHION, MNIST
from .pairing import pair

__all__ = ["MnistFashion"]

SPEC = DatasetSpec(
    name="mnist_fashion",
    title="MNIST-Fashion",
    modalities=(
        Modality(name="mnist", title="MNIST", shape=(1, 28, 28), network="mnist_mlp", latent=16),
        Modality(name="fashion", title="Fashion", shape=(1, 28, 28), network="mnist_mlp", latent=32),
    ),
    classes=10,
    metrics=("coherence", "fmd"),
)


class MnistFashion(DatasetSource):
    """Pairs of the two train splits and of the two test splits, 20 per used item, as for MNIST-SVHN."""

    title: ClassVar[str] = SPEC.title
    summary: ClassVar[str] = "MNIST digits with Fashion-MNIST articles of the same class; real, small to fetch"

    def load(self, root: Path, cache: Path) -> Dataset:
        return Dataset(SPEC, self._split(root, "train"), self._split(root, "test"))

    def lacks(self, root: Path) -> str:
        try:
            for files in (MNIST, FASHION):
                files.locate_all(root, dataset=SPEC.name)
        except DataError as error:
            return str(error)
        return ""

    def fetch(self, root: Path) -> str:
        with suppress(DataError):
            return self.verify(root)
        with downloading(SPEC.name, root) as fetch:
            for files in (MNIST, FASHION):
                files.fetch(root, fetch, dataset=SPEC.name)
        return self.verify(root) + fetch.said()

    def verify(self, root: Path) -> str:
        count = sum(files.verify(root, dataset=SPEC.name) for files in (MNIST, FASHION))
        return f"{SPEC.title}: {count} files under {root} have their checksums."

    def _split(self, root: Path, split: Literal["train", "test"]) -> Split:
        mnist, digits = MNIST.load(root, split, dataset=SPEC.name)
        fashion, articles = FASHION.load(root, split, dataset=SPEC.name)
        index, labels = pair([digits, articles])
        return Split({"mnist": mnist, "fashion": fashion}, index, labels)
