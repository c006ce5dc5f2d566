"""Downloads: resumed, checked, and over nothing of a user's."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar
from urllib.error import URLError

import pytest

from mmbench.data import downloads
from mmbench.data.archives import unpack
from mmbench.data.downloads import Fetch, download, downloading, of_md5
from mmbench.errors import DataError, StorageError


@pytest.mark.parametrize("error", [URLError("no route"), RuntimeError("Error:\nTried a\nTried b"), TimeoutError()])
def test_a_failed_download_is_one_sentence(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(DataError) as caught, downloading("tiny", tmp_path):
        raise error
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"tiny could not be downloaded to {tmp_path}: ")


def test_a_root_that_cannot_be_made_is_no_fault_of_the_network(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    for root in (tmp_path / "x", tmp_path / "x" / "y"):
        with pytest.raises(StorageError, match="is a file in the way: move it"), downloading("d", root):
            pytest.fail("it was begun")
    assert (tmp_path / "x").read_text() == "mine"


def test_downloads_have_a_timeout_of_their_own(tmp_path: Path) -> None:
    before = socket.getdefaulttimeout()
    with downloading("tiny", tmp_path / "new"):
        assert socket.getdefaulttimeout() == downloads.TIMEOUT
    assert socket.getdefaulttimeout() == before
    assert (tmp_path / "new").is_dir()


# --- downloads of our own ------------------------------------------------------------------------------------------

CONTENT = bytes(range(256)) * 400
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Sends CONTENT, and drops the connection after `limit` bytes as often as `drops` says."""

    drops: ClassVar[int] = 0
    limit: ClassVar[int] = 0
    ranges: ClassVar[bool] = True
    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if self.path != "/file":
            self.send_error(404)
            return
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        end = start + self.limit if self.drops else len(CONTENT)
        type(self).drops = max(0, self.drops - 1)
        self.wfile.write(CONTENT[start:end])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Server.drops, Server.limit, Server.ranges, Server.asked = 0, 30_000, True, []
    server = HTTPServer(("127.0.0.1", 0), Server)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/file"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_goes_on_where_the_connection_broke(url: str, tmp_path: Path) -> None:
    Server.drops = 2
    Fetch().bring([url], tmp_path / "new" / "file", of_md5(MD5))
    assert (tmp_path / "new" / "file").read_bytes() == CONTENT
    assert Server.asked == [None, "bytes=30000-", "bytes=60000-"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_the_next_call_goes_on_where_one_gave_up(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "ATTEMPTS", 1)
    Server.drops = 1
    with pytest.raises(OSError, match=r"broke off 1 times; the next call goes on from file.mmbench-part"):
        Fetch().bring([url], tmp_path / "file", of_md5(MD5))
    assert (tmp_path / "file.mmbench-part").read_bytes() == CONTENT[:30_000]
    assert not (tmp_path / "file").exists()
    Fetch().bring([url], tmp_path / "file", of_md5(MD5))
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert Server.asked == [None, "bytes=30000-"]


def test_a_server_without_ranges_sends_all_again(url: str, tmp_path: Path) -> None:
    Server.ranges = False
    (tmp_path / "file").write_bytes(b"x" * 50)
    download(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("rest", [b"", b"of another, longer file"])
def test_a_part_that_is_whole_already_or_too_long(url: str, tmp_path: Path, rest: bytes) -> None:
    (tmp_path / "file").write_bytes(CONTENT + rest)
    download(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_that_refuses_is_asked_once(url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"d could not be downloaded to .*404"), downloading("d", tmp_path):
        download(url.replace("file", "nothing"), tmp_path / "file")
    assert len(Server.asked) == 1


def write_archive(path: Path, names: tuple[str, ...], link: str = "") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
        if link:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    return path


def test_one_folder_of_an_archive_is_unpacked(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "a.tgz", ("x/in/a/1", "x/in/2", "x/other/3"), link="x/in/link")
    assert unpack(archive, tmp_path / "out", "in", Fetch()) == 2
    files = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if not p.is_dir()}
    assert files == {"in/a/1", "in/2"}


def test_nothing_is_unpacked_outside_the_folder(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "a.tgz", ("in/../../stray",))
    with pytest.raises(DataError, match="is not a whole archive"):
        unpack(archive, tmp_path / "out", "in", Fetch())
    assert not (tmp_path / "stray").exists()


def test_a_cut_archive_is_told_of(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "a.tgz", ("in/1", "in/2"))
    archive.write_bytes(archive.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"a\.tgz is not a whole archive"):
        unpack(archive, tmp_path / "out", "in", Fetch())
