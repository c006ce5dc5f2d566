"""PolyMNIST drawn anew, in the published construction, from MNIST and photographs under the data root.

Of each class and for each view the MNIST images of the class are put in a fresh random order; the k-th of every view
form a tuple, which share their class and nothing else. A view's image is a random 28x28 patch of that view's
photograph, with the colours inverted where the digit's pixel is above 128 of 255.

Source: Sutter, Daunhawer and Vogt, "Generalized multimodal ELBO", ICLR 2021. Their own five photographs are not all to
be had: so these are other data, under another name.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..config import digest
from ..errors import DataError
from ..seeding import derive, generator
from .cache import Made, once
from .dataset import Dataset, DatasetSource
from .downloads import downloading
from .idx import MNIST
from .images import read_photograph
from .pairing import pair
from .polymnist import VIEWS, specification, split_of
from .polymnist_files import SHAPE, SPLITS
from .sources import is_there, read

__all__ = ["PolymnistDrawn", "draw_views", "inverted", "patches"]

VERSION = 1
"""Raised when the drawing changes, so that no old cache is taken for the new data."""
FOLDER = "polymnist-backgrounds"
DARK = 128
"""MNIST's values above it belong to the digit."""
SIDE = SHAPE[1]


class PolymnistDrawn(DatasetSource):
    """60,000 train and 10,000 test tuples, drawn once and kept in the cache as one file."""

    name: ClassVar[str] = "polymnist_drawn"
    title: ClassVar[str] = "PolyMNIST (drawn)"
    summary: ClassVar[str] = "PolyMNIST's construction on MNIST and five photographs of yours; not the published files"
    view_counts: ClassVar[Sequence[int]] = range(2, VIEWS + 1)

    def load(self, root: Path, cache: Path) -> Dataset:
        paths = self._photographs(root)
        path = cache / f"{self.name}-{_key(paths)}.safetensors"
        drawn, _ = once(path, lambda: self._draw(root, paths), self.say)
        views = self.views or VIEWS
        train, test = (
            split_of([drawn[f"{split}.m{k}"] for k in range(views)], drawn[f"{split}.labels"]) for split in SPLITS
        )
        return Dataset(specification(self.name, self.title, views), train, test)

    def fetch(self, root: Path) -> str:
        with suppress(DataError):
            return self.verify(root)
        self._photographs(root)
        with downloading(self.name, root) as fetch:
            MNIST.fetch(root, fetch, dataset=self.name)
        return self.verify(root) + fetch.said()

    def verify(self, root: Path) -> str:
        count = MNIST.verify(root, dataset=self.name)
        chosen = [path.name for path in self._photographs(root) if _photograph(path) is not None]
        return f"{self.title}: {count} files of MNIST have their checksums; the photographs are {', '.join(chosen)}."

    def _photographs(self, root: Path) -> list[Path]:
        """The first five by name. Raises DataError where there are fewer."""
        folder = root / FOLDER
        found = sorted(p for p in folder.iterdir() if is_there(p) and p.name[0] != ".") if folder.is_dir() else []
        if len(found) < VIEWS:
            raise DataError(
                f"{self.title} needs {VIEWS} photographs in {folder}, and {len(found) or 'none'} "
                f"{'is' if len(found) < 2 else 'are'} there: put images of any kind there, each 28 pixels or more in "
                "width and height, or point --data-root (or MMBENCH_DATA) at a folder that has them."
            )
        return found[:VIEWS]

    def _draw(self, root: Path, paths: Sequence[Path]) -> Made:
        """'train.m0' to 'train.m4' uint8 (N, 3, 28, 28), 'train.labels' int64 (N,), and the same of 'test'."""
        photographs, drawn = [_photograph(path) for path in paths], dict[str, Tensor]()
        for split in SPLITS:
            digits, labels = MNIST.load(root, "train" if split == "train" else "test", dataset=self.name)
            views, classes = draw_views(digits[:, 0], labels, photographs, derive(0, self.name, split))
            drawn |= {f"{split}.m{k}": images for k, images in enumerate(views)} | {f"{split}.labels": classes}
        return drawn, {}


def draw_views(digits: Tensor, labels: Tensor, photographs: Sequence[Tensor], seed: int) -> tuple[list[Tensor], Tensor]:
    """A view for each photograph, uint8 (N, 3, 28, 28), and the classes of the tuples, int64 (N,).

    Arguments:
        digits: uint8 (N, 28, 28), each of which stands in one tuple of every view.
        labels: the class of each, integer (N,).
        photographs: uint8 (3, H, W), both sides 28 or more.
    """
    index, classes = pair([labels] * len(photographs), copies=1, cap=len(labels), seed=seed)
    views = []
    for k, photograph in enumerate(photographs):
        ground = patches(photograph, len(classes), generator(seed, "patches", k))
        views.append(inverted(ground, digits[index[:, k].long()] > DARK))
    return views, classes


def patches(photograph: Tensor, count: int, draws: torch.Generator) -> Tensor:
    """`count` patches of 28x28, uint8 (count, 3, 28, 28); left and top are uniform over all whole pixels."""
    _, height, width = photograph.shape
    top = torch.randint(height - SIDE + 1, (count,), generator=draws).numpy()
    left = torch.randint(width - SIDE + 1, (count,), generator=draws).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(photograph.numpy(), SHAPE)[0]
    return torch.from_numpy(windows[top, left].reshape(-1, *SHAPE))


def inverted(images: Tensor, where: Tensor) -> Tensor:
    """255 - c where `where` (N, 28, 28) is true, in all three colours of images uint8 (N, 3, 28, 28)."""
    return torch.where(where[:, None], 255 - images, images)


def _photograph(path: Path) -> Tensor:
    """uint8 (3, H, W). Raises DataError that names the file."""
    try:
        image = read_photograph(path)
    except DataError as error:
        raise DataError(f"{path} cannot be used ({error}): put another photograph there.") from error
    if min(image.shape[1:]) < SIDE:
        size = " x ".join(map(str, image.shape[:0:-1]))
        raise DataError(f"{path} has {size} pixels, and a patch needs {SIDE} x {SIDE}: put a larger photograph there.")
    return image


def _key(paths: Sequence[Path]) -> str:
    """What the bytes depend on: the photographs' bytes, the drawing's version and the libraries'."""
    packages = {name: importlib.metadata.version(name) for name in ("pillow", "torch")}
    bytes_of = [hashlib.sha256(read(path)).hexdigest() for path in paths]
    return digest({"version": VERSION, "photographs": bytes_of, **packages})
