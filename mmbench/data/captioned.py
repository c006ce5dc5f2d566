"""Photographs with ten captions each, split by class: what the datasets `cub` and `flowers` share."""

from __future__ import annotations

import importlib.metadata
import json
import math
from abc import abstractmethod
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from ..config import digest
from ..errors import DataError
from ..modality import DatasetSpec, Modality
from ..progress import pasted
from . import captions as texts
from .cache import Made, once
from .dataset import Dataset, DatasetSource, Split
from .downloads import Fetch, downloading
from .drive import Drive
from .records import CAPTIONS, SIDE, Record, read_records
from .sources import is_there, some
from .validation import hold_out_classes

__all__ = ["CaptionedImages", "held_out"]

VERSION = 2
"""Raised when reading changes, so that no old cache is taken for the new data."""
PRIMARY = (
    ("clip_s", "joint", "image+caption"),
    ("clip_s", "image->caption", "caption"),
    ("clip_s", "caption->image", "image"),
    ("fid", "joint", "image"),
    ("fid", "caption->image", "image"),
)
"""The columns of the main table: the paper's Table 5."""
SHARE = 0.1
"""Of the classes of a part of a dataset, so many must be test classes by the full rule for it to hold."""


class CaptionedImages(DatasetSource):
    """A dataset of images (3, 64, 64) and captions (32,), split by class.

    Tuple k is image k // 10 with caption k, so each image stands in ten tuples; labels are classes from 0. The
    vocabulary comes from the training captions.

    The test is on unseen classes, and settings must be chosen for that task: so the validation tuples are those of a
    tenth of the training classes. Where only one class trains (a part of the dataset) they are those of some images.
    """

    name: ClassVar[str]
    images: ClassVar[int]
    """Images of the whole dataset."""
    test_classes: ClassVar[frozenset[int]]
    """Classes of the test split, from 0."""
    folder: ClassVar[str]
    """Under the data root."""
    captions: ClassVar[Drive]
    """Where Reed et al. keep the captions."""

    @abstractmethod
    def records(self, root: Path) -> list[Record]:
        """Every image that should be there, in order. Raises DataError where the lists of images cannot be read."""

    @abstractmethod
    def fetch_images(self, root: Path, fetch: Fetch) -> None:
        """Bring the images and their lists."""

    def load(self, root: Path, cache: Path) -> Dataset:
        records, whole = self._present(root)
        path = cache / f"{self.name}-{_key(records)}.safetensors"
        tensors, said = once(path, lambda: self._read(root, records), self.say)
        train, test = (
            _split(*(tensors[f"{split}.{part}"] for part in ("image", "caption", "label")))
            for split in ("train", "test")
        )
        spec = self._spec(json.loads(said["vocabulary"]), whole)
        return Dataset(spec, train, test, _unseen(train))

    def lacks(self, root: Path) -> str:
        try:
            self._present(root)
        except DataError as error:
            return str(error)
        return ""

    def fetch(self, root: Path) -> str:
        with suppress(DataError):
            return self.verify(root)
        with downloading(self.name, root) as fetch:
            if "image" in self.lacking(root):
                self.fetch_images(root, fetch)
            if "captions" in self.lacking(root):
                self.captions.fetch(root / self.folder, fetch)
        return self.verify(root) + fetch.said()

    def verify(self, root: Path) -> str:
        records, _ = self._present(root)
        self._read_all(root, records)
        classes = len({record.label for record in records})
        return (
            f"{self.title}: {len(records):,} images of {classes} classes with {CAPTIONS} captions each "
            f"under {root / self.folder} can be read."
        )

    def advice(self, root: Path) -> str:
        """How to get what is missing or damaged: half a sentence."""
        return f"run `mmbench data fetch {self.name} --data-root {pasted(root)}`"

    def lacking(self, root: Path) -> set[str]:
        """Of which kinds, 'image' and 'captions', a file is missing or damaged."""
        try:
            records = self.records(root)
        except DataError:
            return {"image", "captions"}
        kinds = {fault.kind for fault in read_records(records)[2]}
        return kinds if len(records) == self.images else kinds | {"image"}

    def _spec(self, vocabulary: Sequence[str], whole: bool) -> DatasetSpec:
        return DatasetSpec(
            name=self.name if whole else f"{self.name}_partial",
            title=self.title if whole else f"{self.title} (partial)",
            family="captions",
            modalities=_modalities(vocabulary),
            metrics=("caption_match", "clip_s", "fid"),
            primary=PRIMARY,
            quality_count=10_000,
            laptop_count=1_000,
        )

    def _present(self, root: Path) -> tuple[list[Record], bool]:
        """The images that are there, and whether they are all; DataError for a part that is not allowed."""
        listed = self.records(root)
        records = [record for record in listed if is_there(record.image)]
        if len(records) == self.images:
            return records, True
        classes = len({record.label for record in records})
        if self.allow_partial and classes > 1:
            return records, False
        absent = [str(r.image.relative_to(root)) for r in listed if not is_there(r.image)]
        raise DataError(
            f"{root / self.folder} holds {len(records):,} of the {self.images:,} images of {self.title}, of {classes} "
            f"classes{some(absent, ' (missing: ', ')')}; {self.advice(root)}, or add --allow-partial to use what is "
            f"there (two classes or more) under the name {self.name}_partial."
        )

    def _read(self, root: Path, records: Sequence[Record]) -> Made:
        """Tensors 'train.image', 'train.caption', 'train.label' and the same of 'test'; the vocabulary as JSON."""
        images, captions = self._read_all(root, records)
        test = held_out(sorted({record.label for record in records}), self.test_classes)
        rows = {
            "train": [k for k, record in enumerate(records) if record.label not in test],
            "test": [k for k, record in enumerate(records) if record.label in test],
        }
        lines = {split: [line for k in own for line in captions[k]] for split, own in rows.items()}
        vocabulary = texts.vocabulary(lines["train"])
        labels = torch.tensor([record.label for record in records])
        tensors = {}
        for split, own in rows.items():
            tensors[f"{split}.image"] = images[own]
            tensors[f"{split}.caption"] = texts.tokens(lines[split], vocabulary)
            tensors[f"{split}.label"] = labels[own]
        return tensors, {"vocabulary": json.dumps(vocabulary)}

    def _read_all(self, root: Path, records: Sequence[Record]) -> tuple[Tensor, list[list[str]]]:
        """Images uint8 (n, 3, 64, 64) and the captions of each; DataError that names the files that are damaged."""
        images, captions, faults = read_records(records)
        if faults:
            raise DataError(
                f"{self.title}: {len(faults)} file{'s' * (len(faults) > 1)} under {root} cannot be used: "
                f"{some([fault.line(root) for fault in faults])}; {self.advice(root)}, which sets them aside."
            )
        return images, captions


def _modalities(vocabulary: Sequence[str]) -> tuple[Modality, Modality]:
    """Image and caption; the weights are those of the paper's code for CUB (32 / 64^2, and 5 for captions)."""
    image = Modality(
        name="image", title="Image", shape=(3, SIDE, SIDE), network="cub_resnet", latent=64, weight=32 / SIDE**2
    )
    caption = Modality(
        name="caption",
        title="Caption",
        shape=(texts.LENGTH,),
        network="caption_conv",
        latent=32,
        likelihood="categorical",
        weight=5.0,
        vocabulary=tuple(vocabulary),
        end=texts.END,
        unprinted=(texts.UNKNOWN, texts.PADDING),
    )
    return image, caption


def held_out(present: Sequence[int], test: Collection[int]) -> set[int]:
    """The test classes among those present, ascending.

    They follow the full rule `test`; where by that rule less than a tenth of the classes present, or all of them, are
    test classes (part of a dataset), the first three quarters train and the rest test.
    """
    held = {label for label in present if label in test}
    if SHARE * len(present) <= len(held) < len(present):
        return held
    return set(present[min(math.ceil(0.75 * len(present)), len(present) - 1) :])


def _split(images: Tensor, captions: Tensor, labels: Tensor) -> Split:
    own = torch.arange(len(captions), dtype=torch.int32)
    index = torch.stack([own // CAPTIONS, own], dim=1)
    return Split({"image": images, "caption": captions}, index, labels.repeat_interleave(CAPTIONS))


def _unseen(train: Split) -> Split | None:
    """The tuples of held-out training classes; None where one class trains."""
    rows = None if train.labels is None else hold_out_classes(train.labels)
    return None if rows is None else train.take(rows)


def _key(records: Sequence[Record]) -> str:
    """What the bytes depend on: names, sizes and times of the files, and the libraries that read them."""
    files = []
    for record in records:
        for path in (record.image, record.captions):
            with suppress(OSError):  # told of when it is read
                stat = path.stat()
                files.append([str(path), record.label, stat.st_size, stat.st_mtime_ns])
    packages = {name: importlib.metadata.version(name) for name in ("nltk", "pillow")}
    return digest({"version": VERSION, "files": files, **packages})
