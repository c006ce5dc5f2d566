"""What a dataset's parts say of each other: are its splits apart, do the modalities of a tuple agree?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import torch

from ..modality import Modality
from .dataset import Dataset, Split
from .soundness import unsound

__all__ = ["check_apart", "check_pairing", "item_keys", "shared"]

MOST = 0.01
"""The share of test tuples that may be training tuples, too: a few photographs are in the world twice."""


def check_apart(data: Dataset) -> None:
    """Raises DataError where test tuples are training tuples, too."""
    count, total = shared(data), len(data.test)
    if count > MOST * total:
        raise unsound(
            "splits",
            f"{data.spec.name}: {count:,} of {total:,} test tuples are training tuples, too: keep the splits apart, a "
            "model would be tested on what it has learned",
        )


def check_pairing(data: Dataset) -> None:
    """Raises DataError where an image belongs to two classes, or a text says another class than its tuple's."""
    for part, split in {"training": data.train, data.split: data.test}.items():
        for modality in data.spec.modalities:
            fault = next(_faults(data, split, modality), "")
            if fault:
                raise unsound("pairing", f"{data.spec.name}, {part} tuples: {fault}")


def shared(data: Dataset) -> int:
    """How many test tuples are training tuples, too: their items are equal, byte for byte. Words that say the class do
    not count, all tuples share them."""
    names = [m.name for m in data.spec.modalities if not m.classes]
    return int(np.isin(_tuple_keys(data.test, names), _tuple_keys(data.train, names)).sum())


def item_keys(split: Split, name: str) -> np.ndarray:
    """A number for each distinct item of one modality, uint64 (n_m,): equal for equal bytes."""
    items = split.items[name].contiguous().cpu().numpy()
    digests = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in items]
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def _tuple_keys(split: Split, names: list[str]) -> np.ndarray:
    """The same for each tuple, uint64 (N,)."""
    found = np.zeros(len(split), dtype=np.uint64)
    for k, name in enumerate(split.names):
        if name in names:
            found = found * np.uint64(0x9E3779B97F4A7C15) + item_keys(split, name)[split.index[:, k].long().cpu()]
    return found


def _faults(data: Dataset, split: Split, modality: Modality) -> Iterator[str]:
    name, spec, labels = modality.name, data.spec, split.labels
    if labels is None or not spec.classes:
        return
    owner = split.item_labels(name)
    of_tuple = owner[split.index[:, split.names.index(name)].long()]
    torn = int((of_tuple != labels).sum())
    if torn and (modality.classes or not modality.is_text):
        yield f"an item of {name} stands in tuples of two classes ({torn:,} tuples): pair items of one class"
    for k in torch.unique(owner[owner >= 0]).tolist() if modality.classes else ():
        texts = torch.unique(split.items[name][owner == k], dim=0)
        said = [modality.text(tokens) for tokens in texts.tolist()]
        if said != [modality.classes[k]]:
            word = modality.classes[k]
            yield f"{name} says {said[0]!r} in tuples of class {k}, which is {word!r}: correct one of them"
