"""Files that datasets are read from: where they lie, whether they are whole, and what to do if not.

Every file of a known MD5 is checked each time it is read (0.2 s per 100 MB): a damaged file cannot pass as data.
Downloads go through torchvision, its mirrors and its checksums, where it knows the dataset; else through `download`.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import socket
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import Literal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError

__all__ = ["FASHION", "MNIST", "IdxFiles", "check_md5", "download", "downloading", "locate", "read", "unpack"]

TIMEOUT = 30.0
"""Seconds without an answer after which a download gives up."""


def locate(root: Path, *candidates: str, dataset: str, advice: str = "") -> Path:
    """The first of `candidates` (paths under root) that is a file.

    Arguments:
        root: the data root.
        candidates: paths where the file may lie; the first is its usual place and is named in the error.
        dataset: the word typed after --dataset.
        advice: how to get the file; by default `mmbench data fetch`.
    """
    for candidate in candidates:
        if (root / candidate).is_file():
            return root / candidate
    advice = advice or f"run `mmbench data fetch {dataset} --data-root {root}`"
    raise DataError(
        f"{candidates[0]} is missing under {root}; {advice}, "
        "or point --data-root (or MMBENCH_DATA) at a folder that has it."
    )


def read(path: Path) -> bytes:
    """All bytes of a file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error


def check_md5(path: Path, content: bytes, md5: str, *, root: Path, dataset: str) -> None:
    """Raises DataError unless `content`, read from `path`, has this MD5."""
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DataError(
            f"{path} is damaged or another file (MD5 {found}, not {md5}, {len(content):,} bytes); "
            f"remove it and run `mmbench data fetch {dataset} --data-root {root}`."
        )


@contextmanager
def downloading(dataset: str, root: Path) -> Iterator[None]:
    """Turns what torchvision's downloads raise into one sentence; a silent server has failed after 30 s."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        root.mkdir(parents=True, exist_ok=True)
        yield
    except (OSError, RuntimeError, EOFError, HTTPException, zlib.error) as error:  # URLError and timeouts are OSErrors
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{dataset} could not be downloaded to {root}: {reason.rstrip('.:')}; "
            "check the network and the folder, or point --data-root (or MMBENCH_DATA) at a folder that has it."
        ) from error
    finally:
        socket.setdefaulttimeout(before)


ATTEMPTS = 5
"""Connections that a download may take, each going on where the one before broke off."""


def download(url: str, path: Path) -> None:
    """Bring a file whole. What has come lies in PATH.part until then, and the next call goes on from there.

    Raises OSError or HTTPException where the server refuses, or breaks off too often.
    """
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            if _continue(url, part):
                part.replace(path)
                return
        except HTTPError:
            raise
        except (OSError, HTTPException):
            if attempt == ATTEMPTS:
                raise
    raise OSError(f"{url} broke off {ATTEMPTS} times; the next call goes on from {part.name}")


def _continue(url: str, part: Path) -> bool:
    """One connection; True when the file is whole."""
    have = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urlopen(request, timeout=TIMEOUT) as answer:
            resumed = answer.status == 206
            total = _total(answer.headers, resumed)
            with part.open("ab" if resumed else "wb") as file:
                shutil.copyfileobj(answer, file)
    except HTTPError as error:
        if error.code != 416:
            raise
        total = _total(error.headers, True)  # nothing is left to send, or the file is now another, shorter one
        if total != have:
            part.unlink()
            return False
    return total is None or part.stat().st_size == total


def _total(headers: Message, ranged: bool) -> int | None:
    """Bytes of the whole file, from 'Content-Range: bytes 5-9/10' or Content-Length; None where it is not said."""
    said = (headers["Content-Range"] or "").rpartition("/")[2] if ranged else headers["Content-Length"] or ""
    return int(said) if said.isdecimal() else None


def unpack(archive: Path, folder: Path, inside: str) -> int:
    """Unpack the files below the folder `inside` of a .tar.gz, wherever it lies in it, to FOLDER/INSIDE.

    Only plain files are written, and none that would land elsewhere. Returns the number of files. Raises DataError
    where the archive is damaged or names a place outside.
    """
    count = 0
    try:
        with tarfile.open(archive) as files:
            for member in files:
                parts = Path(member.name).parts
                if member.isfile() and inside in parts:
                    _write_member(files, member, folder.joinpath(*parts[parts.index(inside) :]), folder)
                    count += 1
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{archive} is not a whole archive ({type(error).__name__}).") from error
    return count


def _write_member(files: tarfile.TarFile, member: tarfile.TarInfo, path: Path, folder: Path) -> None:
    """tarfile's own filter against escapes came with Python 3.11.4."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise tarfile.ReadError(f"{member.name} would land outside")
    content = files.extractfile(member)
    assert content is not None  # of a plain file
    path.parent.mkdir(parents=True, exist_ok=True)
    with content, path.open("wb") as file:
        shutil.copyfileobj(content, file)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdxFiles:
    """A dataset in MNIST's file format, where torchvision keeps it: ROOT/NAME/raw, unpacked or still as .gz.

    torchvision reads such files unchecked, and prefers a `processed/*.pt` of its old versions; hence the reader
    here.
    """

    name: Literal["MNIST", "FashionMNIST"]
    """Folder under the data root, and torchvision's class."""
    md5: Mapping[str, str]
    """MD5 of each unpacked file. (torchvision knows those of the .gz files.)"""

    def load(self, root: Path, split: Literal["train", "test"], *, dataset: str) -> tuple[Tensor, Tensor]:
        """Images uint8 (N, 1, 28, 28) and labels int64 (N,)."""
        prefix = "train" if split == "train" else "t10k"
        images = self._read(root, f"{prefix}-images-idx3-ubyte", dataset)
        labels = self._read(root, f"{prefix}-labels-idx1-ubyte", dataset)
        return parse_idx(images)[:, None], parse_idx(labels).long()

    def verify(self, root: Path, *, dataset: str) -> int:
        """Checks every file; returns how many there are."""
        for file in self.md5:
            self._read(root, file, dataset)
        return len(self.md5)

    def fetch(self, root: Path, *, dataset: str) -> None:
        """Downloads what is missing; removes damaged unpacked files, for torchvision to unpack them anew."""
        try:
            self.verify(root, dataset=dataset)
        except DataError:
            with downloading(dataset, root):
                self._remove_damaged(root)
                self._torchvision(root)
            self.verify(root, dataset=dataset)

    def _read(self, root: Path, file: str, dataset: str) -> bytes:
        path = locate(root, f"{self.name}/raw/{file}", f"{self.name}/raw/{file}.gz", dataset=dataset)
        content = read(path)
        if path.suffix == ".gz":
            with suppress(OSError, EOFError, zlib.error):  # a damaged archive fails the checksum below
                content = gzip.decompress(content)
        check_md5(path, content, self.md5[file], root=root, dataset=dataset)
        return content

    def _remove_damaged(self, root: Path) -> None:
        for file, md5 in self.md5.items():
            path = root / self.name / "raw" / file
            if path.is_file() and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
                path.unlink()

    def _torchvision(self, root: Path) -> None:
        from torchvision import datasets  # here, since it takes a second to import

        source = {"MNIST": datasets.MNIST, "FashionMNIST": datasets.FashionMNIST}[self.name]
        source(root, train=True, download=True)


def parse_idx(content: bytes) -> Tensor:
    """A uint8 array in idx format: 0, 0, 8, dimensions; each extent as a big-endian uint32; the values."""
    dimensions = content[3]
    shape = np.frombuffer(content, dtype=">u4", count=dimensions, offset=4).astype(int)
    values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions)
    return torch.from_numpy(values.reshape(shape).copy())


MNIST = IdxFiles(
    name="MNIST",
    md5={
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
)
"""LeCun, Cortes and Burges, "The MNIST database of handwritten digits": 60,000 and 10,000 digits."""

FASHION = IdxFiles(
    name="FashionMNIST",
    md5={
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
)
"""Xiao, Rasul and Vollgraf, "Fashion-MNIST", 2017: 60,000 and 10,000 articles, 10 balanced classes."""
