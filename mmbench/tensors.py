"""Files of tensors: written whole or not at all, and checked when read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .errors import ResultError, StorageError

__all__ = ["load_tensors", "save_tensors"]


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file whole or not at all; StorageError where it cannot be written."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = {n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}
        save_file(stored, temporary, {**(metadata or {}), "checksum": _checksum(stored)})
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise StorageError(f"cannot write {path}: {error}; free some space or choose another --runs folder") from error
    finally:
        with suppress(OSError):  # of a folder that is none
            temporary.unlink(missing_ok=True)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file; ResultError where it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise ResultError(f"{path} is damaged ({error}); delete it to train afresh") from error
    if metadata.pop("checksum", None) != _checksum(tensors):
        raise ResultError(f"{path} is damaged (wrong checksum); delete it to train afresh")
    return tensors, metadata


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(name.encode())
        sha.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
