"""Constructed generators: what makes their samples is known, and so is what a metric should think of them.

perfect      fresh draws from the distribution of the data, that fit what is given
collapsed    one tuple of the data, whatever is given
shuffled     the perfect samples, each modality in an order of its own: right alone, wrong together
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..data.dataset import Dataset, Split
from ..modality import DatasetSpec, Modality, Task
from ..seeding import generator

__all__ = ["DRAWS", "Constructed", "Stage", "captioned", "labelled", "pictured", "scenes"]

TRAIN, TEST = 600, 240
"""Tuples."""
DRAWS = 4
"""Of a perfect generator, to know how far its numbers scatter."""
CLASSES = 4
WORDS = ("east", "west", "calm", "gale")
LETTERS = ("", *sorted(set("".join(WORDS))))
COLOURS = ("red", "blue", "pink", "gold")


@dataclass(frozen=True)
class Stage:
    """A dataset in memory whose tuples have a known factor, and fresh tuples of the same distribution."""

    data: Dataset
    factor: Tensor
    """What the modalities of each test tuple share, int64 (TEST,)."""
    fresh: tuple[Split, ...]
    """`DRAWS` times twice as many tuples, that no metric is shown as real ones."""
    fresh_factor: tuple[Tensor, ...]


@dataclass(frozen=True)
class Constructed:
    """One generator."""

    stage: Stage
    kind: str
    """'perfect', 'collapsed', 'shuffled'."""
    draw: int = 0
    """Of `DRAWS` independent ones."""

    def samples(self, task: Task, rows: Tensor) -> dict[str, Tensor]:
        """The targets (B, *shape) of a task for the test tuples `rows` (B,)."""
        made = {}
        for name in task.targets:
            made[name] = self.stage.fresh[self.draw].gather(self._tuples(task, name, rows), (name,))[name]
        return made

    def _tuples(self, task: Task, target: str, rows: Tensor) -> Tensor:
        rng = generator(self.draw, "constructed", task.name, str(int(rows[0])))
        chosen = self._fitting(rows, rng)
        if self.kind == "collapsed":
            return torch.zeros_like(chosen)
        if self.kind == "shuffled":
            return chosen[torch.randperm(len(rows), generator=generator(self.draw, "shuffled", task.name, target))]
        return chosen

    def _fitting(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        """For each test tuple a fresh one with the same factor."""
        factor = self.stage.fresh_factor[self.draw]
        found = torch.empty_like(rows)
        for value in self.stage.factor[rows].unique():
            able = (factor == value).nonzero().flatten()
            here = self.stage.factor[rows] == value
            found[here] = able[torch.randint(len(able), (int(here.sum()),), generator=rng)]
        return found


def scenes() -> tuple[Stage, ...]:
    """The datasets that metrics are checked on, the richest first."""
    return labelled(), pictured(), captioned()


def labelled() -> Stage:
    """Two images, of one and of three channels, and a word that says the class."""
    modalities = (
        Modality(name="bar", shape=(1, 16, 16), network="mnist_mlp", latent=4),
        Modality(name="tint", shape=(3, 20, 16), network="mnist_mlp", latent=4),
        Modality(name="word", shape=(4,), network="word_mlp", latent=4, likelihood="categorical",
                 vocabulary=LETTERS, classes=WORDS, separator="", unprinted=(0,)),
    )  # fmt: skip
    spec = DatasetSpec(name="bars", title="the toy of bars", modalities=modalities, classes=CLASSES)
    return _staged(spec, _bars)


def pictured() -> Stage:
    """The same without the word."""
    words = labelled()
    spec = replace(
        words.data.spec, name="bars2", title="the toy of two bars", modalities=words.data.spec.modalities[:2]
    )
    train, test, *fresh = (
        Split({name: part.items[name] for name in spec.names}, part.index[:, :2], part.labels)
        for part in (words.data.train, words.data.test, *words.fresh)
    )
    return replace(words, data=Dataset(spec, train, test), fresh=tuple(fresh))


def captioned() -> Stage:
    """One image of three channels, and a caption that names the colours of its halves; no labels."""
    modalities = (
        Modality(name="photo", shape=(3, 32, 32), network="image", latent=4),
        Modality(name="caption", shape=(2,), network="text", latent=4, likelihood="categorical",
                 vocabulary=("", *COLOURS), unprinted=(0,)),
    )  # fmt: skip
    return _staged(DatasetSpec(name="halves", title="the toy of halves", modalities=modalities), _halves)


Draw = Callable[[DatasetSpec, int, torch.Generator], tuple[Mapping[str, Tensor], Tensor]]
"""(spec, count, generator) -> items of each modality, and the factor."""


def _staged(spec: DatasetSpec, draw: Draw) -> Stage:
    parts, factors = [], []
    for k, count in enumerate((TRAIN, TEST, *[2 * TEST] * DRAWS)):
        items, factor = draw(spec, count, generator(k, spec.name))
        index = torch.arange(count)[:, None].expand(-1, len(spec.names)).contiguous()
        parts.append(Split(items, index, factor if spec.classes else None))
        factors.append(factor)
    train, test, *fresh = parts
    return Stage(Dataset(spec, train, test), factors[1], tuple(fresh), tuple(factors[2:]))


def _bars(spec: DatasetSpec, count: int, rng: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    """Class k has its k-th quarter of the rows bright, on noise of one strength an image."""
    factor = torch.arange(count) % CLASSES
    items = {}
    for modality in spec.modalities[:2]:
        strength = 0.3 + 0.7 * torch.rand(count, 1, 1, 1, generator=rng)
        images = 100 * strength * torch.rand((count, *modality.shape), generator=rng)
        for k in range(CLASSES):
            images[factor == k, :, 4 * k : 4 * k + 4] += 120
        items[modality.name] = images.to(torch.uint8)
    letters = torch.tensor([[LETTERS.index(letter) for letter in word] for word in WORDS], dtype=torch.int16)
    return {**items, "word": letters[factor]}, factor


def _halves(spec: DatasetSpec, count: int, rng: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    """Upper and lower half have one of four colours each."""
    factor = torch.arange(count) % len(COLOURS) ** 2
    halves = torch.stack((factor // len(COLOURS), factor % len(COLOURS)), dim=1)
    palette = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.2, 0.9], [0.9, 0.5, 0.7], [0.8, 0.7, 0.1]])
    images = palette[halves].transpose(1, 2)[..., None].repeat_interleave(16, dim=2).expand(-1, -1, -1, 32)
    noise = 0.1 * torch.rand(images.shape, generator=rng)
    return {"photo": (255 * (0.9 * images + noise)).to(torch.uint8), "caption": (halves + 1).to(torch.int16)}, factor
