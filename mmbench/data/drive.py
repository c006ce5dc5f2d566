"""Captions that their authors share on Google Drive: an archive without a published checksum."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from ..errors import DataError
from ..store.files import write_text
from .archives import holding, unpack
from .downloads import Check, Fetch
from .texts import read_text

__all__ = ["Drive"]

FOLDER = "text_c10"
"""What of the archive is unpacked."""


@dataclass(frozen=True, slots=True)
class Drive:
    """A file that its authors share on Google Drive; old files open only with their resource key."""

    file: str
    id: str
    key: str

    @property
    def page(self) -> str:
        return f"https://drive.google.com/file/d/{self.id}/view?resourcekey={self.key}"

    @property
    def url(self) -> str:
        query = f"id={self.id}&resourcekey={self.key}&export=download&confirm=t"
        return f"https://drive.usercontent.google.com/download?{query}"

    def fetch(self, folder: Path, fetch: Fetch) -> None:
        """Unpack the captions below a folder, from an archive that lies there or comes from the Drive.

        The SHA-256 of the first one is kept beside them, and holds for later ones.
        """
        archive, pinned = folder / self.file, folder / f"{self.file}.sha256"
        try:
            with fetch.archive([self.url], archive, _pinned(pinned)) as found:
                unpack(found, folder, FOLDER, fetch)
                write_text(pinned, _sha256(found) + "\n")
        except (OSError, HTTPException) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise DataError(
                f"{self.file} could not be downloaded ({reason}); get it with a browser from {self.page} and "
                f"put it into {folder}, or unpack its {FOLDER} to {folder / FOLDER}.{fetch.said()}"
            ) from error


def _pinned(pinned: Path) -> Check:
    """A check that an archive holds the captions, and is the one whose SHA-256 the file `pinned` names, if any."""

    def check(archive: Path) -> None:
        holding(FOLDER)(archive)
        if pinned.is_file() and read_text(pinned).strip() != _sha256(archive):
            raise DataError(f"it is not the archive that {pinned} names")

    return check


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
