"""What `mmbench data fetch` brings. Nothing of a user's is removed: a file takes its place when it is whole and
checked, and what stood there before, if it differs, is set aside as NAME.damaged-1.

A download lies in NAME.mmbench-part until it is checked; the next call goes on from there.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import socket
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from ..errors import BusyError, DataError
from ..store.destinations import check_folder
from ..store.files import set_aside
from ..store.locks import exclusive
from .sources import md5_of

__all__ = ["Check", "Fetch", "download", "downloading", "of_md5", "part_of"]

Check = Callable[[Path], None]
"""Raises DataError where a file is not the one that is wanted."""
TIMEOUT = 30.0
"""Seconds without an answer after which a download gives up."""
ATTEMPTS = 5
"""Connections that a download may take, each going on where the one before broke off."""
PART = ".mmbench-part"
NAMED = 5
"""Files set aside that one sentence names."""


def part_of(path: Path) -> Path:
    """Where a file lies that is not whole yet: beside its place, under a name that is nobody else's."""
    return path.with_name(path.name + PART)


def of_md5(md5: str) -> Check:
    """A check of a file's MD5."""

    def check(path: Path) -> None:
        if (found := md5_of(path)) != md5:
            raise DataError(f"{path.name.removesuffix(PART)} came damaged, or is another file: MD5 {found}, not {md5}")

    return check


class Fetch:
    """One call of `mmbench data fetch`, and what it has set aside."""

    def __init__(self) -> None:
        self.aside: list[Path] = []

    def bring(self, urls: Sequence[str], path: Path, check: Check) -> None:
        """Bring a file to its place from the first of these addresses that sends what passes `check`."""
        _obtain(urls, part_of(path), check)
        self.place(part_of(path), path)

    @contextmanager
    def archive(self, urls: Sequence[str], path: Path, check: Check) -> Iterator[Path]:
        """An archive to read inside: a user's own at `path`, where it passes `check`, which stays; else a download,
        which goes when all was read."""
        if path.is_file() and _passes(check, path):
            yield path
            return
        part = part_of(path)
        _obtain(urls, part, check)
        yield part
        part.unlink(missing_ok=True)

    def place(self, new: Path, path: Path) -> None:
        """Put the whole file `new`, which lies beside it, at `path`. A file of the same bytes stays as it is; another
        one, a link or a folder is set aside."""
        if path.is_file() and filecmp.cmp(new, path, shallow=False):
            new.unlink()
            return
        if os.path.lexists(path):
            self.aside.append(set_aside(path))
        new.replace(path)

    def said(self) -> str:
        """A sentence that names what was set aside, after a blank; '' for nothing."""
        if not self.aside:
            return ""
        more = f" and {len(self.aside) - NAMED:,} more" if len(self.aside) > NAMED else ""
        return f" What was there before is set aside: {', '.join(map(str, self.aside[:NAMED]))}{more}."


@contextmanager
def downloading(dataset: str, root: Path) -> Iterator[Fetch]:
    """A fetch to a data root, one at a time; failures become one sentence, a silent server has failed after 30 s."""
    check_folder(root)
    before, fetch = socket.getdefaulttimeout(), Fetch()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with exclusive(root / ".mmbench-fetch"):
            yield fetch
    except BusyError:
        raise BusyError(f"another `mmbench data fetch` is at work in {root}: wait until it has ended") from None
    except (OSError, RuntimeError, EOFError, HTTPException, zlib.error) as error:  # URLError and timeouts are OSErrors
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{dataset} could not be downloaded to {root}: {reason.rstrip('.:')}; check the network and the folder, or "
            f"point --data-root (or MMBENCH_DATA) at a folder that has it. No file was removed.{fetch.said()}"
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _obtain(urls: Sequence[str], part: Path, check: Check) -> None:
    """Fill `part` from the first address that sends what passes; what an earlier call left there may be of another
    file, so that the first address is asked again where it was gone on with in vain."""
    if part.is_file() and _passes(check, part):
        return
    part.parent.mkdir(parents=True, exist_ok=True)
    *others, last = (urls[0], *urls) if part.exists() else urls
    for url in others:
        if _sent(url, part, check):
            return
    download(last, part)
    _checked(part, check)


def _sent(url: str, part: Path, check: Check) -> bool:
    """Whether an address has sent what passes."""
    try:
        download(url, part)
        _checked(part, check)
    except (OSError, HTTPException):
        return False
    return True


def _checked(part: Path, check: Check) -> None:
    """Remove a download that does not pass, since it cannot be gone on with; OSError, as of a server that refuses."""
    try:
        check(part)
    except DataError as error:
        part.unlink()
        raise OSError(str(error)) from error


def _passes(check: Check, path: Path) -> bool:
    try:
        check(path)
    except (DataError, OSError):
        return False
    return True


def download(url: str, part: Path) -> None:
    """Fill a file, going on from what is there already, until it is whole.

    Raises OSError or HTTPException where the server refuses, or breaks off too often.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            if _continue(url, part):
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
