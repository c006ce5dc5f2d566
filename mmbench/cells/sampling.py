"""Samples of a trained model for the test tuples: drawn, or read back where enough of them were kept on disk.

The samples for given modalities S depend on the cell's seed and on S alone, and noise belongs to the sample: drawing
more of them leaves the first ones as they were. So kept samples and fresh ones are the same, and a metric can be added
to a finished cell from either.

Kept samples are artefacts: their key holds the weights and settings that made them, so those of a model that was
trained anew are never taken for its own. For other tools (--save-format png) they are written as files, too:

    <runs>/samples/<dataset>/<model>/<budget>-<hash>/seed-<k>/joint/mnist/00000.png, joint/caption.txt
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from ..errors import DamagedError
from ..metric import Bench
from ..model import Batch, Model, draw
from ..seeding import generator
from ..store.artefacts import Artefact, Artefacts
from ..store.reading import readable
from ..tensors import finished, keep, kept
from .counting import watched
from .export import claimed, export, exported

__all__ = ["Drawn", "Sampler", "Shelf", "batches", "title"]


class Drawn(NamedTuple):
    """A batch of samples."""

    start: int
    """Place of the first sample in the evaluation order."""
    rows: Tensor
    """Test tuples (B,) that the samples were made for."""
    conditions: Batch
    """The given modalities of these tuples."""
    samples: Batch
    """The targets (B, *shape)."""


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """Where the samples of one cell are kept, and what made them."""

    artefacts: Artefacts
    identity: Mapping[str, Any]
    """The model's trained stages, its settings, its code, the evaluation's order and seeds: JSON data."""
    owner: str
    """In print: 'mld on Glyphs, seed 0'."""
    exported: Path
    """The folder of files for other tools."""

    def artefact(self, given: Sequence[str], targets: Sequence[str]) -> Artefact:
        """The kept samples of one condition."""
        return self.artefacts.of("samples", {**self.identity, "given": list(given), "targets": list(targets)})

    def count(self, given: Sequence[str], targets: Sequence[str]) -> int:
        """How many samples of a condition are kept, by their card; a damaged one, or one without samples, counts as
        none, and stays."""
        artefact = self.artefact(given, targets)
        with suppress(DamagedError):
            card = artefact.card()
            return int(card.facts.get("count", 0)) if card and readable(artefact.tensors) else 0
        return 0

    def whole(self, given: Sequence[str], targets: Sequence[str], count: int) -> bool:
        """Whether `count` samples of a condition are kept, as they were written."""
        with suppress(DamagedError):
            found = finished(self.artefact(given, targets))
            return found is not None and found[1].get("count", 0) >= count
        return False

    def folder(self, given: Sequence[str], targets: Sequence[str]) -> Path:
        """<exported>/joint, <exported>/mnist-to-svhn."""
        return self.exported / title(given, targets).replace("->", "-to-")


@dataclass
class Sampler:
    """Where the samples of one cell come from."""

    model: Callable[[], Model]
    """Gives the trained model; not called where every sample that is asked for was kept."""
    seed: int
    """The cell's."""
    shelf: Shelf | None = None
    """Where samples are kept; None to keep and look up none."""
    keep: int = 0
    """How many samples of each condition are kept."""
    format: Literal["safetensors", "png"] = "safetensors"
    """'png' writes files for other tools beside the exact ones."""
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    """What was drawn -> forward calls of each of the model's modules for its first batch."""
    per_sample: dict[str, dict[str, float]] = field(default_factory=dict)
    """The same -> how often each module computed for one sample."""

    def lacks(self, bench: Bench, given: Sequence[str], targets: Sequence[str]) -> bool:
        """Whether samples of a condition shall be kept (or exported) that are not yet."""
        if not self.keep or not self.shelf:
            return False
        count = min(len(bench.order), self.keep)
        return not self.shelf.whole(given, targets, count) or self._unexported(bench, given, targets, count)

    def batches(self, bench: Bench, given: Sequence[str], targets: Sequence[str], count: int) -> Iterator[Drawn]:
        """Samples for the first `count` tuples of the evaluation order, in batches of the protocol's size.

        They are kept when the last batch has been taken.
        """
        count = min(len(bench.order), max(count, self.keep))
        found = self._kept(bench, given, targets, count)
        drawn = self._draw(given, targets) if found is None else None
        gathered: list[Batch] = [] if found is None else [found]
        for start, rows in batches(bench.order[:count], bench.protocol.batch_size):
            conditions = bench.dataset.test.gather(rows, given) if given else {}
            if drawn is not None:
                samples = drawn(start, conditions, len(rows))
                if start < self.keep:
                    gathered.append({name: values[: self.keep - start] for name, values in samples.items()})
            else:
                assert found is not None
                samples = {name: values[start : start + len(rows)] for name, values in found.items()}
            yield Drawn(start, rows, conditions, samples)
        if self.shelf and self.keep and gathered:
            whole = {name: torch.cat([part[name] for part in gathered]) for name in targets}
            self._write(self.shelf, bench, given, targets, whole)

    def _draw(self, given: Sequence[str], targets: Sequence[str]) -> Callable[[int, Batch, int], Batch]:
        draws = generator(self.seed, "sample", "given", *given)

        def drawn(start: int, conditions: Batch, size: int) -> Batch:
            model = self.model()
            with watched(model) if start == 0 else nullcontext() as effort:
                samples = draw(model, conditions, targets, count=size, generator=draws)
            if effort:
                name = title(given, targets)
                self.calls[name], self.per_sample[name] = dict(effort.calls), effort.per_sample(size)
            return samples

        return drawn

    def _kept(self, bench: Bench, given: Sequence[str], targets: Sequence[str], count: int) -> dict[str, Tensor] | None:
        """`count` samples or more that were kept; None where there are fewer, or they are damaged."""
        if not self.shelf:
            return None
        found = kept(self.shelf.artefact(given, targets), bench.progress.say)
        return found[0] if found and found[1].get("count", 0) >= count else None

    def _write(self, shelf: Shelf, bench: Bench, given: Sequence[str], targets: Sequence[str], made: Batch) -> None:
        count = len(next(iter(made.values())))
        if shelf.count(given, targets) < count:
            artefact, name = shelf.artefact(given, targets), title(given, targets)
            artefact.make_way(bench.progress.say)
            keep(artefact, made, f"{name} by {shelf.owner}", {"count": count}, 0.0)
        asked = min(count, self.keep)
        if self._unexported(bench, given, targets, asked):
            spec, key, folder = bench.dataset.spec, shelf.artefact(given, targets).key, shelf.folder(given, targets)
            asked = max(asked, claimed(folder, key))  # the others that lay there stay
            export(folder, {spec.modality(n): values[:asked] for n, values in made.items()}, key)

    def _unexported(self, bench: Bench, given: Sequence[str], targets: Sequence[str], count: int) -> bool:
        """Whether files for other tools are asked for and are not all there, or are of other samples."""
        if self.format != "png" or not self.shelf:
            return False
        modalities = [bench.dataset.spec.modality(name) for name in targets]
        return exported(self.shelf.folder(given, targets), modalities, self.shelf.artefact(given, targets).key) < count


def title(given: Sequence[str], targets: Sequence[str]) -> str:
    """'joint', 'mnist->svhn', 'pen->sign+name'."""
    return f"{'+'.join(given)}->{'+'.join(targets)}" if given else "joint"


def batches(rows: Tensor, size: int) -> Iterator[tuple[int, Tensor]]:
    """(start, part) of consecutive parts of at most `size` rows."""
    start = 0
    for part in rows.split(size):
        yield start, part
        start += len(part)
