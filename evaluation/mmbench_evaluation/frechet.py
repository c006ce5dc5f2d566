"""Fréchet distances between real and generated images, by the moments of their features.

`FMD` takes the features of the suite's own classifiers (LeNet's are 320 numbers for 28x28 images, 500 for 32x32). They
have no scale: compare distances under one judge only, or their ratios to that of a reference autoencoder. FID is in
`fid`.

Reference: Bounoua et al., Appendix B.2.2.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, ClassVar

import torch
from torch import Tensor

from mmbench.config import canonical
from mmbench.metric import Bench, Extractor, Kept, Metric, Quantity, Row
from mmbench.modality import DatasetSpec, Modality, Task
from mmbench.progress import Advance
from mmbench.store.provenance import code_of_class
from mmbench.tensors import Made, once

from .classifiers import judge, judge_dim, judges_keep
from .identity import hex8
from .judge_choice import unknown
from .judge_networks import too_small
from .moments import Moments
from .reference import reference_autoencoder, reference_keeps

__all__ = ["FMD", "Frechet"]

READ = 1000
"""Real images that are gathered at once."""


class Frechet(Metric):
    """Fréchet distance on some network's features, for each image modality that a task generates.

    The real moments come from the first tuples of the evaluation order: for a model's samples, the real partners of
    what was given (Appendix B.2.2). They are computed once for all sources of samples, and kept in the cache.
    """

    higher_is_better: ClassVar[bool | None] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    group: ClassVar[str] = "quality"
    tells: ClassVar[tuple[str, ...]] = ("collapsed",)
    slow: ClassVar[bool] = False
    """Whether features take so long that their progress is shown."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._made: dict[tuple[Task, str], Moments] = {}
        self._last: dict[str, tuple[Tensor, Tensor]] = {}
        """Modality -> the last images and their features: the real ones come once for each task."""

    @classmethod
    @abstractmethod
    def covers(cls, modality: Modality) -> bool:
        """Whether the metric measures a modality."""

    @classmethod
    @abstractmethod
    def extractor(cls, bench: Bench, modality: str) -> Extractor:
        """The network whose features are compared, remembered in `bench.memory`."""

    @classmethod
    def count(cls, bench: Bench) -> int:
        """Real images, and samples of each task."""
        return min(bench.protocol.quality_count, len(bench.order))

    @classmethod
    def prepare(cls, bench: Bench) -> None:
        for modality in filter(cls.covers, bench.dataset.spec.modalities):
            cls.real(bench, modality.name)

    @classmethod
    def keeps(cls, bench: Bench) -> dict[str, Kept]:
        """Statistics count where none of the same data, modality and source are kept, whatever network saw them."""
        found: dict[str, Kept] = {}
        for modality in filter(cls.covers, bench.dataset.spec.modalities):
            found |= cls._judges_keep(bench, modality)
            for source in cls._sources(bench, modality):
                known = {"data": bench.dataset.fingerprint, "metric": cls.name, "modality": modality.name}
                if not bench.artefacts.holds("statistics", {**known, "source": source}):
                    dim = cls.dim(bench, modality)
                    found[f"statistics/{cls.name}/{modality.name}/{source}"] = Kept(8 * dim * (dim + 1))
        return found

    @classmethod
    @abstractmethod
    def dim(cls, bench: Bench, modality: Modality) -> int:
        """Number of features."""

    @classmethod
    def _judges_keep(cls, bench: Bench, modality: Modality) -> dict[str, Kept]:
        """What the networks will take on disk."""
        return {}

    @classmethod
    def _sources(cls, bench: Bench, modality: Modality) -> tuple[str, ...]:
        """Of the statistics that may be kept."""
        return ("real",)

    @classmethod
    def real(cls, bench: Bench, modality: str) -> Moments:
        """Moments of the real test images of the evaluation's first tuples: what all samples are compared with."""
        return cls._moments(bench, modality, "real", "", lambda x: x)

    def wants(self, task: Task) -> int:
        return self.count(self.bench) if self._images(task) else 0

    def update(self, task: Task, samples: Mapping[str, Tensor], rows: Tensor) -> None:
        for name in self._images(task):
            features = self._watched(name, samples[name])
            old = self._made.get((task, name), Moments.zero(features.shape[1]))
            self._made[task, name] = old.update(features)

    def compute(self) -> list[Row]:
        return [self._row(task, name) for task, name in self._made]

    def _images(self, task: Task) -> tuple[str, ...]:
        return tuple(name for name in task.targets if self.covers(self.bench.dataset.spec.modality(name)))

    def _watched(self, modality: str, x: Tensor) -> Tensor:
        """Features of a batch; the same tensor is not looked at twice in a row."""
        last = self._last.get(modality)
        if last is None or last[0].data_ptr() != x.data_ptr() or last[0].shape != x.shape:
            last = self._last[modality] = x, self._extracted(modality, x)
        return last[1]

    def _extracted(self, modality: str, x: Tensor) -> Tensor:
        extractor = self.extractor(self.bench, modality)
        if not self.slow or len(x) <= extractor.batch:
            return _features(extractor, x)
        with self.bench.progress.phase(f"{self.name} of {modality}", len(x), "image") as advance:
            return _features(extractor, x, advance)

    def _row(self, task: Task, modality: str) -> Row:
        made = self._made[task, modality]
        dim, extractor = len(made.mean), self.extractor(self.bench, modality)
        return Row(
            metric=self.name,
            task=task.name,
            modality=modality,
            value=self.real(self.bench, modality).distance(made),
            count=made.count,
            judge=extractor.name,
            identity=hex8(extractor.identity),
            higher_is_better=self.higher_is_better,
            note=f"biased: {made.count} samples for {dim} dimensions" if made.count <= dim else "",
        )

    @classmethod
    def _moments(
        cls, bench: Bench, modality: str, source: str, identity: str, change: Callable[[Tensor], Tensor]
    ) -> Moments:
        """Moments of the real images after a change: remembered, else from the cache, else computed."""
        key = cls._identity(bench, modality, source, identity)
        title = f"{cls.name} of {source} {modality}"

        def make() -> Made:
            found = cls._compute(bench, modality, title, change)
            return {"mean": found.mean, "scatter": found.scatter}, {"count": found.count}

        def load() -> Moments:
            artefact, what = bench.artefacts.of("statistics", key), f"{title} on {bench.dataset.spec.title}"
            tensors, facts = once(artefact, make, what, bench.progress)
            return Moments(int(facts["count"]), tensors["mean"], tensors["scatter"])

        return bench.memory.recall(Moments, canonical(key), load)

    @classmethod
    def _identity(cls, bench: Bench, modality: str, source: str, changed_by: str) -> dict[str, Any]:
        """All that the statistics depend on: data, tuples in order, network, preparation, code."""
        return {
            "data": bench.dataset.fingerprint,
            "modality": modality,
            "metric": cls.name,
            "tuples": hashlib.sha256(bench.order[: cls.count(bench)].cpu().numpy().tobytes()).hexdigest(),
            "network": cls.extractor(bench, modality).identity,
            "source": source,
            "changed by": changed_by,
            "code": code_of_class(cls),
        }

    @classmethod
    def _compute(cls, bench: Bench, modality: str, title: str, change: Callable[[Tensor], Tensor]) -> Moments:
        extractor, count = cls.extractor(bench, modality), cls.count(bench)
        with bench.progress.phase(title, count, "image") as advance:
            parts = (
                _features(extractor, change(bench.dataset.test.gather(rows, (modality,))[modality]), advance)
                for rows in bench.order[:count].split(READ)
            )
            return reduce(Moments.merge, map(Moments.of, parts))


def _features(extractor: Extractor, x: Tensor, advance: Advance = lambda *_: None) -> Tensor:
    found = []
    for part in x.split(extractor.batch):
        found.append(extractor.features(part))
        advance(len(part))
    return torch.cat(found)


@dataclass(frozen=True)
class _Unit:
    """The distance of the reference autoencoder's reconstructions; None where it has collapsed."""

    distance: float | None


class FMD(Frechet):
    """Fréchet distance of images, on the features of the judge, and its ratio to that of the reference autoencoder.

    The row 'fmd_ratio' has no scale: the FMD divided by `unit_distance`. It is left out where the reference
    autoencoder has collapsed.
    """

    name: ClassVar[str] = "fmd"
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "fmd_ratio": Quantity(bounds=(0.0, float("inf")), higher_is_better=False, group="quality")
    }

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        if not any(map(cls.covers, dataset.modalities)):
            return "no modality is an image"
        if not dataset.classes:
            return "the data have no class labels to train its judges on"
        return unknown(dataset) or too_small(dataset)

    @classmethod
    def covers(cls, modality: Modality) -> bool:
        return not modality.is_text

    @classmethod
    def extractor(cls, bench: Bench, modality: str) -> Extractor:
        return judge(bench, modality)

    @classmethod
    def dim(cls, bench: Bench, modality: Modality) -> int:
        return judge_dim(bench, modality)

    @classmethod
    def _judges_keep(cls, bench: Bench, modality: Modality) -> dict[str, Kept]:
        return judges_keep(bench, modality, second=False) | reference_keeps(bench, modality)

    @classmethod
    def _sources(cls, bench: Bench, modality: Modality) -> tuple[str, ...]:
        """A reference autoencoder that is there has had its statistics kept, or has collapsed and needs none."""
        return ("real", "reconstructed") if reference_keeps(bench, modality) else ("real",)

    @classmethod
    def prepare(cls, bench: Bench) -> None:
        super().prepare(bench)
        for modality in bench.dataset.spec.modalities:
            if cls.covers(modality):
                cls.unit_distance(bench, modality.name)

    @classmethod
    def unit_distance(cls, bench: Bench, modality: str) -> float | None:
        """FMD of the reference autoencoder's reconstructions of the real images; None where it has collapsed."""

        def make() -> _Unit:
            fixed = reference_autoencoder(bench, modality)
            if fixed.collapsed:
                return _Unit(None)
            made = cls._moments(bench, modality, "reconstructed", fixed.identity, fixed.reconstruct)
            return _Unit(cls.real(bench, modality).distance(made) or None)

        return bench.memory.recall(_Unit, (cls, modality), make).distance

    def compute(self) -> list[Row]:
        rows = super().compute()
        return rows + [ratio for row in rows if (ratio := self._ratio(row)) is not None]

    def _ratio(self, row: Row) -> Row | None:
        unit = self.unit_distance(self.bench, row.modality)
        if unit is None:
            return None
        by = hex8(reference_autoencoder(self.bench, row.modality).identity)
        return replace(row, metric="fmd_ratio", value=row.value / unit, reference=by)
