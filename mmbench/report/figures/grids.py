"""Grids of samples."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..comparison import Group, Line
from .measures import called
from .plates import EXAMPLE, GIVEN, REAL, SHOWN, Kept, Plate, plate, task_words
from .style import INK, SMALL, SOFT, TEXT, WIDTHS, Width, cut, extent, fit, new_figure, styled, wrapped

__all__ = ["given_grid", "heading_of", "rgb", "sample_grid", "seed_words"]

FEW = 100
"""Samples of one condition that a picture of ten columns shows."""
CELL = 0.78
"""Width of an item in a picture for the screen, in inches."""
CHARACTER = 0.0625
"""Width of a character of the smallest text, in inches, with some room."""
SHORT = 14
"""Characters of a text that stands on one line."""


@dataclass(frozen=True)
class _Form:
    """Sizes of a grid: inches and points."""

    width: float
    left: float
    across: int
    small: float = SMALL
    text: float = TEXT
    apart: float = 0.04

    @property
    def cell(self) -> float:
        return (self.width - self.left - 0.04) / self.across


def sample_grid(group: Group, task: str, samples: Mapping[Line, Kept], width: Width = "page") -> Figure | None:
    """One task in the form of the paper's Figures 1, 7 and 8: conditions on top with their real counterparts, then a
    row for each model (of a joint task, one for each modality).

    No condition stands there twice. None if there is nothing to show.
    """
    found = plate(group, task, samples)
    if found is None:
        return None
    inches, titles = WIDTHS[width], _titles(group, found, 1.3 if width == "page" else 0.75)
    left = 0.1 + _widest(titles)
    need = max(_needed(row.values) for row in found.rows)
    across = max(1, min(found.count, int((inches - left) / need)))
    several = len({row.modality for row in found.rows if row.line}) > 1
    form = _Form(inches, left, max(across, 5), apart=0.09 if several else 0.02)
    shown = found.first(across)
    rows = [(row.block, title, row.values) for row, title in zip(shown.rows, titles, strict=True)]
    return _grid(rows, heading_of(group, task, shown), form, _left_out(group, shown))


def given_grid(given: Mapping[str, np.ndarray], made: Mapping[str, np.ndarray], title: str) -> Figure:
    """All samples of one model for one condition, for the screen: the given items (1, ...) on top, then the generated
    modalities.

    Each has a row of ten samples; for more the rows are repeated below, sample under sample, and of more than
    `FEW` samples they are so long that the picture is about square.

    Both by modality: images (n, C, H, W) uint8 or float in [0, 1], texts (n,) unicode.
    """
    rows = [(GIVEN, f"given\n{cut(name, 24)}", values) for name, values in given.items()]
    count = max(map(len, made.values()))
    across = SHOWN if count <= FEW else math.ceil(math.sqrt(count * len(made)))
    for start in range(0, count, across):
        part = slice(start, start + across)
        named = count <= across
        rows += [(f"{start} {name if named else ''}", cut(name, 24), values[part]) for name, values in made.items()]
    shown = min(across, max(len(values) for *_, values in rows))
    left = 0.2 + 1.5 * _widest(name for _, name, _ in rows)
    cell = 1.35 if any(_needed(values) > CELL for *_, values in rows) else CELL
    return _grid(rows, title, _Form(left + cell * shown + 0.1, left, shown, 9, 11, 0.1), "")


def heading_of(group: Group, task: str, shown: Plate) -> str:
    """'MNIST-SVHN, M → S, budget paper, seed 0'."""
    return f"{group.heading}, {task_words(group, task)}, budget {group.budget}{seed_words(shown)}"


def seed_words(shown: Plate) -> str:
    """', seed 0' where all samples are of one training seed; else each model's row says its own."""
    return f", seed {shown.seeds[0]}" if len(shown.seeds) == 1 else ""


def _widest(titles: Iterable[str]) -> float:
    """Inches of the widest line, in bold."""
    return max(extent(part, bold=True) for title in titles for part in title.split("\n"))


def _titles(group: Group, shown: Plate, most: float) -> list[str]:
    """What stands beside each row, in lines of so many inches."""
    several = {row.block for row, other in pairwise(shown.rows) if row.block == other.block}
    joint = len({row.modality for row in shown.rows if row.line}) > 1
    found = []
    for row in shown.rows:
        name = fit(called(group, row.modality), most)
        block = row.block if row.line is None else fit(row.block, most)
        seed = f" ({row.seed})" if row.line and len(shown.seeds) > 1 else ""
        found.append(f"{block}{seed}\n{name}" if row.line is None or joint or row.block in several else block + seed)
    return found


def _left_out(group: Group, shown: Plate) -> str:
    names = ", ".join(group.title(line) for line in shown.left_out)
    return f"Left out, since they were given other conditions: {names}." if names else ""


def _grid(rows: Sequence[tuple[str, str, np.ndarray]], heading: str, form: _Form, foot: str) -> Figure:
    """Rows of (block, title, items) one under the other, apart between blocks."""
    heights = [_tall(values, form) for *_, values in rows]
    gaps = [_gap(one[0], other[0], form) for one, other in pairwise(rows)]
    lines = wrapped(heading, form.width - 0.1, form.text)
    top = 0.02 * form.text * len(lines) + 0.04
    below = 0.14 if foot else 0.03
    height = top + sum(heights) + sum(gaps) + below
    with styled(grid=False):
        figure = new_figure(form.width, height, layout=None)
        figure.text(0.5, 1 - 0.03 / height, "\n".join(lines), ha="center", va="top", fontsize=form.text, weight="bold")
        for (block, title, values), tall, gap in zip(rows, heights, [*gaps, 0], strict=True):
            box = (form.left / form.width, 1 - (top + tall) / height)
            ax = figure.add_axes((*box, form.cell * len(values) / form.width, tall / height))
            _draw_row(ax, values, framed=block == GIVEN, size=form.small)
            weight = "bold" if block in (GIVEN, REAL, EXAMPLE) else "normal"
            at = ((form.left - 0.05) / form.width, 1 - (top + tall / 2) / height)
            figure.text(*at, title, ha="right", va="center", fontsize=form.small, weight=weight)
            top += tall + gap
        if foot:
            words = fit(foot, form.width - 0.1)
            figure.text(0.05 / form.width, 0.02 / height, words, fontsize=SMALL, color=SOFT, va="bottom")
    return figure


def _gap(one: str, other: str, form: _Form) -> float:
    return 0.02 if one == other else 0.09 if one in (GIVEN, REAL, EXAMPLE) else form.apart


def _draw_row(ax: Axes, values: np.ndarray, *, framed: bool, size: float) -> None:
    """One row of items on one pair of axes: pictures side by side, texts in cells of the same width."""
    count = len(values)
    ax.set(xlim=(0, count), ylim=(0, 1), xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set_visible(framed)
        side.set(color=INK, linewidth=0.8)
    if values.dtype.kind == "U":
        for k, text in enumerate(values):
            ax.add_patch(Rectangle((k + 0.04, 0.06), 0.92, 0.88, facecolor="0.96", edgecolor="0.85", linewidth=0.4))
            ax.text(k + 0.5, 0.5, _fitted(str(text)), ha="center", va="center", parse_math=False, fontsize=size)
        return
    for k, image in enumerate(values):
        ax.imshow(rgb(image), extent=(k + 0.03, k + 0.97, 0.03, 0.97), interpolation="nearest", aspect="auto")
    ax.set(xlim=(0, count), ylim=(0, 1))


def _needed(values: np.ndarray) -> float:
    """Inches that an item needs at least: a picture a quarter, a text as long as it is, a long one several lines."""
    if values.dtype.kind != "U":
        return 0.25
    longest = max(map(len, values.tolist()), default=0)
    return max(0.25, CHARACTER * longest) if longest <= SHORT else CHARACTER * (SHORT + 1)


def _tall(values: np.ndarray, form: _Form) -> float:
    """Height of a row in inches: square pictures, texts as high as the longest of them."""
    if values.dtype.kind != "U":
        return form.cell
    line = 1.25 * form.small / 72
    return 0.1 + line * max((1 + _fitted(str(text)).count("\n") for text in values), default=1)


def _fitted(text: str) -> str:
    """A text wrapped to its cell."""
    if len(text) <= SHORT:
        return text or "∅"
    return "\n".join(textwrap.wrap(text, SHORT + 1, max_lines=9, placeholder=" …"))


def rgb(image: np.ndarray) -> np.ndarray:
    """An image (C, H, W), uint8 or float in [0, 1], as (H, W, 3) in [0, 1]."""
    values = image.astype(np.float32) / 255 if image.dtype == np.uint8 else image.astype(np.float32)
    values = values.clip(0, 1).transpose(1, 2, 0)
    return values if values.shape[2] == 3 else values[:, :, :1].repeat(3, axis=2)
