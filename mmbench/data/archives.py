"""Archives (.tar.gz) of datasets: one folder of them is unpacked, file by file, over nothing of a user's."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError
from .downloads import Check, Fetch, part_of

__all__ = ["holding", "unpack"]


def holding(inside: str) -> Check:
    """A check that an archive can be read to its end and has files below a folder `inside`."""

    def check(archive: Path) -> None:
        if not sum(1 for _ in _members(archive, inside)):
            raise DataError(f"{archive} holds no folder {inside}.")

    return check


def unpack(archive: Path, folder: Path, inside: str, fetch: Fetch) -> int:
    """Unpack the files below the folder `inside` of a .tar.gz, wherever it lies in it, to FOLDER/INSIDE.

    Only plain files are written, and none that would land elsewhere. Each takes its place when it is whole, and what
    differs there is set aside. Returns the number of files.

    Raises DataError where the archive is damaged or names a place outside.
    """
    count = 0
    for files, member, place in _members(archive, inside):
        _write(files, member, folder / place, fetch)
        count += 1
    return count


def _members(archive: Path, inside: str) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo, Path]]:
    """The plain files below the folder `inside`, and their paths from there. tarfile's own filter against escapes came
    with Python 3.11.4."""
    try:
        with tarfile.open(archive) as files:
            for member in files:
                parts = Path(member.name).parts
                if member.isfile() and inside in parts:
                    place = Path(*parts[parts.index(inside) :])
                    if ".." in place.parts:
                        raise tarfile.ReadError(f"{member.name} would land outside")
                    yield files, member, place
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{archive} is not a whole archive ({type(error).__name__}).") from error


def _write(files: tarfile.TarFile, member: tarfile.TarInfo, path: Path, fetch: Fetch) -> None:
    content = files.extractfile(member)
    assert content is not None  # of a plain file
    path.parent.mkdir(parents=True, exist_ok=True)
    with content, part_of(path).open("wb") as file:
        shutil.copyfileobj(content, file)
    fetch.place(part_of(path), path)
