"""The published files of PolyMNIST, `train/m0/<k>.<digit>.png` and so on: in a folder, or in the zip as it is.

A tuple is the files of one name, one of each view: the k-th of a digit. All damage is told of at once.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ..errors import DataError
from .sources import read_regular

__all__ = ["SHAPE", "SPLITS", "FolderFiles", "PublishedFiles", "Tuples", "ZipFiles", "listed", "read_views"]

SPLITS = ("train", "test")
NAME = re.compile(r"(\d{1,6})\.(\d)\.png")
"""The k-th image of a digit."""
SHAPE = (3, 28, 28)


@dataclass(frozen=True)
class Tuples:
    """The tuples of one split."""

    names: tuple[str, ...]
    """Those that every view has, ordered by k, then by digit."""
    faults: tuple[str, ...]
    """'train/m3/7.2.png (missing)' for every file that does not fit the others."""

    @property
    def labels(self) -> Tensor:
        """int64 (N,)."""
        return torch.tensor([_number(name)[1] for name in self.names], dtype=torch.int64)


class PublishedFiles(ABC):
    """Where the files lie."""

    place: Path

    @abstractmethod
    def names(self, split: str, view: str) -> list[str]:
        """The files of one view; none where there is no such folder."""

    @abstractmethod
    def content(self, split: str, view: str, name: str) -> bytes:
        """Raises DataError with the reason alone."""

    @abstractmethod
    def mark(self) -> list[object]:
        """What changes with the files' bytes: names, sizes and times."""


@dataclass(frozen=True)
class FolderFiles(PublishedFiles):
    """A folder that holds train/m0 to test/m4."""

    place: Path

    def names(self, split: str, view: str) -> list[str]:
        folder = self.place / split / view
        return [path.name for path in folder.iterdir() if path.name[0] != "."] if folder.is_dir() else []

    def content(self, split: str, view: str, name: str) -> bytes:
        return read_regular(self.place / split / view / name)

    def mark(self) -> list[object]:
        found = sorted((str(path), path.stat()) for path in self.place.glob("*/*/*.png"))
        return [str(self.place), *([name, seen.st_size, seen.st_mtime_ns] for name, seen in found)]


@dataclass(frozen=True)
class ZipFiles(PublishedFiles):
    """The published archive; its folders may lie anywhere inside it. Open it before reading."""

    place: Path
    _archive: list[zipfile.ZipFile] = field(default_factory=list, repr=False, compare=False)
    _inside: dict[tuple[str, str], dict[str, zipfile.ZipInfo]] = field(default_factory=dict, repr=False, compare=False)

    @contextmanager
    def opened(self, advice: str) -> Iterator[ZipFiles]:
        """Raises DataError, with the advice, where it is no whole archive."""
        try:
            archive = zipfile.ZipFile(self.place)
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            what = f"{self.place} is not a whole archive ({error})"
            raise DataError(f"{what}; {advice}." if advice else what) from error
        with archive:
            opened = ZipFiles(self.place, [archive])
            for member in archive.infolist():
                split, view, name = ("", "", "", *PurePosixPath(member.filename).parts)[-3:]
                if not member.is_dir() and split in SPLITS and "__MACOSX" not in member.filename:
                    opened._inside.setdefault((split, view), {})[name] = member
            yield opened

    def names(self, split: str, view: str) -> list[str]:
        return [name for name in self._inside.get((split, view), ()) if name[0] != "."]

    def content(self, split: str, view: str, name: str) -> bytes:
        try:
            return self._archive[0].read(self._inside[split, view][name])
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise DataError(f"damaged in the archive, {error}") from error

    def mark(self) -> list[object]:
        seen = self.place.stat()
        return [str(self.place), seen.st_size, seen.st_mtime_ns]


def listed(files: PublishedFiles, split: str, views: Sequence[str]) -> Tuples:
    """The tuples of a split by the files' names: what most views have, all views must have, and nothing else."""
    found = {view: set(files.names(split, view)) for view in views}
    counts = Counter(name for names in found.values() for name in names)
    expected = {name for name, count in counts.items() if NAME.fullmatch(name) and 2 * count > len(views)}
    faults = []
    for view, names in found.items():
        strange = {name: _stray(name) for name in names - expected}
        wrong = {**dict.fromkeys(expected - names, "missing"), **strange}
        faults += [f"{split}/{view}/{name} ({why})" for name, why in sorted(wrong.items())]
    whole = sorted((name for name in expected if counts[name] == len(views)), key=_number)
    return Tuples(tuple(whole), tuple(faults))


def read_views(
    files: PublishedFiles, split: str, views: Sequence[str], names: Sequence[str]
) -> tuple[list[Tensor], list[str]]:
    """The images of each view, uint8 (N, 3, 28, 28), and what is wrong with files, 'train/m3/7.2.png (why)'."""
    images, faults = [torch.zeros((len(names), *SHAPE), dtype=torch.uint8) for _ in views], list[str]()
    for view, own in zip(views, images, strict=True):
        pixels = own.numpy()
        for k, name in enumerate(names):
            try:
                pixels[k] = _pixels(files.content(split, view, name))
            except DataError as error:
                faults.append(f"{split}/{view}/{name} ({error})")
    return images, faults


def _pixels(content: bytes) -> np.ndarray:
    """uint8 (3, 28, 28) of an RGB image of just that size. Raises DataError with what is wrong."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            width, height = image.size
            if image.mode != "RGB" or (height, width) != SHAPE[1:]:
                raise DataError(f"{width} x {height} {image.mode}, not 28 x 28 RGB")
            return np.asarray(image).transpose(2, 0, 1)
    except UnidentifiedImageError:
        raise DataError("no PNG image" if content else "empty") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError("no whole image") from error


def _stray(name: str) -> str:
    """Why a file that few views have is none of a tuple's."""
    if NAME.fullmatch(name):
        return "no other view has this number and digit: mislabelled?"
    return "not named <number>.<digit>.png"


def _number(name: str) -> tuple[int, int]:
    """(k, digit)."""
    number, digit, _ = name.split(".")
    return int(number), int(digit)
