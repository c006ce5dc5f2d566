"""Two tiny datasets in memory, drawn in milliseconds: what the conformance suite runs a model on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..data.dataset import Dataset, Split
from ..modality import DatasetSpec, Modality
from ..seeding import generator

__all__ = ["TUPLES", "toys"]

TUPLES = 64
"""Tuples of a toy's training set, and one batch; the test set has half as many."""


def toys() -> tuple[Dataset, Dataset]:
    """Two images of different shape; and two images with a text. A class of four is the factor they share."""
    spot = Modality(name="spot", shape=(1, 8, 8), network="mnist_mlp", latent=4)
    flag = Modality(name="flag", shape=(3, 16, 16), network="mnist_mlp", latent=6)
    word = Modality(
        name="word", shape=(4,), network="word_mlp", latent=5, likelihood="categorical", vocabulary=tuple("abcdefgh")
    )
    return _toy("toy2", (spot, flag)), _toy("toy3", (spot, flag, word))


def _toy(name: str, modalities: tuple[Modality, ...], classes: int = 4) -> Dataset:
    spec = DatasetSpec(
        name=name, title=f"the toy of {len(modalities)} modalities", modalities=modalities, classes=classes
    )
    rng = generator(0, name)
    prototypes = {m.name: torch.rand((classes, *m.shape), generator=rng) for m in modalities}
    train, test = (_toy_split(spec, prototypes, n, rng) for n in (TUPLES, TUPLES // 2))
    return Dataset(spec, train, test)


def _toy_split(spec: DatasetSpec, prototypes: Mapping[str, Tensor], n: int, rng: torch.Generator) -> Split:
    """Noisy copies of the class's prototype image, and the class's word; row k of the index shuffles the items."""
    labels = torch.arange(n) % spec.classes
    items, columns = {}, []
    for m in spec.modalities:
        order = torch.randperm(n, generator=rng)
        clean = prototypes[m.name][labels[order]]
        if m.is_text:
            items[m.name] = (clean * len(m.vocabulary)).to(torch.int16)
        else:
            noise = torch.rand(clean.shape, generator=rng)
            items[m.name] = ((0.8 * clean + 0.2 * noise) * 255).to(torch.uint8)
        columns.append(order.argsort())
    return Split(items, torch.stack(columns, 1), labels)
