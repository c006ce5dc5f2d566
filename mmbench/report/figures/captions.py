"""Captions beside the pictures that they were made from, or that were made from them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..comparison import Group, Line
from .grids import heading_of, rgb
from .measures import called
from .plates import GIVEN, REAL, Kept, Row, plate
from .style import INK, SMALL, TEXT, WIDTHS, Width, fit, new_figure, styled, wrapped

__all__ = ["caption_table", "has_long_texts"]

SHOWN = 6
"""Conditions, one below the other."""
FEWEST, TALLEST = 2, 8.8
"""Conditions at least, and inches of a page that decide whether there are more."""
PICTURE, WORDS = 0.62, 1.02
"""Widths of a picture and of a caption, in inches."""
GAP, HEAD, TALL = 0.05, 0.27, 0.68


def caption_table(group: Group, task: str, samples: Mapping[Line, Kept], width: Width = "page") -> Figure | None:
    """One conditional task between images and captions in the form of the paper's Figure 2: a line for each condition,
    what is given and what really belongs to it on the left, what each model makes of it to the right. Models for which
    the width has no room stand below, beside the conditions again. None if there is nothing to show."""
    found = plate(group, task, samples, SHOWN)
    if found is None:
        return None
    top, down = 0.3, len(_bands(found.rows, WIDTHS[width]))
    found = found.first(max(FEWEST, int(((TALLEST - top) / down - HEAD) / TALL)))
    bands, band = _bands(found.rows, WIDTHS[width]), HEAD + TALL * found.count + 0.06
    height = top + band * len(bands)
    with styled(grid=False):
        figure = new_figure(WIDTHS[width], height, layout=None)
        left = max(GAP, (WIDTHS[width] - max(sum(map(_wide, rows)) for rows in bands)) / 2)
        for number, rows in enumerate(bands):
            _draw_band(figure, group, rows, left, top + band * number)
        words = wrapped(heading_of(group, task, found), WIDTHS[width] - 0.1)
        figure.text(0.5, 1 - 0.02 / height, "\n".join(words), ha="center", va="top", fontsize=TEXT, weight="bold")
    return figure


def _bands(rows: list[Row], width: float) -> list[list[Row]]:
    """The data's columns, with as many of the models' beside them as fit; then again with the next ones."""
    data, made = [r for r in rows if r.line is None], [r for r in rows if r.line is not None]
    while len(data) > 1 and sum(map(_wide, [*data, made[0]])) > width:
        data.pop()
    bands = [list(data)]
    for row in made:
        if len(bands[-1]) > len(data) and sum(map(_wide, [*bands[-1], row])) > width:
            bands.append(list(data))
        bands[-1].append(row)
    return bands


def _wide(row: Row) -> float:
    return GAP + (WORDS if row.values.dtype.kind == "U" else PICTURE)


def _draw_band(figure: Figure, group: Group, rows: list[Row], left: float, top: float) -> None:
    width, height = figure.get_size_inches()
    for row in rows:
        wide = _wide(row) - GAP
        at = ((left + wide / 2) / width, 1 - (top + HEAD - 0.04) / height)
        weight = "bold" if row.line is None else "normal"
        words = "\n".join(fit(part, wide, bold=row.line is None) for part in _parts(group, row))
        figure.text(*at, words, ha="center", va="bottom", fontsize=SMALL, weight=weight)
        for k, value in enumerate(row.values):
            box = (left / width, 1 - (top + HEAD + TALL * k + PICTURE) / height, wide / width, PICTURE / height)
            _draw_cell(figure.add_axes(box), value, framed=row.block in (GIVEN, REAL))
        left += wide + GAP


def _parts(group: Group, row: Row) -> list[str]:
    """The lines of a column's title: 'given', 'image'; or the model's."""
    return [row.block] if row.line else [row.block, called(group, row.modality)]


def _draw_cell(ax: Axes, value: Any, *, framed: bool) -> None:
    """One picture, or one text wrapped to its box."""
    ax.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
    for side in ax.spines.values():
        side.set_visible(framed)
        side.set(color=INK, linewidth=0.6)
    if isinstance(value, str):
        text = "\n".join(textwrap.wrap(str(value), 19, max_lines=6, placeholder=" …")) or "∅"
        ax.text(0.5, 0.5, text, fontsize=SMALL, ha="center", va="center", parse_math=False, linespacing=1.05)
    else:
        ax.imshow(rgb(value), extent=(0, 1, 0, 1), interpolation="nearest", aspect="auto")


def has_long_texts(samples: Iterable[Kept], task: str) -> bool:
    """Whether a task has texts that do not fit into a cell of a grid."""
    own = [a for kept in samples for k, a in kept.arrays.items() if k.startswith(f"{task}/") and a.dtype.kind == "U"]
    return any(len(text) > 40 for array in own for text in array.tolist())
