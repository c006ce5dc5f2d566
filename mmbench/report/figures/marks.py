"""What figures draw in common: points, bars, reference lines, and their entries in a legend."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..comparison import Group, Line
from .looks import Look
from .measures import Measure
from .style import SOFT, cut

__all__ = ["REFERENCES", "arms", "counted", "handle", "line_handles", "reference_handles", "reference_lines", "tag"]

REFERENCES = (("shuffled", "chance", (0, (4, 2))), ("real", "real data", (0, (1, 1.5))))
"""Source, its name in a legend, its stroke."""


def handle(label: str, look: Look, *, hollow: bool = False, size: float | None = None) -> Line2D:
    face: dict[str, Any] = {"markerfacecolor": "none"} if hollow else {"fillstyle": look.fill}
    face |= {"markerfacecoloralt": "white", "markersize": size or look.size, "markeredgewidth": 0.7}
    return Line2D([], [], label=label, color=look.colour, marker=look.marker, linestyle="none", **face)


def line_handles(group: Group, found: dict[Line, Look]) -> list[Line2D]:
    """A legend's entry for each line, with the number of its seeds."""
    return [handle(f"{cut(group.title(line), 36)}, {counted(group, line)}", look) for line, look in found.items()]


def counted(group: Group, line: Line) -> str:
    """'n = 5'."""
    return f"n = {len(group.of(line))}"


def reference_handles(group: Group, shown: Sequence[Measure]) -> list[Line2D]:
    """Entries for chance and real data, where a panel has their line."""
    return [
        Line2D([], [], label=label, color=SOFT, linewidth=0.8, linestyle=stroke)
        for source, label, stroke in REFERENCES
        if any(m.higher_is_better and m.reference(group, source) is not None for m in shown)
    ]


def reference_lines(ax: Axes, side: Literal["x", "y"], group: Group, measure: Measure) -> None:
    """Chance and real data as lines across a panel."""
    draw, (low, high) = (ax.axvline, ax.get_xlim()) if side == "x" else (ax.axhline, ax.get_ylim())
    for source, label, stroke in REFERENCES:
        value = measure.reference(group, source)
        if value is not None and low <= value <= high and (measure.higher_is_better or source == "real"):
            draw(value, color=SOFT, linewidth=0.8, linestyle=stroke, zorder=0.5, label=label)


def arms(mean: float, bounds: tuple[float, float]) -> list[list[float]] | None:
    """An interval as what `errorbar` takes; None where there is none."""
    low, high = bounds
    return None if math.isnan(low) else [[max(mean - low, 0.0)], [max(high - mean, 0.0)]]


def tag(artists: Iterable[Artist], number: int) -> None:
    """Say which line of the table these artists belong to; a page hides them with it."""
    for k, artist in enumerate(artists):
        artist.set_gid(f"line-{number}-{k}")
