"""Tensor files: safetensors with a checksum inside, written whole or not at all, verified before they are believed;
and artefacts that hold tensors, made once.

No pickle. The checksum is SHA-256 over names, types, shapes and bytes of all tensors, and over the metadata.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .errors import DamagedError, ResultError, StorageError, TrainingError
from .progress import Progress
from .store.artefacts import Artefact
from .store.files import sweep, whole
from .store.provenance import versions
from .store.reading import readable, reading, unreadable

__all__ = ["Made", "checksum", "load_tensors", "once", "save_tensors", "spoiled"]

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


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file whole or not at all; StorageError where it cannot be written."""
    kept = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with whole(path) as temporary:
        try:
            save_file(kept, temporary, {**(metadata or {}), SHA: _seal(kept, metadata or {})})
        except SafetensorError as error:
            raise StorageError(f"cannot write {path}: {error}; free some space or choose another folder") from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a file that `save_tensors` wrote.

    Raises DamagedError where it is not what was written, UnreadableError where it may not be read, ResultError where
    it is missing.
    """
    if not readable(path):
        raise ResultError(f"{path} is missing: check the path")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise unreadable(path, error) from None
    except (SafetensorError, ValueError, RuntimeError, AttributeError, TypeError, OverflowError) as error:
        raise DamagedError(f"{path} is damaged ({error})") from None
    if metadata.pop(SHA, None) != _seal(tensors, metadata):
        raise DamagedError(f"{path} is damaged (its checksum does not agree)")
    return tensors, metadata


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

    One process makes it, the others wait. One that is damaged, or holds a NaN, is set aside and made again; a finished
    one is only read. Raises TrainingError where what is made holds a NaN, ResultError where it is not there and the
    command only reads.

    Arguments:
        make: gives tensors and facts; it may keep checkpoints in the artefact's folder.
        title: what is made, in print: 'judge of mnist'.
        clear: called when it was made and is whole on disk: the checkpoints may go.
        finite: names of tensors that may not hold an infinity either.
    """
    found = _found(artefact, progress, finite)
    if found is None and reading():
        raise ResultError(
            f"there is no finished {title} under {artefact.root}: give the --runs folder where it was made, or make it "
            "with `mmbench run`; this command changes nothing"
        )
    if found is None:
        with artefact.alone(lambda: progress.say(f"waiting for another process that makes the {title}")):
            found = _found(artefact, progress, finite) or _make(artefact, make, title, finite)
            clear()
    return found


def _found(artefact: Artefact, progress: Progress, finite: Container[str]) -> Made | None:
    card = artefact.card(progress.say)
    if card is None:
        return None
    try:
        if not readable(artefact.tensors):
            raise DamagedError(f"{artefact.folder} is damaged (its card is there and no {artefact.tensors.name})")
        tensors = load_tensors(artefact.tensors)[0]
        if bad := spoiled(tensors, finite):
            raise DamagedError(f"{artefact.tensors} holds numbers that are not finite ({bad})")
    except DamagedError as error:
        artefact.discard(str(error), progress.say)
        return None
    return tensors, card.facts


def _make(artefact: Artefact, make: Callable[[], Made], title: str, finite: Container[str]) -> Made:
    sweep(artefact.folder)
    started = time.monotonic()
    tensors, facts = make()
    if bad := spoiled(tensors, finite):
        raise TrainingError(
            f"{title}: {bad} is not finite and is not kept; lower the learning rate or look at the data"
        )
    save_tensors(artefact.tensors, tensors)
    artefact.finish(title, facts, time.monotonic() - started, versions("torch", "mmbench"))
    return tensors, facts


def _seal(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """The checksum of a file: of the metadata too, for a stage's record stands there."""
    sha = hashlib.sha256()
    for key in sorted(metadata):
        sha.update(f"{key}={metadata[key]}\n".encode())
    for name in sorted(tensors):
        sha.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}\n".encode())
        sha.update(_bytes(tensors[name]))
    return sha.hexdigest()


def _bytes(tensor: Tensor) -> Any:
    """The bytes of a tensor, not copied where it lies on the CPU."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
