"""Tensor files and artefacts: whole, verified, shared, and never believed when damaged."""

import os
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from mmbench.errors import DamagedError, ResultError, StorageError, TrainingError
from mmbench.progress import Progress
from mmbench.store.artefacts import Artefact, Artefacts
from mmbench.tensors import load_tensors, once, save_tensors

from .forged import forge

TENSORS = {
    "a": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "low": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "truth": torch.tensor([True, False]),
    "step": torch.tensor(7),
    "none": torch.empty(0, 3),
    "turned": torch.arange(6).reshape(2, 3).T,
}


def test_tensors_come_back_with_their_metadata(tmp_path):
    path = tmp_path / "deep" / "file.safetensors"
    save_tensors(path, TENSORS, {"state": "ok"})
    found, metadata = load_tensors(path)
    assert metadata == {"state": "ok"}
    assert set(found) == set(TENSORS)
    assert all(torch.equal(found[n], t) and found[n].dtype == t.dtype for n, t in TENSORS.items())
    assert [p.name for p in path.parent.iterdir()] == ["file.safetensors"], "no temporary file is left"
    with safe_open(path, "pt") as file:
        assert set(file.keys()) == set(TENSORS), "any other tool can read it"


def test_every_flipped_byte_is_noticed(tmp_path):
    """In the header, the metadata, the tensors and the checksum itself."""
    path = tmp_path / "file.safetensors"
    save_tensors(path, TENSORS, {"state": "ok"})
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        try:
            found, metadata = load_tensors(path)
        except DamagedError:
            continue
        same = all(torch.equal(found[n], t) for n, t in TENSORS.items()) and metadata == {"state": "ok"}
        assert same, f"byte {position} was believed"


@pytest.mark.parametrize("content", [b"", b"12345678", b"\x00" * 99, b"\xff" * 16, b"{}"])
def test_what_is_no_tensor_file_is_damaged(tmp_path, content):
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"file\.safetensors is damaged"):
        load_tensors(path)


def test_a_truncated_file_is_damaged(tmp_path):
    path = tmp_path / "file.safetensors"
    save_tensors(path, TENSORS)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedError):
        load_tensors(path)


def test_a_missing_file_is_not_a_damaged_one(tmp_path):
    with pytest.raises(ResultError) as caught:
        load_tensors(tmp_path / "nothing.safetensors")
    assert not isinstance(caught.value, DamagedError)


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_permissions_are_those_of_the_users_other_files(tmp_path, umask):
    before = os.umask(umask)
    try:
        save_tensors(tmp_path / "tensors", TENSORS)
        (tmp_path / "other").touch()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "tensors").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_bytes_reach_the_disk_before_the_name(tmp_path, monkeypatch):
    """A machine that loses power finds the old file or the new one: it is synchronised before it is renamed."""
    events = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("fsync"), sync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("replace"), replace(a, b))[1])
    save_tensors(tmp_path / "tensors", TENSORS)
    assert events == ["fsync", "replace"]


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "tensors"
    save_tensors(path, {"a": torch.ones(3)})
    before = path.read_bytes()

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"the disk of .* is full"):
        save_tensors(path, {"a": torch.zeros(3)})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["tensors"]


class Telling(Progress):
    def __init__(self):
        self.said = []

    def say(self, message):
        self.said.append(message)


def made(store: Artefacts, identity: dict, progress: Progress | None = None) -> tuple[float, int]:
    """The value of an artefact, and how often it was made for that."""
    calls = []

    def make():
        calls.append(1)
        return {"x": torch.tensor([float(identity["seed"])])}, {"n": 1}

    tensors, facts = once(store.of("judge", identity), make, "judge of x", progress or Progress())
    assert facts == {"n": 1}
    return float(tensors["x"]), len(calls)


def test_an_artefact_is_made_once_for_each_identity(tmp_path):
    store = Artefacts(tmp_path)
    assert [made(store, {"seed": s}) for s in (0, 0, 1, 0)] == [(0.0, 1), (0.0, 0), (1.0, 1), (0.0, 0)]
    keys = {path.name for path in (tmp_path / "judge").iterdir()}
    assert keys == {store.of("judge", {"seed": s}).key for s in (0, 1)}
    assert store.of("judge", {"seed": 0}).key != store.of("judge", {"seed": 0, "code": "1"}).key


@pytest.mark.parametrize("name", ["card.json", "tensors.safetensors"])
def test_a_damaged_artefact_is_set_aside_and_made_again(tmp_path, name):
    store, told = Artefacts(tmp_path), Telling()
    made(store, {"seed": 3})
    path: Path = store.of("judge", {"seed": 3}).folder / name
    path.write_bytes(path.read_bytes()[:-3])
    assert made(store, {"seed": 3}, told) == (3.0, 1)
    (said,) = told.said
    assert "is damaged" in said
    assert "set aside as" in said
    assert len(list((tmp_path / "judge").glob("*.damaged-1"))) == 1
    assert made(store, {"seed": 3}) == (3.0, 0)


def test_a_card_in_anothers_folder_is_not_believed(tmp_path):
    store = Artefacts(tmp_path)
    made(store, {"seed": 1})
    one, two = (store.of("judge", {"seed": s}).folder for s in (1, 2))
    one.rename(two)
    assert made(store, {"seed": 2}) == (2.0, 1)


def test_a_finished_artefact_is_only_read(tmp_path):
    store = Artefacts(tmp_path)
    made(store, {"seed": 1})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    made(store, {"seed": 1})
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_what_a_killed_process_left_half_written_goes_when_the_artefact_is_made(tmp_path):
    artefact = Artefacts(tmp_path).of("judge", {"seed": 0})
    artefact.folder.mkdir(parents=True)
    left = [artefact.folder / f".{name}.0123abcd.tmp" for name in ("tensors.safetensors", "training.safetensors")]
    for path in left:
        path.write_bytes(b"half")
    (artefact.folder / "training.safetensors").write_bytes(b"a checkpoint")
    once(artefact, lambda: ({"a": torch.ones(2)}, {}), "judge", Progress())
    names = {path.name for path in artefact.folder.iterdir()}
    assert names == {"card.json", "tensors.safetensors", "training.safetensors"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_neither_kept_nor_believed(tmp_path, value):
    artefact, bad = Artefacts(tmp_path).of("judge", {"seed": 0}), {"a": torch.tensor([1.0, value])}
    with pytest.raises(TrainingError, match="judge: a is not finite"):
        once(artefact, lambda: (bad, {}), "judge", Progress(), finite={"a"})
    assert not list(tmp_path.rglob("*.safetensors"))
    once(artefact, lambda: ({"a": torch.ones(2)}, {}), "judge", Progress())
    forge(artefact.folder, lambda _: bad)
    found, _ = once(artefact, lambda: ({"a": torch.zeros(2)}, {}), "judge", Progress(), finite={"a"})
    assert found["a"].tolist() == [0, 0], "made again"
    assert len(list(tmp_path.glob("judge/*.damaged-1"))) == 1


def test_a_whole_file_of_another_artefact_is_not_believed(tmp_path):
    store, told = Artefacts(tmp_path), Telling()
    for seed in (1, 2):
        made(store, {"seed": seed})
    one, two = (store.of("judge", {"seed": seed}) for seed in (1, 2))
    one.tensors.write_bytes(two.tensors.read_bytes())
    assert made(store, {"seed": 1}, told) == (1.0, 1)
    assert "another file than was written" in told.said[0]
    (aside,) = tmp_path.glob("judge/*.damaged-1")
    assert (aside / one.tensors.name).read_bytes() == two.tensors.read_bytes()


def test_a_card_whose_facts_were_changed_is_not_believed(tmp_path):
    made(Artefacts(tmp_path), {"seed": 1})
    (card,) = tmp_path.glob("judge/*/card.json")
    card.write_text(card.read_text().replace('"n": 1', '"n": 2'))
    assert made(Artefacts(tmp_path), {"seed": 1}) == (1.0, 1)


@pytest.mark.parametrize("name", ["card.json", "tensors.safetensors"])
@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("kind", ["pipe", "folder", "link to itself"])
def test_what_is_no_file_is_set_aside(tmp_path, name, finished, kind):
    """A pipe that is opened to be read waits for a writer, for ever; one that is opened to be written, for a reader."""
    store, told = Artefacts(tmp_path), Telling()
    made(store, {"seed": 3})
    folder = store.of("judge", {"seed": 3}).folder
    (folder / name).unlink()
    if not finished:
        (folder / "card.json").unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(folder / name)
    elif kind == "folder":
        (folder / name).mkdir()
        (folder / name / "notes.txt").write_text("mine")
    else:
        (folder / name).symlink_to(folder / name)
    assert made(store, {"seed": 3}, told) == (3.0, 1)
    assert len(told.said) == 1
    assert "set aside" in told.said[0]
    assert len(list(tmp_path.rglob("notes.txt"))) == (kind == "folder"), "nothing is lost"
    assert made(store, {"seed": 3}) == (3.0, 0)


def test_a_card_without_tensors_is_a_damaged_artefact(tmp_path):
    made(Artefacts(tmp_path), {"seed": 3})
    Artefacts(tmp_path).of("judge", {"seed": 3}).tensors.unlink()
    assert made(Artefacts(tmp_path), {"seed": 3}) == (3.0, 1)


def test_only_who_makes_it_sets_aside(tmp_path, monkeypatch):
    """Another process may have made it again in the meantime: what it made is not set aside for what was before."""
    store, told = Artefacts(tmp_path), Telling()
    made(store, {"seed": 3})
    artefact = store.of("judge", {"seed": 3})
    whole = artefact.tensors.read_bytes()
    artefact.tensors.write_bytes(whole[:-1])

    @contextmanager
    def mended(self, say=None):
        artefact.tensors.write_bytes(whole)
        yield

    monkeypatch.setattr(Artefact, "alone", mended)
    assert made(store, {"seed": 3}, told) == (3.0, 0)
    assert told.said == []
    assert not list(tmp_path.rglob("*.damaged-*"))
