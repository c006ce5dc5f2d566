"""Tensor files: safetensors with a checksum inside, written whole or not at all, verified before they are believed;
and artefacts that hold tensors, made once.

No pickle. The checksum is SHA-256 over names, types, shapes and bytes of all tensors, and over the metadata.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .config import digest
from .errors import DamagedError, ResultError, StorageError, TrainingError
from .progress import Progress, one_line
from .store.artefacts import Artefact
from .store.files import sweep, whole
from .store.provenance import versions
from .store.reading import readable, reading, unreadable

__all__ = ["Made", "checksum", "finished", "form", "keep", "kept", "load_tensors", "once", "save_tensors", "spoiled"]

Made = tuple[dict[str, Tensor], dict[str, Any]]
"""The tensors of an artefact, and facts about it (JSON data)."""

SHA = "sha256"
"""The checksum's place in a file's metadata."""


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the bytes of all tensors, in the order of their names."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(_bytes(tensors[name]))
    return sha.hexdigest()


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> str:
    """Write a safetensors file whole or not at all; StorageError where it cannot be written. Returns its checksum."""
    kept = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    seal = _seal(kept, metadata or {})
    with whole(path) as temporary:
        try:
            save_file(kept, temporary, {**(metadata or {}), SHA: seal})
        except SafetensorError as error:
            raise StorageError(f"cannot write {path}: {error}; free some space or choose another folder") from error
    return seal


def load_tensors(path: Path, noted: str | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a file that `save_tensors` wrote.

    Raises DamagedError where it is not what was written, or has another checksum than the one that was `noted`
    elsewhere; UnreadableError where it may not be read, ResultError where it is missing.
    """
    if not readable(path):
        raise ResultError(f"{path} is missing: check the path")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        said, seal = metadata.pop(SHA, None), _seal(tensors, metadata)
    except MemoryError:
        raise
    except OSError as error:
        raise unreadable(path, error) from None
    except Exception as error:  # of the file's format, of types that torch has not, of bytes that are no text
        raise DamagedError(f"{path} is damaged ({_line(error)})") from None
    if said != seal:
        raise DamagedError(f"{path} is damaged (its checksum does not agree)")
    if noted is not None and seal != noted:
        raise DamagedError(f"{path} is damaged (it is another file than was written)")
    return tensors, metadata


def form(tensors: Mapping[str, Tensor], said: Mapping[str, str], owner: str) -> str:
    """A hash of an owner's name, of texts, and of the tensors' names, types and shapes: what goes together in a file
    that no card speaks of."""
    return digest([owner, dict(said), {n: [str(t.dtype), list(t.shape)] for n, t in tensors.items()}], 16)


def spoiled(tensors: Mapping[str, Tensor], finite: Container[str] = ()) -> str:
    """The name of the first tensor that holds a NaN, or an infinity where its name is in `finite`; '' for none."""
    for name, tensor in tensors.items():
        bad = tensor.isnan() if name not in finite else ~tensor.isfinite()
        if bad.any():
            return name
    return ""


def once(
    artefact: Artefact,
    make: Callable[[], Made],
    title: str,
    progress: Progress,
    clear: Callable[[], None] = lambda: None,
    finite: Container[str] = (),
) -> Made:
    """The tensors and facts of an artefact: those on disk, or made, put there and returned.

    One process makes it, the others wait; who makes it sets aside what is damaged, or holds a NaN. A finished one is
    only read. Raises TrainingError where what is made holds a NaN, ResultError where it is not there, or damaged, and
    the command only reads.

    Arguments:
        make: gives tensors and facts; it may keep checkpoints in the artefact's folder.
        title: what is made, in print: 'judge of mnist'.
        clear: called when it was made and is whole on disk: the checkpoints may go.
        finite: names of tensors that may not hold an infinity either.
    """
    if reading():
        return _only_read(artefact, title, finite)
    with suppress(DamagedError):
        if found := finished(artefact, finite):
            return found
    with artefact.alone(lambda owner: progress.say(f"waiting for {owner}, which makes the {title}")):
        found = kept(artefact, progress.say, finite) or _make(artefact, make, title, progress.say, finite)
        clear()
    return found


def kept(artefact: Artefact, say: Callable[[str], None], finite: Container[str] = ()) -> Made | None:
    """The tensors and facts of an artefact; None where it is not finished, or is damaged: then it is set aside, with a
    sentence to `say`."""
    try:
        return finished(artefact, finite)
    except DamagedError as error:
        artefact.discard(str(error), say)
        return None


def finished(artefact: Artefact, finite: Container[str] = ()) -> Made | None:
    """The tensors and facts of an artefact; None where it is not finished. Raises DamagedError where the tensors are
    not those that the card speaks of, or not finite."""
    card = artefact.card()
    if card is None:
        return None
    if not readable(artefact.tensors):
        raise DamagedError(f"{artefact.folder} is damaged (its card is there and no {artefact.tensors.name})")
    if not card.seal:
        raise DamagedError(f"{artefact.folder} is of an earlier mmbench, which noted no checksum")
    tensors, _ = load_tensors(artefact.tensors, card.tensors)
    if bad := spoiled(tensors, finite):
        raise DamagedError(f"{artefact.tensors} holds numbers that are not finite ({bad})")
    return tensors, card.facts


def _only_read(artefact: Artefact, title: str, finite: Container[str]) -> Made:
    found = kept(artefact, lambda _: None, finite)
    if found is None:
        raise ResultError(
            f"there is no finished {title} under {artefact.root}: give the --runs folder where it was made, or make it "
            "with `mmbench run`; this command changes nothing"
        )
    return found


def _make(
    artefact: Artefact, make: Callable[[], Made], title: str, say: Callable[[str], None], finite: Container[str]
) -> Made:
    sweep(artefact.folder)
    artefact.make_way(say)
    started = time.monotonic()
    tensors, facts = make()
    if bad := spoiled(tensors, finite):
        raise TrainingError(
            f"{title}: {bad} is not finite and is not kept; lower the learning rate or look at the data"
        )
    keep(artefact, tensors, title, facts, time.monotonic() - started)
    return tensors, facts


def keep(
    artefact: Artefact, tensors: Mapping[str, Tensor], title: str, facts: Mapping[str, Any], seconds: float
) -> None:
    """Put the tensors of an artefact on disk, then its card, which notes their checksum."""
    seal = save_tensors(artefact.tensors, tensors)
    artefact.finish(title, facts, seconds, versions("torch", "mmbench"), seal)


def _seal(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """The checksum of a file: of the metadata too, for a stage's record stands there."""
    sha = hashlib.sha256()
    for key in sorted(metadata):
        sha.update(f"{key}={metadata[key]}\n".encode())
    for name in sorted(tensors):
        sha.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}\n".encode())
        sha.update(_bytes(tensors[name]))
    return sha.hexdigest()


def _line(error: Exception) -> str:
    """An error in some words of one line: a library may name whatever bytes it found."""
    return one_line(f"{error}" or type(error).__name__).encode(errors="replace").decode()[:200]


def _bytes(tensor: Tensor) -> Any:
    """The bytes of a tensor, not copied where it lies on the CPU."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
