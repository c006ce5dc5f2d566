"""Folders that several people share: files follow the umask, and what may not be read is neither absent nor damaged."""

from __future__ import annotations

import encodings.cp437  # noqa: F401, what zipfile imports late
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmbench import store
from mmbench.cells.export import export, exported
from mmbench.data.cache import once as cached
from mmbench.errors import MmbenchError
from mmbench.modality import Modality
from mmbench.progress import Progress
from mmbench.store.artefacts import Artefacts
from mmbench.store.inventory import inventory, note_results, removable
from mmbench.tensors import once
from mmbench.training import Checkpoints

from ..cells import cell
from ..colleague import as_colleague, contents, in_a_process, open_folder

PEN = Modality(name="pen", shape=(1, 4, 4), network="own", latent=2)


@pytest.fixture
def shared() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


def fill(folder: Path) -> None:
    """One file of each kind."""
    store.write(folder / "results", cell())
    store.write_samples(folder / "runs/samples/a.npz", {"joint/target/pen": np.zeros((1, 1, 4, 4))})
    judge = Artefacts(folder / "runs/artefacts").of("judge", {"seed": 0})
    once(judge, lambda: ({"x": torch.ones(1)}, {}), "judge", Progress())
    Checkpoints(folder / "runs/artefacts/stage/0123", print).save({"x": torch.ones(1)}, {"step": 3})
    cached(folder / "runs/cache/glyphs.safetensors", lambda: ({"x": torch.ones(1)}, {}), print)
    export(folder / "runs/exported", {PEN: torch.zeros(2, 1, 4, 4)}, "key")
    note_results(folder / "runs", folder / "results")


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o027, 0o077])
def test_files_and_folders_follow_the_umask(shared: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        fill(shared)
    finally:
        os.umask(before)
    files = [path for path in shared.rglob("*") if path.is_file() and "locks" not in path.parts]
    folders = [path for path in shared.rglob("*") if path.is_dir()]
    assert len(files) >= 10
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in files} == {oct(0o666 & ~umask)}
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in folders} == {oct(0o777 & ~umask)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder to another group")
def test_the_group_of_a_shared_folder_is_that_of_what_is_made_in_it(shared: Path) -> None:
    os.chown(shared, 0, 4321)
    shared.chmod(0o2775)
    before = os.umask(0o002)
    try:
        fill(shared)
        fill(shared)  # and of what is written anew
    finally:
        os.umask(before)
    for path in shared.rglob("*"):
        assert path.stat().st_gid == 4321, path
        assert bool(path.stat().st_mode & stat.S_ISGID) == path.is_dir(), path


def test_the_umask_is_never_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the process's: another thread would write files that everybody may change meanwhile."""
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the umask was changed"))
    fill(tmp_path)


def look(here: Path) -> dict[str, Any]:
    """Everything that `fill` made, read: what could not be, by the kind of error and its sentence; and how often
    something was made anew."""
    made: list[Any] = []

    def make() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        made.append(1)
        return {"x": torch.zeros(1)}, {}

    def said(call: Callable[[], Any]) -> Any:
        try:
            found = call()
        except MmbenchError as error:
            return [type(error).__name__, str(error)]
        return found if isinstance(found, list) else None

    key = store.CellKey.of(cell())
    judge = Artefacts(here / "runs/artefacts").of("judge", {"seed": 0})
    work: dict[str, Callable[[], Any]] = {
        "cell": lambda: store.existing(here / "results", key),
        "cells": lambda: [bad.reason for bad in store.gather(here / "results").bad],
        "judge": lambda: once(judge, make, "judge", Progress()),
        "samples": lambda: store.read_samples(here / "runs/samples/a.npz"),
        "checkpoint": lambda: Checkpoints(here / "runs/artefacts/stage/0123", made.append).load(lambda *_: ""),
        "dataset": lambda: cached(here / "runs/cache/glyphs.safetensors", make, print),
        "pictures": lambda: exported(here / "runs/exported", [PEN], "key"),
        "known": lambda: note_results(here / "runs", here / "results"),
    }
    return {name: said(call) for name, call in work.items()} | {"made": len(made)}


KINDS = {
    "cell": "results/mnist_svhn/mvae/paper-ab12cd34ef/seed-0.json",
    "judge": "runs/artefacts/judge/*/tensors.safetensors",
    "samples": "runs/samples/a.npz",
    "checkpoint": "runs/artefacts/stage/0123/training.safetensors",
    "dataset": "runs/cache/glyphs.safetensors",
    "pictures": "runs/exported/pen/00001.png",
    "known": "runs/results.txt",
}


@pytest.fixture(scope="module")
def closed() -> Iterator[Path]:
    """A folder in which a colleague may write and may not read what is there."""
    with open_folder() as folder:
        before = os.umask(0)
        try:
            fill(folder)
        finally:
            os.umask(before)
        yield folder


def closing(folder: Path, mode: int) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)


def test_what_a_colleague_may_read_is_read(closed: Path) -> None:
    closing(closed, 0o444)
    found = as_colleague(lambda: look(closed))
    assert found == {"made": 0, **dict.fromkeys(found.keys() - {"made", "cells"}), "cells": []}


def test_what_may_not_be_read_is_one_sentence_and_stays(closed: Path) -> None:
    closing(closed, 0o000)
    before = contents(closed)
    found = as_colleague(lambda: look(closed))
    closing(closed, 0o600)
    assert found.pop("made") == 0
    (reason,) = found.pop("cells")
    assert "seed-0.json cannot be read (Permission denied)" in reason
    for kind, place in KINDS.items():
        name, sentence = found[kind]
        assert name == "UnreadableError", kind
        (path,) = closed.glob(place)
        place = str(path.with_name("card.json")) if kind == "judge" else str(path)
        place = place.replace("00001", "artefact").replace("pen/artefact.png", "artefact.txt")
        assert sentence == f"{place} cannot be read (Permission denied): check the path and its permissions"
    after = contents(closed)
    assert {name: sha for name, (sha, *_) in after.items()} == {name: sha for name, (sha, *_) in before.items()}


@pytest.mark.parametrize("kind", ["judge", "pictures"])
def test_one_file_that_may_not_be_read_is_named(closed: Path, kind: str) -> None:
    closing(closed, 0o644)
    (path,) = closed.glob(KINDS[kind])
    path.chmod(0o000)
    found = as_colleague(lambda: look(closed))
    path.chmod(0o644)
    assert found["made"] == 0
    assert found[kind][1].startswith(f"{path} cannot be read (Permission denied)")


@pytest.mark.parametrize("place", ["results", "results/mnist_svhn/mvae", "runs/artefacts/judge", "runs/samples"])
def test_a_closed_folder_is_not_an_empty_one(closed: Path, place: str) -> None:
    closing(closed, 0o644)
    (closed / place).chmod(0o000)
    found = as_colleague(lambda: look(closed))
    (closed / place).chmod(0o777)
    kind = {"results": "cell", "runs/artefacts/judge": "judge", "runs/samples": "samples"}.get(place, "cell")
    assert found["made"] == 0
    assert found[kind][0] == "UnreadableError"
    assert place in found[kind][1]
    if place.startswith("results"):
        assert [reason.startswith(f"{closed / place} cannot be read") for reason in found["cells"]] == [True]


VERBS = """
import json, sys
from typer.testing import CliRunner
from mmbench.cli import app
warm = [CliRunner().invoke(app, [*line.split(), "--results", "none", "--runs", "none"]) for line in sys.argv[1:]]
from mmbench.report import render
from mmbench.store import gather, provenance
provenance.commit()
become()
done = [CliRunner().invoke(app, line.split()) for line in sys.argv[1:]]
print(json.dumps([[d.exit_code, d.stdout, d.stderr, str(d.exception or ""), type(d.exception).__name__] for d in done]))
"""


def test_no_verb_moves_or_removes_what_may_not_be_read(closed: Path) -> None:
    closing(closed, 0o000)
    lines = ("doctor --set-aside", "cache list", "cache clear --unfinished", "report", "cache clear --all")
    found = in_a_process(VERBS, *lines, cwd=closed, home=closed)
    closing(closed, 0o644)
    assert all(code == 1 for code, *_ in found[:4])
    assert all(kind in ("SystemExit", "ResultError", "UnreadableError", "NoneType") for *_, kind in found)
    for code, out, err, exception, _ in found[:4]:
        assert "cannot be read" in out + err + exception or "is not known" in exception, (code, out, err, exception)
    for place in KINDS.values():
        assert list(closed.glob(place)), place
    assert not list(closed.rglob("*.damaged-*"))


def test_an_artefact_that_may_not_be_read_is_not_taken_for_an_unfinished_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    (tmp_path / "runs/artefacts/stage/0123/card.json").touch()
    open_file = Path.open

    def refusing(path: Path, *arguments: object, **more: object) -> object:
        if path.name == "card.json":
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "open", refusing)
    found = inventory(tmp_path / "runs", [tmp_path / "results"])
    assert {entry.kind: bool(entry.unreadable) for entry in found.entries} == {"judge": True, "stage": True}
    assert removable(found, unfinished=True, everything=True) == []
