"""Glyphs: the embedded dataset. Digits drawn from the fonts that matplotlib ships; needs no network.

Three modalities of one class: 'pen', a digit as if written with a pen (after MNIST); 'sign', a digit painted in two
colours, or, in `glyphs_street`, one of a street with clutter and neighbouring digits (after SVHN); 'name', its English
name letter by letter.

How a picture is drawn: FreeType renders every digit of every font once (`glyph_bank`), and each picture bends one of
them (`glyph_pictures`, `glyph_street`). One seed gives the same bytes on any machine with the same library versions.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..config import digest
from ..modality import DatasetSpec, Modality
from ..seeding import generator
from .cache import once
from .dataset import Dataset, DatasetSource, Split
from .glyph_bank import Array
from .glyph_pictures import pens, signs
from .glyph_street import street_signs

__all__ = ["NAMES", "SPEC", "STREET", "Glyphs", "GlyphsStreet", "draw"]

VERSION = 2
"""Raised when the drawing changes, so that no old cache is taken for the new dataset."""

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LETTERS = ("_", *sorted(set("".join(NAMES))))
"""The vocabulary of 'name': the padding, then the letters that the names need."""
LENGTH = max(map(len, NAMES))

CHUNK = 100
"""Tuples drawn at once, each chunk with a generator of its own; so few that a chunk stays in the processor's cache."""

SPLITS = ("train", "test")
COUNTS = (20_000, 5_000)
"""Tuples of each."""
PARTS = ("pen", "sign", "labels")
"""What is drawn of each split, and kept in the cache."""


def _spec(name: str, title: str, family: str, sign: Modality) -> DatasetSpec:
    """Weights: size of the sign over size of the modality, the rule behind the paper's 3.92 for MNIST."""
    return DatasetSpec(
        name=name,
        title=title,
        family=family,
        judge="lenet",
        modalities=(
            Modality(name="pen", shape=(1, 28, 28), network="mnist_mlp", latent=16, weight=round(sign.size / 784, 2)),
            sign,
            Modality(
                name="name",
                shape=(LENGTH,),
                network="word_mlp",
                latent=8,
                likelihood="categorical",
                weight=sign.size / LENGTH,
                vocabulary=LETTERS,
                classes=NAMES,
                separator="",
                unprinted=(0,),
            ),
        ),
        classes=len(NAMES),
        metrics=("coherence", "fmd"),
    )


SPEC = _spec("glyphs", "Glyphs", "glyphs", Modality(name="sign", shape=(3, 28, 28), network="mnist_mlp", latent=24))
STREET = _spec(
    "glyphs_street",
    "Glyphs (street)",
    "digits",
    Modality(name="sign", shape=(3, 32, 32), network="svhn_conv", latent=64),
)
Signs = Callable[[Array, torch.Generator], Array]
"""Labels (B,) and draws -> pictures."""
DRAWN: Mapping[str, Signs] = {SPEC.name: signs, STREET.name: street_signs}


class Glyphs(DatasetSource):
    """20,000 train and 5,000 test tuples, drawn in seconds and kept in the cache."""

    spec: ClassVar[DatasetSpec] = SPEC
    title: ClassVar[str] = SPEC.title
    summary: ClassVar[str] = "embedded: a digit as pen stroke, painted sign and word; drawn in seconds, no network"

    def load(self, root: Path, cache: Path) -> Dataset:
        path = cache / f"{self.spec.name}-{_key()}.safetensors"
        drawn, _ = once(path, lambda: (_draw_images(*COUNTS, seed=0, spec=self.spec), {}), self.say)
        return _assemble(drawn, self.spec)


class GlyphsStreet(Glyphs):
    """The same with the troubles of SVHN: convolutions, colours and clutter in which the class is a sliver."""

    spec = STREET
    title = STREET.title
    summary = "embedded: glyphs with signs as a street has them (colours, clutter, neighbours): harder, after SVHN"


def draw(train: int = 20_000, test: int = 5_000, seed: int = 0, spec: DatasetSpec = SPEC) -> Dataset:
    """The dataset with so many tuples. Classes are balanced; every tuple has a pen and a sign of its own."""
    return _assemble(_draw_images(train, test, seed, spec), spec)


def _assemble(drawn: Mapping[str, Tensor], spec: DatasetSpec) -> Dataset:
    train, test = (_split({k: drawn[f"{split}.{k}"] for k in PARTS}) for split in SPLITS)
    return Dataset(spec, train, test)


def _split(parts: Mapping[str, Tensor]) -> Split:
    labels = parts["labels"]
    own = torch.arange(len(labels), dtype=torch.int32)
    items = {"pen": parts["pen"], "sign": parts["sign"], "name": _names()}
    return Split(items, torch.stack([own, own, labels.int()], dim=1), labels)


def _names() -> Tensor:
    """The ten names as tokens, int64 (10, 5)."""
    return torch.tensor([[LETTERS.index(letter) for letter in name.ljust(LENGTH, "_")] for name in NAMES])


def _draw_images(train: int, test: int, seed: int, spec: DatasetSpec) -> dict[str, Tensor]:
    """'train.pen', 'train.sign', 'train.labels' and the same of 'test'."""
    drawn: dict[str, Tensor] = {}
    for split, count in zip(SPLITS, (train, test), strict=True):
        sizes = [min(CHUNK, count - start) for start in range(0, count, CHUNK)]
        draws = [generator(seed, "glyphs", split, k) for k in range(len(sizes))]
        chunks = [_draw_chunk(*each, DRAWN[spec.name]) for each in zip(sizes, draws, strict=True)]
        for part, tensors in zip(PARTS, zip(*chunks, strict=True), strict=True):
            drawn[f"{split}.{part}"] = torch.from_numpy(np.concatenate(tensors))
    return drawn


def _draw_chunk(count: int, draws: torch.Generator, painted: Signs) -> tuple[Array, Array, Array]:
    """Pens (B, 1, 28, 28), signs (B, 3, H, W) and their labels (B,)."""
    labels = torch.randperm(count, generator=draws).numpy() % len(NAMES)
    return pens(labels, draws), painted(labels, draws), labels


def _key() -> str:
    """What the bytes depend on: the drawing's version and the libraries'."""
    from PIL import features

    packages = {name: importlib.metadata.version(name) for name in ("matplotlib", "numpy", "pillow", "scipy", "torch")}
    return digest({"version": VERSION, "freetype": features.version("freetype2"), **packages})
