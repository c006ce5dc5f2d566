"""What a user gives for a modality on the command line: a typed text, or an image file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import ConfigError, DataError
from ..modality import DatasetSpec, Modality
from .captions import encode
from .images import on_ground, opened, upright

__all__ = ["parse_given", "read_image"]


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
        item = encode(modality, value) if modality.is_text else read_image(modality, Path(os.path.expanduser(value)))
        given[modality.name] = item[None]
    return given


def read_image(modality: Modality, path: Path) -> Tensor:
    """An image file, resized to the modality's size (both sides, bilinear), float32 (C, H, W) in [0, 1].

    Turned as its EXIF says, 16 bits scaled to 8. What is transparent lies on black where the modality has one channel
    (digits are white on black), on white otherwise.

    Raises DataError for what is missing, damaged or no image, declares too many pixels, or shows nothing on its ground.
    """
    channels, height, width = modality.shape
    try:
        with opened(path) as file:
            image = on_ground(upright(file), "L" if channels == 1 else "RGB")
            image = image.resize((width, height), Image.Resampling.BILINEAR)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {modality.name} takes the path of an image file") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): give {modality.name} another image file") from error
    except DataError as error:
        raise DataError(f"{path} cannot be used ({error}): give {modality.name} another image file") from error
    values = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255)
    return values[None] if channels == 1 else values.permute(2, 0, 1)
