"""Grids of samples."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...store import sample_key
from ..comparison import Group, Line
from .style import new_figure, styled

__all__ = [
    "CELL",
    "GIVEN",
    "SHOWN",
    "Samples",
    "given_grid",
    "given_of",
    "grid_rows",
    "rgb",
    "sample_grid",
    "targets_of",
    "task_words",
]

SHOWN = 10
"""Samples in a row of a grid."""
FEW = 100
"""Samples of one condition that a grid of ten columns shows."""
CELL = 0.78
"""Width of an item in a grid, in inches."""
GIVEN = "given"
"""The block of rows that holds the conditions."""
Samples = Mapping[str, np.ndarray]
"""The arrays of a sample file, by `store.sample_key`."""


def sample_grid(group: Group, task: str, samples: Mapping[Line, Samples]) -> Figure | None:
    """One task in the form of the paper's Figures 1, 7 and 8: conditions on top, then a row for each model.

    A joint task has one row for each model and modality. A model that was given other conditions than the first one
    is left out. None if there is nothing to show.
    """
    rows = grid_rows(group, task, samples)
    if not rows:
        return None
    title = f"{group.heading}, {task_words(group, task)}, budget {group.budget}"
    return _grid(rows, title, apart=0.17 if len(targets_of(group, task)) > 1 else 0.05)


def given_grid(given: Samples, made: Samples, title: str) -> Figure:
    """All samples of one model for one condition: the given items (1, ...) on top, then the generated modalities.

    Each has a row of ten samples; for more the rows are repeated below, sample under sample, and of more than
    `FEW` samples they are so long that the picture is about square.

    Both by modality: images (n, C, H, W) uint8 or float in [0, 1], texts (n,) unicode.
    """
    rows = [(GIVEN, f"given\n{name}", values) for name, values in given.items()]
    count = max(map(len, made.values()))
    across = SHOWN if count <= FEW else math.ceil(math.sqrt(count * len(made)))
    for start in range(0, count, across):
        part = slice(start, start + across)
        rows += [(f"{start} {name if count <= across else ''}", name, values[part]) for name, values in made.items()]
    return _grid(rows, title, apart=0.1, across=across)


def _grid(rows: Sequence[tuple[str, str, np.ndarray]], heading: str, *, apart: float, across: int = SHOWN) -> Figure:
    """Rows of (block, title, items) one under the other, `across` items in each, `apart` inches between blocks."""
    count = min(across, max(len(values) for _, _, values in rows))
    long = any(v.dtype.kind == "U" and max(map(len, v.tolist()), default=0) > 40 for *_, v in rows)
    wide = 1.35 if long else CELL
    heights = [_tall(values[:count], wide) for _, _, values in rows]
    blocks = [block for block, _, _ in rows]
    gaps = [0.05 if one == other else 0.14 if one == GIVEN else apart for one, other in pairwise(blocks)]
    left = 0.2 + 0.088 * max(len(part) for _, title, _ in rows for part in title.split("\n"))
    width, height, top = left + wide * count + 0.1, sum(heights) + sum(gaps) + 0.45, 0.37
    with styled(grid=False):
        figure = new_figure(width, height, layout=None)
        for (block, title, values), tall, gap in zip(rows, heights, [*gaps, 0], strict=True):
            items = min(count, len(values))
            box = (left / width, 1 - (top + tall) / height, wide * items / width, tall / height)
            ax = figure.add_axes(box)
            _draw_row(ax, values[:count], framed=block == GIVEN)
            weight = "bold" if block == GIVEN else "normal"
            ax.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=9, labelpad=6, weight=weight)
            top += tall + gap
        figure.text(0.5, 1 - 0.12 / height, heading, ha="center", va="top", fontsize=11)
    return figure


def grid_rows(group: Group, task: str, samples: Mapping[Line, Samples]) -> list[tuple[str, str, np.ndarray]]:
    """(block, title, items) of each row: the conditions, then a block for each model."""
    rows: list[tuple[str, str, np.ndarray]] = []
    given, targets = given_of(task), targets_of(group, task)
    conditions: list[np.ndarray] = []
    for line, arrays in samples.items():
        keys = [sample_key(task, "given", name) for name in given]
        keys += [sample_key(task, "target", name) for name in targets]
        found = [arrays[key] for key in keys if key in arrays and len(arrays[key])]
        if len(found) < len(keys):
            continue
        if not rows:
            conditions = found[: len(given)]
            rows += [(GIVEN, f"given\n{group.names.long(n)}", v) for n, v in zip(given, conditions, strict=True)]
        if not all(np.array_equal(one, other) for one, other in zip(conditions, found, strict=False)):
            continue
        name = group.title(line)
        for target, values in zip(targets, found[len(given) :], strict=True):
            rows.append((name, f"{name}\n{group.names.long(target)}" if len(targets) > 1 else name, values))
    return rows


def _draw_row(ax: Axes, values: np.ndarray, *, framed: bool) -> None:
    """One row of items on one pair of axes: pictures side by side, texts in cells of the same width."""
    count = len(values)
    ax.set(xlim=(0, count), ylim=(0, 1), xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set_visible(framed)
        side.set(color="0.3", linewidth=1.2)
    if values.dtype.kind == "U":
        for k, text in enumerate(values):
            ax.add_patch(Rectangle((k + 0.04, 0.06), 0.92, 0.88, facecolor="0.96", edgecolor="0.85"))
            ax.text(k + 0.5, 0.5, *_fitted(str(text)), ha="center", va="center", parse_math=False)
        return
    for k, image in enumerate(values):
        ax.imshow(rgb(image), extent=(k + 0.03, k + 0.97, 0.03, 0.97), interpolation="nearest", aspect="auto")
    ax.set(xlim=(0, count), ylim=(0, 1))


def _tall(values: np.ndarray, wide: float) -> float:
    """Height of a row in inches: square pictures, `wide` as a cell, texts as high as the longest of them."""
    if values.dtype.kind != "U":
        return wide
    return max(0.48, *(0.16 + 0.095 * (1 + _fitted(str(text))[0].count("\n")) for text in values))


def _fitted(text: str) -> tuple[str, dict[str, float]]:
    """A text wrapped to its cell, and its font size in points."""
    if len(text) <= 8:
        return text or "∅", {"fontsize": 10}
    return "\n".join(textwrap.wrap(text, 15, max_lines=9, placeholder=" …")), {"fontsize": 5.5}


def rgb(image: np.ndarray) -> np.ndarray:
    """An image (C, H, W), uint8 or float in [0, 1], as (H, W, 3) in [0, 1]."""
    values = image.astype(np.float32) / 255 if image.dtype == np.uint8 else image.astype(np.float32)
    values = values.clip(0, 1).transpose(1, 2, 0)
    return values if values.shape[2] == 3 else values[:, :, :1].repeat(3, axis=2)


def given_of(task: str) -> list[str]:
    return task.partition("->")[0].split("+") if "->" in task else []


def targets_of(group: Group, task: str) -> list[str]:
    return task.partition("->")[2].split("+") if "->" in task else group.names.modalities


def task_words(group: Group, task: str) -> str:
    if not given_of(task):
        return "joint generation"
    given, target = (
        " + ".join(group.names.long(n) for n in names) for names in (given_of(task), targets_of(group, task))
    )
    return f"{given} reconstructed" if given == target else f"{given} → {target}"
