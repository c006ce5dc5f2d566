"""What a grid of samples holds: conditions, their real counterparts, what each model made of them.

All models of a plate were given the same conditions, and no condition stands there twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ...store import sample_key
from ..comparison import Group, Line

__all__ = [
    "EXAMPLE",
    "GIVEN",
    "REAL",
    "Kept",
    "Plate",
    "Row",
    "given_of",
    "plate",
    "real_of",
    "targets_of",
    "task_words",
]

GIVEN, REAL, EXAMPLE = "given", "real", "example"
"""The blocks of rows that hold the conditions, the data's own items that belong to them, and beside joint samples,
which have no condition, examples of the data."""
SHOWN = 10
"""Samples in a row."""
LABELS = "labels"
"""The classes of the tuples, in a sample file."""


class Kept(NamedTuple):
    """The samples that were kept of one cell."""

    seed: int
    arrays: Mapping[str, np.ndarray]
    """By `store.sample_key`; and 'labels', where the data have classes."""


@dataclass(frozen=True)
class Row:
    """A row of items of one modality: images (n, C, H, W), texts (n,)."""

    block: str
    """'given', 'real', 'example' or the model's title: rows of a block stand together."""
    modality: str
    values: np.ndarray
    line: Line | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Plate:
    """The rows of a task, each with as many items as the others, and who is left out."""

    rows: list[Row] = field(default_factory=list)
    left_out: list[Line] = field(default_factory=list)
    """Lines that were given other conditions."""

    @property
    def seeds(self) -> list[int]:
        return sorted({row.seed for row in self.rows if row.seed is not None})

    @property
    def count(self) -> int:
        return min(len(row.values) for row in self.rows)

    def first(self, count: int) -> Plate:
        """The same rows with at most so many items."""
        rows = [Row(r.block, r.modality, r.values[:count], r.line, r.seed) for r in self.rows]
        return Plate(rows, self.left_out)


def plate(group: Group, task: str, samples: Mapping[Line, Kept], most: int = SHOWN) -> Plate | None:
    """The rows of one task: conditions, real counterparts, then a block for each model, at most `most` items in each.

    None where no model has samples of the task.
    """
    given, targets = given_of(task), targets_of(group, task)
    first: Mapping[str, np.ndarray] | None = None
    made: list[Row] = []
    left_out: list[Line] = []
    for line, (seed, arrays) in samples.items():
        if not _has(arrays, task, given, targets):
            continue
        first = first if first is not None else arrays
        if any(not np.array_equal(_given(arrays, task, name), _given(first, task, name)) for name in given):
            left_out.append(line)
            continue
        title = group.title(line)
        made += [Row(title, name, arrays[sample_key(task, "target", name)], line, seed) for name in targets]
    if first is None:
        return None
    rows = [Row(GIVEN, name, _given(first, task, name)) for name in given]
    chosen = _different(first, [row.values for row in rows], min(len(row.values) for row in rows + made))[:most]
    rows = [Row(GIVEN, row.modality, row.values[chosen]) for row in rows]
    rows += _real(first, given, targets, chosen)
    rows += [Row(r.block, r.modality, r.values[chosen], r.line, r.seed) for r in made]
    return Plate(rows, left_out)


def real_of(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The data's own items of the evaluated tuples, by modality: what some task was given. Without those that two
    tasks do not agree on, which are not of the same tuples."""
    found: dict[str, list[np.ndarray]] = {}
    for key, values in arrays.items():
        task, _, rest = key.partition("/")
        if rest.startswith("given/") and task:
            found.setdefault(rest.removeprefix("given/"), []).append(values)
    return {name: each[0] for name, each in found.items() if all(np.array_equal(each[0], other) for other in each)}


def given_of(task: str) -> list[str]:
    return task.partition("->")[0].split("+") if "->" in task else []


def targets_of(group: Group, task: str) -> list[str]:
    return task.partition("->")[2].split("+") if "->" in task else group.names.modalities


def task_words(group: Group, task: str) -> str:
    """'joint generation', 'M → S', 'M → M (reconstruction)': tasks as the tables call them."""
    if not given_of(task):
        return "joint generation"
    words = group.names.task_title(task)
    return f"{words} (reconstruction)" if given_of(task) == targets_of(group, task) else words


def _has(arrays: Mapping[str, np.ndarray], task: str, given: Sequence[str], targets: Sequence[str]) -> bool:
    keys = [sample_key(task, "given", name) for name in given]
    keys += [sample_key(task, "target", name) for name in targets]
    return all(key in arrays and len(arrays[key]) for key in keys)


def _given(arrays: Mapping[str, np.ndarray], task: str, name: str) -> np.ndarray:
    return arrays[sample_key(task, "given", name)]


def _real(
    arrays: Mapping[str, np.ndarray], given: Sequence[str], targets: Sequence[str], chosen: Sequence[int]
) -> list[Row]:
    """The real items of the targets, where all are known and none is given: those that belong to the conditions, or
    for comparison with joint samples some of different classes."""
    real = real_of(arrays)
    found = [real[name] for name in targets if name in real and name not in given]
    count = min(map(len, found), default=0)
    if len(found) < len(targets) or count <= max(chosen, default=0):
        return []
    places = chosen if given else _different(arrays, found, count)[: len(chosen)]
    block = REAL if given else EXAMPLE
    return [Row(block, name, values[places]) for name, values in zip(targets, found, strict=True)]


def _different(arrays: Mapping[str, np.ndarray], given: Sequence[np.ndarray], count: int) -> list[int]:
    """Places of different conditions: one of each class, in the order of classes; then others, none of them twice.
    Without conditions, all places as they come."""
    if not given:
        return list(range(count))
    first: dict[object, int] = {}
    for k in range(count):
        first.setdefault(_kind(arrays, given, k), k)
    chosen = sorted(first.items(), key=lambda item: item[0] if isinstance(item[0], int) else item[1])
    seen: dict[bytes, int] = {}
    for k in [*(k for _, k in chosen), *range(count)]:
        seen.setdefault(b"".join(values[k : k + 1].tobytes() for values in given), k)
    return list(seen.values())


def _kind(arrays: Mapping[str, np.ndarray], given: Sequence[np.ndarray], k: int) -> object:
    """The class of a tuple; its text where no classes are known; else the condition itself."""
    labels = arrays.get(LABELS)
    if labels is not None and len(labels) > k:
        return int(labels[k])
    texts = [values for values in real_of(arrays).values() if values.dtype.kind == "U" and len(values) > k]
    return str(texts[0][k]) if texts else b"".join(values[k : k + 1].tobytes() for values in given)
