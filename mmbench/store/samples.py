"""Sample files for the figures: a few samples and conditions of each task, as images and texts.

    <runs>/samples/<dataset>/<model>/<budget>-<hash>/seed-<k>.<token>.npz

The token is a hash of the weights and settings that made them; a cell records the whole name, so that samples of
other weights are never shown for its own.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import DamagedError, ResultError
from .files import whole
from .reading import check_regular, unreadable

if TYPE_CHECKING:
    import numpy as np

__all__ = ["read_samples", "sample_key", "write_samples"]

AGAIN = "run its cell again, which sets them aside and draws them anew"
SEAL = "sha256"
"""The checksum's name among the arrays."""


def sample_key(task: str, role: Literal["given", "target"], modality: str) -> str:
    """The name of one array of a sample file: 'mnist->svhn/given/mnist', 'joint/target/svhn'."""
    return f"{task}/{role}/{modality}"


def write_samples(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a sample file, with a checksum: images (n, C, H, W) uint8 or float32, texts (n,) unicode, by
    `sample_key`."""
    import numpy as np  # which takes a third of the time of `mmbench --help`

    for name, array in arrays.items():
        if array.dtype.kind not in "uifU":
            raise ResultError(f"samples {name!r} have dtype {array.dtype}: give numbers or unicode strings")
    with whole(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays, **{SEAL: np.array(_seal(path, arrays))})


def read_samples(path: Path) -> dict[str, np.ndarray]:
    """The inverse of `write_samples`; raises ResultError if the file is missing, UnreadableError if it may not be read,
    DamagedError if it is not what was written at this place."""
    import numpy as np

    try:
        check_regular(path)
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ResultError(f"there are no samples at {path}: run the cell again to draw them") from None
    except OSError as error:
        raise unreadable(path, error) from None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        said = str(arrays.pop(SEAL, ""))
    except MemoryError:
        raise
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise DamagedError(f"the samples {path} are damaged ({type(error).__name__}): {AGAIN}") from None
    if said != _seal(path, arrays):
        wrong = "its checksum does not agree" if said else "it has no checksum, as those of an earlier mmbench"
        raise DamagedError(f"the samples {path} are damaged ({wrong}): {AGAIN}")
    return arrays


def _seal(path: Path, arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the file's own place, names, types, shapes and bytes."""
    import numpy as np

    sha = hashlib.sha256("/".join(path.absolute().parts[-4:]).encode(errors="surrogateescape"))
    for name in sorted(arrays):
        sha.update(f"{name} {arrays[name].dtype} {arrays[name].shape}\n".encode(errors="surrogatepass"))
        sha.update(np.ascontiguousarray(arrays[name]).tobytes())
    return sha.hexdigest()
