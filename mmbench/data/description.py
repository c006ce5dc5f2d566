"""A dataset in one TOML file: where the files of each modality lie, how large they become, what their classes are."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from ..config import from_json
from ..errors import ConfigError, DataError
from .texts import read_text

__all__ = ["FOLDER", "Description", "FileModality", "describe"]

FOLDER = "folder"
"""Of `Description.labels`: a file's class is the name of the folder that it lies in."""


@dataclass(frozen=True, kw_only=True)
class FileModality:
    """One modality of files: images, or texts (.txt) with a caption a line."""

    files: str
    """A pattern below the folder of the TOML file: 'photos/*/*.png', 'captions/**/*.txt'."""
    size: tuple[int, ...] = ()
    """(C, H, W) that images are brought to; of texts none."""
    network: str = ""
    """'' for the suite's own of that size."""
    latent: int = 32
    weight: float = 1.0
    title: str = ""
    judge: str = ""
    least: int = 1
    """A word that the training texts hold less often is unknown."""

    @property
    def is_text(self) -> bool:
        return self.files.lower().endswith(".txt")


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the TOML file says."""

    name: str
    modalities: dict[str, FileModality]
    title: str = ""
    labels: str = ""
    """'folder'; a CSV file with the columns item and label; '' for none."""
    test: float = 0.2
    """The share of items that test."""
    seed: int = 0
    """Chooses them."""
    metrics: tuple[str, ...] = ()
    """'' for what fits."""


def describe(path: Path) -> Description:
    """What a file says. Raises DataError that names the file and what is wrong in it."""
    try:
        data = tomllib.loads(read_text(path))
    except DataError as error:
        raise DataError(f"{path} cannot be read ({error}): name the TOML file that describes the dataset") from error
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path} is no TOML ({error}): correct it") from error
    try:
        found = from_json(Description, data)
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from error
    for name, modality in found.modalities.items():
        if wrong := _fault(modality):
            raise DataError(f"{path}: modalities.{name}: {wrong}")
    if not 0 < found.test < 1:
        raise DataError(f"{path}: test must be a share between 0 and 1, such as 0.2, got {found.test:g}")
    return found


def _fault(modality: FileModality) -> str:
    """Half a sentence; '' for nothing."""
    if Path(modality.files).is_absolute() or not modality.files:
        return f"files must be a pattern below the TOML file's folder, such as 'photos/*/*.png', got {modality.files!r}"
    if modality.is_text:
        return "texts have no size: leave it out" if modality.size else ""
    if len(modality.size) != 3 or modality.size[0] not in (1, 3) or min(modality.size) < 1:
        return (
            f"size must be [channels, height, width] with 1 or 3 channels, such as [3, 32, 32], got {[*modality.size]}"
        )
    return ""
