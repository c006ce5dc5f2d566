"""A dataset in memory: items of each modality, and tuples that index them.

Images stay uint8 and texts small integers; a batch is gathered by index on the tensors' device and converted there. So
one tuple costs a few bytes, however often the pairing repeats an image.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..described import described
from ..errors import DataError
from ..modality import DatasetSpec
from ..seeding import generator
from .soundness import LEAST, check_held_out, check_labels, check_parts, check_ranges, check_tensors
from .validation import apart, hold_out

__all__ = ["Dataset", "DatasetSource", "Split", "as_input"]


@dataclass(frozen=True)
class Split:
    """Tuples of one split.

    Arguments:
        items: modality name -> its distinct items (n_m, *shape): uint8 images, integer tokens, or float latents.
        index: int32 or int64 (N, M); row k holds the k-th tuple's item of each modality, in the order of `items`.
        labels: int64 (N,), the class of each tuple, or None.
        present: bool (N, M), which modalities of each training tuple are there (`data.missing`); None for all.
    """

    items: Mapping[str, Tensor]
    index: Tensor
    labels: Tensor | None = None
    present: Tensor | None = None

    def __post_init__(self) -> None:
        check_tensors(self.items, self.index, self.labels)
        if self.present is not None and (self.present.shape != self.index.shape or self.present.dtype != torch.bool):
            got = f"{self.present.dtype} {tuple(self.present.shape)}"
            raise DataError(f"present must be torch.bool {tuple(self.index.shape)}, like the index, got {got}")

    def __len__(self) -> int:
        return len(self.index)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.items)

    def gather(self, rows: Tensor, names: Sequence[str] | None = None) -> dict[str, Tensor]:
        """The tuples `rows` (B,) as a batch: images float32 in [0, 1], texts int64, latents as they are."""
        picked = self.index[rows.to(self.index.device)]
        columns = {name: k for k, name in enumerate(self.items)}
        return {name: as_input(self.items[name][picked[:, columns[name]].long()]) for name in names or self.items}

    def there(self, rows: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """Which of these modalities the tuples `rows` (B,) have, bool (B,) each."""
        if self.present is None:
            return {name: torch.ones(len(rows), dtype=torch.bool, device=self.index.device) for name in names}
        picked = self.present[rows.to(self.index.device)]
        return {name: picked[:, self.names.index(name)] for name in names}

    def spread(self, count: int) -> Tensor:
        """`count` random rows, or all, ascending and always the same: tuples may be sorted by class, and rows at even
        distances may fall in step with the pairing (every image's first caption)."""
        rows = torch.randperm(len(self), generator=generator(0, "spread"))[:count]
        return rows.sort().values.to(self.index.device)

    def used(self, name: str) -> Tensor:
        """Indices of the distinct items of one modality that some tuple holds, ascending."""
        return torch.unique(self.index[:, self.names.index(name)].long())

    def item_labels(self, name: str) -> Tensor:
        """The class of each distinct item of one modality, int64 (n_m,); -1 where no tuple holds it."""
        if self.labels is None:
            raise DataError("this dataset has no labels")
        labels = torch.full((len(self.items[name]),), -1, dtype=torch.int64, device=self.index.device)
        labels[self.index[:, self.names.index(name)].long()] = self.labels
        return labels

    def to(self, device: torch.device | str) -> Split:
        labels, present = (None if t is None else t.to(device) for t in (self.labels, self.present))
        return Split({k: v.to(device) for k, v in self.items.items()}, self.index.to(device), labels, present)

    def take(self, rows: Tensor) -> Split:
        """The same items with the tuples `rows` only."""
        labels, present = (None if t is None else t[rows] for t in (self.labels, self.present))
        return replace(self, index=self.index[rows], labels=labels, present=present)


@dataclass(frozen=True)
class Dataset:
    """A loaded dataset.

    Arguments:
        spec: what a model may know of it.
        train: what models are trained on.
        test: what they are measured on.
        held_out: the validation tuples, where the source chooses them: tuples of `train`. By default the rule of
            `validation.hold_out` does, when they are first asked for.
        split: what `test` holds: the test tuples, or the validation tuples (`for_selection`).
    """

    spec: DatasetSpec
    train: Split
    test: Split
    held_out: Split | None = None
    split: Literal["test", "validation"] = "test"

    def __post_init__(self) -> None:
        parts = {"training": (self.train, LEAST), self.split: (self.test, LEAST)}
        if self.held_out is not None:
            parts["validation"] = (self.held_out, 1)
        check_parts(self.spec, parts, Split)
        if self.held_out is not None and self.split == "test":
            check_held_out(self.spec, self.train, self.held_out)
        for check in (check_ranges, check_labels):
            for part, (split, _) in parts.items():
                check(self.spec, split, part)

    @cached_property
    def validation(self) -> Split:
        """The validation tuples: a part of the training tuples, never of the test tuples, that shares `train.items`.

        A model that was trained on `train` has seen them: then they tell whether a stage has collapsed, no more.
        """
        return self.held_out or self.train.take(hold_out(self._telling(self.train), self.train.labels))

    def for_selection(self) -> Dataset:
        """The dataset on which settings are chosen: tested on the validation tuples, trained without their items.

        The spec stays the same, and so does a vocabulary that was made from all training texts. Raises DataError where
        every training tuple shares an item with a validation tuple.
        """
        rows = apart(self._telling(self.train), self._telling(self.validation))
        if len(rows) < LEAST:
            raise DataError(
                f"{self.spec.name} is too small to choose settings on: of its {len(self.train):,} training tuples "
                f"{len(rows) or 'none'} shares no item with the validation tuples, and {LEAST} must; use more data"
            )
        return Dataset(self.spec, self.train.take(rows), self.validation, self.validation, "validation")

    def _telling(self, split: Split) -> Tensor:
        """The index (N, M') of the items that tell tuples apart, which words that say the class do not."""
        columns = [k for k, modality in enumerate(self.spec.modalities) if not modality.classes]
        return split.index[:, columns or list(range(len(self.spec.modalities)))]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (first 16 hex digits) over every byte of items, index and labels of `train` and `test`: what the data
        are. One for selection says so too."""
        sha = hashlib.sha256(self.spec.name.encode() + self.split.removeprefix("test").encode())
        for split in (self.train, self.test):
            labels = {} if split.labels is None else {"labels": split.labels}
            for name, tensor in {**split.items, "index": split.index, **labels}.items():
                sha.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
                sha.update(tensor.cpu().contiguous().numpy().tobytes())
        return sha.hexdigest()[:16]


@described
class DatasetSource(ABC):
    """Where a dataset comes from: a plugin of the group `mmbench.datasets`."""

    title: ClassVar[str]
    """The name in print."""
    summary: ClassVar[str]
    """One line for `mmbench list`."""
    default_budget: ClassVar[str] = "laptop"
    """The budget of `mmbench run` where none is named; the paper's own datasets say 'paper'."""
    view_counts: ClassVar[Sequence[int]] = ()
    """How many of its modalities may be asked for, where there is a choice (`views`)."""
    views: int | None = None
    """Set before `load`, to one of `view_counts`: so many of the modalities, the first ones; None for all. Fewer than
    all are a dataset with a name of its own."""
    allow_partial: bool = False
    """Set before `load`: whether a part of the files will do. What is then loaded has a name of its own."""
    say: Callable[[str], None] = staticmethod(lambda _: None)
    """Set before `load`: told of what the user should know, one sentence."""

    @abstractmethod
    def load(self, root: Path, cache: Path) -> Dataset:
        """The dataset in memory. `root` holds downloads, `cache` what was computed from them.

        Raises DataError, with what to do, where a file is missing or damaged.
        """

    def lacks(self, root: Path) -> str | None:
        """What is missing under `root`, one sentence with what to do; '' for nothing, None where only `verify` knows.
        For lists: files are looked for and not read, nothing is downloaded."""
        return "" if type(self).verify is DatasetSource.verify else None

    def fetch(self, root: Path) -> str:
        """Bring the files to `root` and verify them; returns a sentence that says what was done."""
        return f"{self.title} is drawn, not downloaded: nothing to fetch."

    def verify(self, root: Path) -> str:
        """Check the files' checksums; returns a sentence, raises DataError on a missing or damaged file."""
        return f"{self.title} is drawn, not downloaded: nothing to verify."


def as_input(values: Tensor) -> Tensor:
    """Stored items as a model sees them: uint8 -> float32 in [0, 1], integers -> int64, floats unchanged."""
    if values.dtype == torch.uint8:
        return values.float() / 255
    return values if values.is_floating_point() else values.long()
