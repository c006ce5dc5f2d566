"""Captions beside the pictures that they were made from, or that were made from them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..comparison import Group, Line
from .grids import CELL, GIVEN, SHOWN, Samples, grid_rows, rgb, task_words
from .style import new_figure, styled

__all__ = ["caption_table", "has_long_texts"]


def caption_table(group: Group, task: str, samples: Mapping[Line, Samples]) -> Figure | None:
    """One conditional task between images and captions in the form of the paper's Figure 2: a line for each condition,
    what is given on the left, what each model makes of it to the right. None if there is nothing to show."""
    rows = grid_rows(group, task, samples)
    if not rows:
        return None
    count = min(SHOWN, *(len(values) for _, _, values in rows))
    widths = [1.9 if values.dtype.kind == "U" else CELL for _, _, values in rows]
    gap, top, tall = 0.12, 0.86, CELL + 0.08
    width, height = sum(widths) + gap * (len(rows) + 1), top + tall * count + 0.08
    with styled(grid=False):
        figure = new_figure(width, height, layout=None)
        left = gap
        for (block, title, values), wide in zip(rows, widths, strict=True):
            weight = "bold" if block == GIVEN else "normal"
            at = ((left + wide / 2) / width, 1 - (top - 0.06) / height)
            figure.text(*at, title, ha="center", va="bottom", fontsize=8, weight=weight)
            for k in range(count):
                box = (left / width, 1 - (top + tall * k + CELL) / height, wide / width, CELL / height)
                _draw_cell(figure.add_axes(box), values[k], framed=block == GIVEN)
            left += wide + gap
        words = f"{group.heading}, {task_words(group, task)}\nbudget {group.budget}"
        figure.text(0.5, 1 - 0.08 / height, words, ha="center", va="top", fontsize=10)
    return figure


def _draw_cell(ax: Axes, value: Any, *, framed: bool) -> None:
    """One picture, or one text wrapped to its box."""
    ax.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
    for side in ax.spines.values():
        side.set_visible(framed)
        side.set(color="0.3", linewidth=1.0)
    if isinstance(value, str):
        text = "\n".join(textwrap.wrap(str(value), 32, max_lines=7, placeholder=" …")) or "∅"
        ax.text(0.5, 0.5, text, fontsize=6.5, ha="center", va="center", parse_math=False)
    else:
        ax.imshow(rgb(value), extent=(0, 1, 0, 1), interpolation="nearest", aspect="auto")


def has_long_texts(samples: Iterable[Samples], task: str) -> bool:
    """Whether a task has texts that do not fit into a cell of a grid."""
    own = [a for arrays in samples for k, a in arrays.items() if k.startswith(f"{task}/") and a.dtype.kind == "U"]
    return any(len(text) > 40 for array in own for text in array.tolist())
