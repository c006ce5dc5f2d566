"""What the metrics of image-caption pairs share: which two modalities, which of them is given, and the means.

The image is the only colour image of a dataset, the caption its only text. In a conditional task one of the two is
generated and the other is the given item of the test tuple; in joint generation both are generated. A judge embeds both
in one space, where a pair's cosine says how well they fit. Of the shuffled tuples one part is replaced by that of
another tuple, which gives chance.

Ten captions of one image are not ten opinions: in a conditional task the samples whose test tuples hold the same image
are a cluster (`intervals`), whichever of the two was given. Joint samples are independent.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from mmbench.metric import Bench, Cost, Metric, Row
from mmbench.modality import DatasetSpec, Modality, Task

from .identity import hex8
from .intervals import Clustered, shared_items

__all__ = ["Pair", "PairJudge", "PairMetric", "find_pair"]

REMEMBERED = 20_000
"""Embeddings of images, and as many of captions, that a judge keeps: the real items come again in every cell."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The two modalities that are judged together."""

    image: Modality
    caption: Modality

    def made(self, task: Task) -> tuple[str, ...]:
        """The generated ones, in the task's order; () where the task does not bring image and caption together."""
        names = {self.image.name, self.caption.name}
        made = tuple(name for name in task.targets if name in names)
        return made if names - set(made) <= set(task.given) else ()


def find_pair(spec: DatasetSpec) -> Pair | None:
    """The image of three channels and the text of a dataset; None unless it has exactly one of each."""
    images = [m for m in spec.modalities if not m.is_text and len(m.shape) == 3 and m.shape[0] == 3]
    texts = [m for m in spec.modalities if m.is_text]
    return Pair(images[0], texts[0]) if len(images) == len(texts) == 1 else None


class PairJudge(ABC):
    """Embeds images and captions in one space; it remembers what it saw last."""

    def __init__(self) -> None:
        self._images: dict[Hashable, Tensor] = {}
        self._texts: dict[Hashable, Tensor] = {}

    @property
    @abstractmethod
    def name(self) -> str:
        """The judge in print."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """What its embeddings depend on: a checksum of its weights."""

    @abstractmethod
    def embed_images(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] -> unit vectors, float32 (B, d) on the CPU."""

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Captions -> unit vectors, float32 (B, d) on the CPU."""

    def images(self, x: Tensor) -> Tensor:
        """As `embed_images`, without looking twice at the same image."""
        x = x.cpu()
        keys = [hashlib.blake2b(image.contiguous().numpy().tobytes(), digest_size=16).digest() for image in x]
        return _recall(self._images, keys, lambda new: self.embed_images(x[new]))

    def texts(self, texts: Sequence[str]) -> Tensor:
        """As `embed_texts`, without reading the same caption twice."""
        return _recall(self._texts, texts, lambda new: self.embed_texts([texts[k] for k in new]))


def _recall(known: dict[Hashable, Tensor], keys: Sequence[Hashable], embed: Callable[[list[int]], Tensor]) -> Tensor:
    """The vectors (B, d) of B keys; those of unknown keys come from `embed` (positions -> vectors). The oldest go."""
    new: dict[Hashable, int] = {}
    for position, key in enumerate(keys):
        if key not in known:
            new.setdefault(key, position)
    if new:
        known.update(zip(new, embed(list(new.values())), strict=True))
    vectors = torch.stack([known[key] for key in keys])
    for key in list(known)[: max(0, len(known) - REMEMBERED)]:
        del known[key]
    return vectors


class PairMetric(Metric):
    """The mean of a score over samples, for joint generation, image to caption and caption to image.

    A subclass says what judges (`judge`) and how an image and its caption are scored (`score`). Two rows for each task:
    the metric's own, and the mean cosine under the name `cosine`, which is only described.
    """

    paired: ClassVar[bool] = True
    group: ClassVar[str] = "coherence"
    cost: ClassVar[Cost] = "dear"
    tells: ClassVar[tuple[str, ...]] = ("shuffled",)
    cosine: ClassVar[str]
    """Name of the row that holds the plain mean cosine, in [-1, 1]."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.pair = find_pair(bench.dataset.spec)
        self._sums: dict[Task, tuple[Clustered, Clustered]] = {}

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        return "" if find_pair(dataset) else "the data are no pairs of one image of three channels and one text"

    @classmethod
    @abstractmethod
    def judge(cls, bench: Bench) -> PairJudge:
        """The judge, remembered in `bench.memory`. Raises UnavailableError where its weights are lacking."""

    @abstractmethod
    def score(self, images: Tensor, texts: Tensor) -> Tensor:
        """Unit vectors of images and of their captions, (B, d) each -> scores (B,)."""

    @classmethod
    def prepare(cls, bench: Bench) -> None:
        if find_pair(bench.dataset.spec) is not None:
            cls.judge(bench)

    def wants(self, task: Task) -> int:
        """As many as for coherence (N of Equation 12): it is the coherence of datasets without classes."""
        made, total = self.pair.made(task) if self.pair else (), len(self.bench.order)
        return min(self.bench.protocol.count or total, total) if made else 0

    def update(self, task: Task, samples: Mapping[str, Tensor], rows: Tensor) -> None:
        assert self.pair is not None  # `wants` is 0 without it
        given = [name for name in task.given if name not in task.targets]
        items = {**(self.bench.dataset.test.gather(rows, given) if given else {}), **samples}
        judge, caption = self.judge(self.bench), self.pair.caption
        images = judge.images(items[self.pair.image.name])
        texts = judge.texts([caption.text(tokens) for tokens in items[caption.name].tolist()])
        scores, cosines = self._sums.setdefault(task, (Clustered(), Clustered()))
        shared = self._shared(task, rows)
        scores.add(self.score(images, texts), shared)
        cosines.add((images * texts).sum(dim=1), shared)

    def _shared(self, task: Task, rows: Tensor) -> dict[str, Tensor]:
        """Which of the test tuples hold the same image."""
        assert self.pair is not None
        data = self.bench.dataset
        return shared_items(data.spec, data.test, rows, (self.pair.image.name,) if task.given else ())

    def compute(self) -> list[Row]:
        rows: list[Row] = []
        for task, (scores, cosines) in self._sums.items():
            rows.append(self._row(task, self.name, scores, self.higher_is_better, self.unit, self.bounds))
            rows.append(self._row(task, self.cosine, cosines, None, "", (-1.0, 1.0)))
        return rows

    def _row(
        self, task: Task, metric: str, sums: Clustered, higher: bool | None, unit: str, bounds: tuple[float, float]
    ) -> Row:
        assert self.pair is not None
        judge = self.judge(self.bench)
        return Row(
            metric=metric,
            task=task.name,
            modality="+".join(self.pair.made(task)),
            value=sums.mean,
            count=sums.count,
            judge=judge.name,
            identity=hex8(judge.identity),
            higher_is_better=higher,
            unit=unit,
            interval=sums.mean_interval(bounds),
        )
