"""Axes on which noise does not look like an effect, and of which those of one quantity are alike in a figure.

Percentages stand between 0 and 100. A distance's axis is logarithmic, spans a factor and has the real data's own
distance on it; any other reaches from chance to real data.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FormatStrFormatter, LogLocator, MaxNLocator, NullLocator

from ..comparison import Group
from .measures import Measure

__all__ = ["Scale", "scale_of", "scales"]

FACTOR = 3.0
"""The least that a distance's axis spans, from end to end."""
PART = 0.2
"""Part of the largest value that any other axis spans at least."""
ROOM = 0.07
"""Room at each end, as a part of the axis: no marker lies on the frame."""
MOST = 600.0
"""Of the logarithm of a limit."""


class Quantity(Protocol):
    """What has a unit and a better side: a `Measure`, a `Column`."""

    @property
    def unit(self) -> str: ...
    @property
    def higher_is_better(self) -> bool | None: ...


@dataclass(frozen=True)
class Scale:
    """Limits and kind of an axis."""

    low: float
    high: float
    kind: Literal["linear", "log", "percent"]

    def on(self, ax: Axes, side: Literal["x", "y"]) -> None:
        """Scale, ticks and limits of one axis."""
        axis = ax.xaxis if side == "x" else ax.yaxis
        if self.kind == "log":
            (ax.set_xscale if side == "x" else ax.set_yscale)("log")
            axis.set_major_locator(LogLocator(subs=_subs(self.high / self.low), numticks=9))
            axis.set_major_formatter(FormatStrFormatter("%g"))
            axis.set_minor_locator(NullLocator())
        else:
            percents = FixedLocator([0, 50, 100] if side == "x" else [0, 25, 50, 75, 100])
            axis.set_major_locator(percents if self.kind == "percent" else MaxNLocator(4, min_n_ticks=2))
        (ax.set_xlim if side == "x" else ax.set_ylim)(self.low, self.high)


def scale_of(quantity: Quantity, values: Sequence[float], references: Iterable[float | None] = ()) -> Scale:
    """The scale of an axis on which these values and references (chance, real data) stand."""
    known = [value for value in references if value is not None]
    if quantity.higher_is_better is False and min(values) > 0:
        inside = [math.log(value) for value in (*values, *known) if value > 0]
        low, high = _spanning(min(inside), max(inside), math.log(FACTOR))
        return Scale(math.exp(max(low, -MOST)), math.exp(min(high, MOST)), "log")
    inside = [*values, *known, *(() if quantity.higher_is_better else (0.0,))]
    if quantity.unit == "%":
        return Scale(*_spanning(min(0.0, *inside), max(100.0, *inside), 0.0), "percent")
    return Scale(*_spanning(min(inside), max(inside), PART * max(map(abs, inside)) or 1.0), "linear")


def scales(group: Group, shown: Iterable[Measure], more: Mapping[Measure, Sequence[float]]) -> dict[Measure, Scale]:
    """A scale for each measure that has numbers: one for all tasks of a metric and a judged modality. `more` are values
    besides ours and the paper's."""
    alike: dict[tuple[str, str], list[Measure]] = {}
    for measure in dict.fromkeys(shown):
        alike.setdefault((measure.metric, "" if measure.higher_is_better else measure.target), []).append(measure)
    found: dict[Measure, Scale] = {}
    for some in alike.values():
        values = [value for m in some for value in (*_values(group, m), *more.get(m, ()))]
        sources = ("shuffled", "real") if some[0].higher_is_better else ("real",)
        references = [m.reference(group, source) for m in some for source in sources]
        found |= dict.fromkeys(some, scale_of(some[0], values, references)) if values else {}
    return found


def _values(group: Group, measure: Measure) -> list[float]:
    """Every seed's number of every line, and the paper's."""
    found: list[float] = []
    for line in group.lines:
        number, paper = measure.number(group, line), measure.paper(group, line)
        found += [*(number.values if number else ()), *([paper.mean] if paper else ())]
    return found


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
