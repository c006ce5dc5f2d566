"""What figures draw in common: points, bars, reference lines, and their entries in a legend."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from ..columns import Column
from ..comparison import Group, Line
from .axes import Scale
from .looks import Look
from .measures import Measure
from .style import SOFT, cut

__all__ = [
    "REFERENCES",
    "SIDES",
    "axes_words",
    "bar",
    "counted",
    "deviations",
    "handle",
    "line_handles",
    "marked",
    "reference",
    "reference_handles",
    "reference_lines",
    "tag",
]

Side = Literal["x", "y"]
SIDES: tuple[Side, Side] = ("x", "y")
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


def reference_handles(group: Group, shown: Sequence[Measure | Column]) -> list[Line2D]:
    """Entries for chance and real data, where a panel has their line."""
    return [
        Line2D([], [], label=label, color=SOFT, linewidth=0.8, linestyle=stroke)
        for source, label, stroke in REFERENCES
        if any(marked(m, source) and reference(group, m, source) is not None for m in shown)
    ]


def reference_lines(ax: Axes, side: Side, group: Group, measure: Measure | Column) -> None:
    """Chance and real data as lines across a panel."""
    draw, (low, high) = (ax.axvline, ax.get_xlim()) if side == "x" else (ax.axhline, ax.get_ylim())
    for source, label, stroke in REFERENCES:
        value = reference(group, measure, source)
        if value is not None and low <= value <= high and marked(measure, source):
            draw(value, color=SOFT, linewidth=0.8, linestyle=stroke, zorder=0.5, label=label)


def reference(group: Group, measure: Measure | Column, source: str) -> float | None:
    """What real data or shuffled tuples reach."""
    if isinstance(measure, Measure):
        return measure.reference(group, source)
    number = group.measured(source, measure)
    return number.mean if number else None


def marked(measure: Measure | Column, source: str) -> bool:
    """Whether a reference has a line: shuffled tuples have distances, too, but these are not what chance reaches."""
    return bool(measure.higher_is_better) or source == "real"


def axes_words(shown: Iterable[Measure], sized: Mapping[Measure, Scale]) -> str:
    """' The axes of FMD and FID are logarithmic.'; '' where none is."""
    titles = list(dict.fromkeys(m.title for m in shown if m in sized and sized[m].kind == "log"))
    if not titles:
        return ""
    listed = " and ".join(filter(None, (", ".join(titles[:-1]), titles[-1])))
    return f" The axes of {listed} are logarithmic." if len(titles) > 1 else f" The axis of {listed} is logarithmic."


def bar(
    ax: Axes, side: Literal["x", "y"], at: tuple[float, float], ends: tuple[float, float], **look: Any
) -> list[Artist]:
    """A bar through a point from one end to the other, along one side; none where an end is not known."""
    if any(map(math.isnan, ends)):
        return []
    segment = [(end, at[1]) if side == "x" else (at[0], end) for end in ends]
    return [ax.add_collection(LineCollection([segment], **look), autolim=False)]


def deviations(mean: float, std: float) -> tuple[float, float]:
    """One standard deviation to both sides."""
    return mean - std, mean + std


def tag(artists: Iterable[Artist], number: int) -> None:
    """Say which line of the table these artists belong to; a page hides them with it."""
    for k, artist in enumerate(artists):
        artist.set_gid(f"line-{number}-{k}")
