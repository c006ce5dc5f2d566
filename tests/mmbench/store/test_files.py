"""Writing where one is told: links stay, devices and pipes are written in place, folders are refused beforehand."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mmbench.errors import StorageError
from mmbench.store import check_file, check_folder, write_text


def test_a_link_stays_and_its_target_is_written_in_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    target, first, second = tmp_path / "far" / "t.md", tmp_path / "near" / "a", tmp_path / "near" / "b"
    target.write_text("old")
    first.symlink_to(target)
    second.symlink_to("a")
    write_text(second, "new")
    assert target.read_text() == "new"
    assert first.is_symlink()
    assert second.is_symlink()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "far", "near", "t.md"]


def test_a_link_to_nothing_makes_its_target(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "new" / "t.md")
    check_file(link)
    write_text(link, "text")
    assert link.is_symlink()
    assert (tmp_path / "new" / "t.md").read_text() == "text"


def test_permissions_stay_and_other_names_keep_the_old_content(tmp_path: Path) -> None:
    path, other = tmp_path / "t.md", tmp_path / "other"
    path.write_text("old")
    path.chmod(0o640)
    os.link(path, other)
    write_text(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert (path.read_text(), other.read_text()) == ("new", "old")


def test_a_file_that_may_only_be_read_stays_so(tmp_path: Path) -> None:
    path = tmp_path / "t.md"
    path.write_text("old")
    path.chmod(0o444)
    write_text(path, "new")
    assert (stat.S_IMODE(path.stat().st_mode), path.read_text()) == (0o444, "new")


@pytest.mark.parametrize("size", [5, 1_000_000])
def test_a_pipe_is_written_in_place(tmp_path: Path, size: int) -> None:
    pipe, heard = tmp_path / "pipe", []
    os.mkfifo(pipe)
    check_file(pipe)
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()), daemon=True)
    reader.start()
    write_text(pipe, "x" * size)
    assert pipe.is_fifo(), "a file stands where the pipe was"
    reader.join(10)
    assert heard == ["x" * size]
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_reader_that_goes_away_is_an_orderly_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def hear_little() -> None:
        with pipe.open("rb") as file:
            file.read(1)

    reader = threading.Thread(target=hear_little, daemon=True)
    reader.start()
    write_text(pipe, "x" * 5_000_000)
    assert pipe.is_fifo()
    reader.join(10)
    assert not reader.is_alive()


def test_a_device_behind_a_link_is_written_in_place(tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        link = tmp_path / "screen"
        link.symlink_to(os.ttyname(slave))
        check_file(link)
        write_text(link, "text")
        assert os.read(master, 100) == b"text"
        assert link.is_symlink()
        assert link.is_char_device()
    finally:
        os.close(master)
        os.close(slave)


def test_what_the_process_holds_open_is_appended_to(tmp_path: Path) -> None:
    """`--out /dev/stdout >> log` adds to the log; a rename would leave the shell writing into a file without a name."""
    log = tmp_path / "log"
    log.write_text("before\n")
    code = "from pathlib import Path; from mmbench.store import write_text; write_text(Path('/proc/self/fd/1'), 'x\\n')"
    with log.open("a") as file:
        inode = os.fstat(file.fileno()).st_ino
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True, timeout=120)
    assert log.read_text() == "before\nx\n"
    assert log.stat().st_ino == inode


def test_a_socket_is_refused_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        with pytest.raises(StorageError, match="is a socket"):
            check_file(Path("s"))
        with pytest.raises(StorageError):
            write_text(Path("s"), "text")
        assert Path("s").is_socket()


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (".", "is a folder: name a file in it"),
        ("folder", "is a folder"),
        ("to-folder", "is a folder"),
        ("file/below", "file is a file in the way"),
        ("file/far/below", "file is a file in the way"),
        ("to-file/below", "file is a file in the way"),
        ("loop", "[Tt]oo many levels of symbolic links"),
        ("x" * 300, "File name too long"),
    ],
)
def test_where_no_file_can_be_written_is_one_sentence_beforehand(tmp_path: Path, typed: str, says: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "to-folder").symlink_to("folder")
    (tmp_path / "to-file").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(StorageError, match=says) as caught:
        check_file(tmp_path / typed)
    assert "\n" not in str(caught.value)
    with pytest.raises(StorageError) as caught:
        write_text(tmp_path / typed, "text")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_new_folder_is_not_made_before_the_work(tmp_path: Path) -> None:
    check_file(tmp_path / "a" / "b" / "c.md")
    check_folder(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").write_text("")
    with pytest.raises(StorageError, match="a file in the way"):
        check_folder(tmp_path / "a")


def test_a_place_that_permits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # permission bits do not bite where tests run as root
    with pytest.raises(StorageError, match="does not permit it"):
        check_file(tmp_path / "a.md")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="does not permit"):
        check_file(tmp_path / "pipe")


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 120 + ".md")  # 243 of 255 bytes: the temporary file beside it must not be longer
    write_text(path, "text")
    assert path.read_text() == "text"
