"""Axes on which noise does not look like an effect: they reach from chance to real data, or span a factor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullLocator

from .measures import Measure

__all__ = ["limits", "set_axis"]

FACTOR = 3.0
"""The least that a distance's axis spans, from end to end."""
SHARE = 20.0
"""Points that an axis of percentages spans at least."""
PART = 0.2
"""Part of the largest value that any other axis spans at least."""
ROOM = 0.07
"""Room at each end, as a part of the axis: no marker lies on the frame."""


def set_axis(
    ax: Axes, side: Literal["x", "y"], measure: Measure, values: Sequence[float], references: Iterable[float | None]
) -> None:
    """Scale, limits and ticks of one axis for these values; `references` (chance, real data) are within the limits of
    what is better the higher it is."""
    low, high, log = limits(measure, values, [value for value in references if value is not None])
    axis = ax.xaxis if side == "x" else ax.yaxis
    if log:
        (ax.set_xscale if side == "x" else ax.set_yscale)("log")
        axis.set_major_locator(LogLocator(subs=_subs(high / low), numticks=9))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_locator(MaxNLocator(4, min_n_ticks=2))
    (ax.set_xlim if side == "x" else ax.set_ylim)(low, high)


def limits(measure: Measure, values: Sequence[float], references: Sequence[float]) -> tuple[float, float, bool]:
    """(low, high, whether the scale is logarithmic)."""
    if not measure.higher_is_better and min(values) > 0:
        low, high = math.log(min(values)), math.log(max(values))
        low, high = _spanning(low, high, math.log(FACTOR))
        return math.exp(max(low, -600.0)), math.exp(min(high, 600.0)), True
    inside = [*values, *(references if measure.higher_is_better else ()), *(() if measure.higher_is_better else (0.0,))]
    least = SHARE if measure.unit == "%" else PART * max(map(abs, inside)) or 1.0
    return (*_spanning(min(inside), max(inside), least), False)


def _subs(factor: float) -> tuple[float, ...]:
    """Where an axis of this factor has its ticks within a decade: two to five of them are seen."""
    if factor < 5:
        return (1, 1.5, 2, 3, 5, 7)
    return (1, 2, 5) if factor < 40 else (1,)


def _spanning(low: float, high: float, least: float) -> tuple[float, float]:
    """The limits with room at both ends, at least so wide."""
    more = max(0.0, least * (1 - 2 * ROOM) - (high - low)) / 2
    low, high = low - more, high + more
    room = (high - low) * ROOM / (1 - 2 * ROOM)
    return low - room, high + room
