"""What lies on disk and is not what was written: artefacts, checkpoints, sample files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .. import store
from ..errors import ResultError, UnreadableError
from ..store.artefacts import CARD, TENSORS, Artefacts, read_card
from ..tensors import load_tensors

__all__ = ["damaged"]


def damaged(runs: Path) -> Iterator[str]:
    """A sentence for each card, tensor file and sample file that is not what was written."""
    try:
        for folder in Artefacts(runs / "artefacts").places():
            yield from _wrong_with(folder)
    except UnreadableError as error:
        yield str(error)
    for path in sorted((runs / "samples").rglob("*.npz")):
        try:
            store.read_samples(path)
        except ResultError as error:
            yield str(error)


def _wrong_with(folder: Path) -> Iterator[str]:
    """What is wrong with an artefact, or with the checkpoints of an unfinished one."""
    try:
        files = [path for path in store.children(folder) if path.suffix == ".safetensors"]
    except UnreadableError as error:
        yield str(error)
        return
    seal = None
    try:
        card = read_card(folder / CARD)
        seal = card.tensors or None if card else None
        if card and not store.there(folder / TENSORS):
            yield f"{folder} is damaged (its card is there and no {TENSORS})"
    except ResultError as error:
        yield str(error)
    for path in files:
        try:
            load_tensors(path, seal if path.name == TENSORS else None)
        except ResultError as error:
            yield str(error)
