"""Records of Zenodo: which archive one holds, where it is, and the checksum that Zenodo states."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from . import downloads

__all__ = ["Archive", "archive_of"]

HOME = "https://zenodo.org"


@dataclass(frozen=True)
class Archive:
    """A file of a record."""

    name: str
    url: str
    md5: str
    """'' where Zenodo states none."""


def archive_of(record: int) -> Archive:
    """The zip archive of a record. Raises OSError or HTTPException where it cannot be asked for, or has none, or more
    than one."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "record.json")
        downloads.download(f"{HOME}/api/records/{record}", answer)
        found = _zips(answer.read_bytes(), record)
    if len(found) != 1:
        raise OSError(f"Zenodo's record {record} holds {len(found) or 'no'} zip archives, and one was looked for")
    return found[0]


def _zips(answer: bytes, record: int) -> list[Archive]:
    """Of an answer in Zenodo's form: {"files": [{"key": name, "checksum": "md5:...", ...}, ...]}."""
    try:
        files = [(str(file["key"]), str(file.get("checksum") or "")) for file in json.loads(answer)["files"]]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise OSError(f"what Zenodo says of its record {record} cannot be read") from None
    return [
        Archive(name, f"{HOME}/records/{record}/files/{quote(name)}?download=1", _md5(checksum))
        for name, checksum in files
        if name.lower().endswith(".zip")
    ]


def _md5(checksum: str) -> str:
    """Of 'md5:0123...'; '' for any other kind."""
    kind, _, digits = checksum.rpartition(":")
    return digits.lower() if kind == "md5" else ""
