"""Small datasets, labelled (two image modalities and one text) or captioned, and judges with known answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmbench.config import Protocol, Schedule
from mmbench.data.dataset import Dataset, Split
from mmbench.metric import Bench
from mmbench.modality import DatasetSpec, Modality
from mmbench.progress import Progress
from mmbench.store import Artefacts
from mmbench_evaluation.classifiers import Judge

WORDS = ("one", "two", "six")
LETTERS = ("", *sorted(set("".join(WORDS))))
MODALITIES = (
    Modality(name="grey", shape=(1, 16, 16), network="mnist_mlp", latent=4),
    Modality(name="colour", shape=(3, 18, 16), network="mnist_mlp", latent=4),
    Modality(
        name="word", shape=(4,), network="word_mlp", latent=4, likelihood="categorical",
        vocabulary=LETTERS, classes=WORDS, separator="", unprinted=(0,),
    ),
)  # fmt: skip


def spell(word: str) -> list[int]:
    return [LETTERS.index(letter) for letter in word] + [0] * (4 - len(word))


def draw_split(count: int, seed: int) -> Split:
    """Class k has its k-th third of the rows bright; two tuples per item, sorted by class."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    items = {}
    for modality in MODALITIES[:2]:
        images = torch.randint(0, 100, (count, *modality.shape), generator=rng, dtype=torch.uint8)
        for k in range(3):
            images[labels == k, :, 5 * k : 5 * k + 5] += 120
        items[modality.name] = images
    items["word"] = torch.tensor([spell(WORDS[k]) for k in labels.tolist()], dtype=torch.uint8).to(torch.int16)
    order = torch.argsort(labels, stable=True).repeat_interleave(2)
    return Split(items, order[:, None].expand(-1, 3).contiguous(), labels[order])


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    spec = DatasetSpec(name="bars", title="Bars", modalities=MODALITIES, classes=3)
    return Dataset(spec, draw_split(600, 0), draw_split(150, 1))


COLOURS = ("ab", "cd", "ef", "gh", "ij", "kl")
CAPTIONED = (
    Modality(name="photo", shape=(3, 64, 64), network="image", latent=4),
    Modality(
        name="words", shape=(12,), network="text", latent=4, likelihood="categorical",
        vocabulary=("", *COLOURS), unprinted=(0,),
    ),
)  # fmt: skip


def draw_captioned(count: int, seed: int) -> Split:
    """Pictures whose upper and lower half each have one of six colours, and two captions each that name both."""
    rng = torch.Generator().manual_seed(seed)
    halves = torch.randint(0, 6, (count, 2), generator=rng)
    palette = torch.randint(0, 256, (6, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images = palette[halves].transpose(1, 2)[..., None].repeat_interleave(32, dim=2).expand(-1, -1, -1, 64)
    words = torch.zeros(2 * count, 12, dtype=torch.int16)
    words[:, :2] = (halves + 1).repeat_interleave(2, dim=0)
    words[1::2, 2:4] = words[1::2, :2]
    tuples = torch.stack((torch.arange(2 * count) // 2, torch.arange(2 * count)), dim=1)
    return Split({"photo": images.contiguous(), "words": words}, tuples)


@pytest.fixture(scope="session")
def captioned() -> Dataset:
    """An image-caption dataset without labels."""
    spec = DatasetSpec(name="halves", title="Halves", modalities=CAPTIONED)
    return Dataset(spec, draw_captioned(300, 0), draw_captioned(60, 1))


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(dataset: Dataset, tmp_path: Path) -> MakeBench:
    def make(data: Dataset = dataset, progress: Progress | None = None, epochs: float = 10, **protocol: int) -> Bench:
        schedule = Schedule(epochs=epochs, batch_size=64, lr=1e-3)
        return Bench(
            dataset=data,
            protocol=Protocol(judge=schedule, **protocol),
            device=torch.device("cpu"),
            order=torch.randperm(len(data.test), generator=torch.Generator().manual_seed(5)),
            cache=tmp_path,
            artefacts=Artefacts(tmp_path / "artefacts"),
            progress=progress or Progress(),
        )

    return make


class Oracle(Judge):
    """Reads the class, or -1, that is written in a sample's first value; its features are all values."""

    accuracy = 1.0
    name = "oracle"  # type: ignore[assignment]

    def predict(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, 0].round().long()

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(1)


@pytest.fixture
def judged(make_bench: MakeBench) -> MakeBench:
    """As `make_bench`, with an oracle for every modality."""

    def make(**settings: int) -> Bench:
        bench = make_bench(**settings)
        for name in bench.dataset.spec.names:
            bench.memory.remember(Judge, ("judge", name), Oracle())
        return bench

    return make
