"""What a user gives for a modality on the command line: a typed text, or an image file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from ..errors import ConfigError, DataError
from ..modality import DatasetSpec, Modality
from .captions import encode
from .images import read_image

__all__ = ["given_image", "parse_given"]


def parse_given(spec: DatasetSpec, settings: Iterable[str]) -> dict[str, Tensor]:
    """'caption=a small yellow bird', 'image=bird.png' -> one item of each modality, (1, *shape), as models see it.

    Raises ConfigError for an unknown modality, a missing '=' or a text of unknown words, DataError for what is no
    image file.
    """
    given: dict[str, Tensor] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--given takes modality=text or modality=image-file, got {setting!r}")
        modality = spec.modality(name.strip())
        item = encode(modality, value) if modality.is_text else given_image(modality, Path(os.path.expanduser(value)))
        given[modality.name] = item[None]
    return given


def given_image(modality: Modality, path: Path) -> Tensor:
    """An image file at the modality's size, float32 (C, H, W) in [0, 1]; see `images.read_image`.

    Raises DataError that names the file.
    """
    try:
        return read_image(path, modality.shape).float() / 255
    except DataError as error:
        raise DataError(f"{path} cannot be used ({error}): give {modality.name} another image file") from error
