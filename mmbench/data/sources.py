"""Files that datasets are read from: where they lie, whether they are whole, and what to do if not.

Every file of a known MD5 is checked each time it is read (0.2 s per 100 MB): a damaged file cannot pass as data.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError
from ..progress import pasted

__all__ = ["check_md5", "is_there", "locate", "md5_of", "read", "read_regular", "regular", "some"]

NAMED = 5
"""Files that one message names."""


def is_there(path: Path) -> bool:
    """Whether a path leads to a regular file; False too where it cannot be looked at (a name too long, no access)."""
    try:
        return path.is_file()
    except OSError:
        return False


def locate(root: Path, *candidates: str, dataset: str, advice: str = "") -> Path:
    """The first of `candidates` (paths under root) that is a file.

    Arguments:
        root: the data root.
        candidates: paths where the file may lie; the first is its usual place and is named in the error.
        dataset: the word typed after --dataset.
        advice: how to get the file; by default `mmbench data fetch`.
    """
    for candidate in candidates:
        if is_there(root / candidate):
            return root / candidate
    if os.path.lexists(root) and not root.is_dir():
        raise DataError(
            f"{root} is no folder: point --data-root (or MMBENCH_DATA) at the one that has {candidates[0]}."
        )
    advice = advice or f"run `mmbench data fetch {dataset} --data-root {pasted(root)}`"
    raise DataError(
        f"{candidates[0]} is missing under {root}; {advice}, "
        "or point --data-root (or MMBENCH_DATA) at a folder that has it."
    )


def regular(path: Path) -> int:
    """The bytes of a file. Raises DataError with the reason alone: a pipe or a device is not waited for."""
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(error.strerror or str(error)) from error
    except ValueError as error:  # a NUL in the path
        raise DataError(str(error)) from error
    if not stat.S_ISREG(found.st_mode):
        raise DataError("it is a folder" if stat.S_ISDIR(found.st_mode) else "it is a pipe or a device, no file")
    return found.st_size


def read_regular(path: Path) -> bytes:
    """All bytes of a file. Raises DataError with the reason alone."""
    regular(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(error.strerror or str(error)) from error


def read(path: Path) -> bytes:
    """All bytes of a file; DataError that names it where it cannot be read."""
    try:
        return read_regular(path)
    except DataError as error:
        raise DataError(f"{path} cannot be read ({error}); check its permissions.") from error


def check_md5(path: Path, content: bytes, md5: str, *, root: Path, dataset: str) -> None:
    """Raises DataError unless `content`, read from `path`, has this MD5."""
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DataError(
            f"{path} is damaged or another file (MD5 {found}, not {md5}, {len(content):,} bytes); "
            f"run `mmbench data fetch {dataset} --data-root {pasted(root)}`, which sets it aside and brings the right "
            "one."
        )


def md5_of(path: Path) -> str:
    """The MD5 of a file, read in pieces; OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def some(items: Sequence[str], before: str = "", after: str = "") -> str:
    """The first few items and how many more there are; empty where there are none."""
    if not items:
        return ""
    more = f" and {len(items) - NAMED:,} more" if len(items) > NAMED else ""
    return f"{before}{', '.join(items[:NAMED])}{more}{after}"
