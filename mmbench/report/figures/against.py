"""Metrics against a setting, and coherence against quality as a curve along it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...config import canonical
from ..against import Series, Trade, front, trades
from ..columns import Column
from ..comparison import Group, Line
from ..layout import main_columns
from .axes import scale_of
from .looks import FILLS, Look, look_of
from .marks import bar, marked, reference, reference_handles, reference_lines
from .measures import key
from .style import INK, SMALL, SOFT, TEXT, Width, cut, fit, in_a_row, legend, panels, styled

__all__ = ["against", "fronts"]

WIDE = 20.0
"""Largest over smallest value from which on a setting's axis is logarithmic."""


def against(group: Group, some: Sequence[Series], setting: str, width: Width = "page") -> Figure | None:
    """A panel for each main column: means by the setting's value, with 95 % intervals (over seeds; of a single seed
    over its samples). None where no column was measured."""
    columns = [column for column in main_columns(group) if column.higher_is_better is not None]
    if not columns:
        return None
    with styled():
        look = _looks(some)
        across = in_a_row([len(columns)], width, 3)
        figure, axes = panels([len(columns)], width, across, tall=1.5, extra=0.5)
        ticks, lines = _positions(some), [line for one in some for line in one.lines]
        for ax, column in zip(axes, columns, strict=True):
            for one in some:
                _curve(ax, group, one, column, look[one.title], ticks)
            _scaled(ax, "y", group, column, lines)
            _setting_axis(ax, some, setting, ticks)
            ax.set_title(fit(column.title, 1.9, TEXT))
        handles = _handles(some, look) + reference_handles(group, columns)
        title = f"{group.heading}, budget {group.budget}: against {setting}"
        legend(figure, handles, title, key=key(group))
    return figure


def fronts(group: Group, some: Sequence[Series], setting: str, width: Width = "page") -> Figure | None:
    """Coherence against quality: a curve for each series, each point with its value, and the Pareto front of all lines
    of the table. None where no task has both."""
    found = trades(group)
    if not found:
        return None
    with styled():
        look = _looks(some)
        figure, axes = panels([len(found)], width, in_a_row([len(found)], width, 3), tall=1.9, extra=0.6)
        for ax, trade in zip(axes, found, strict=True):
            _front(ax, group, trade)
            for one in some:
                _trade(ax, group, one, trade, look[one.title])
            _scaled(ax, "x", group, trade.quality, group.lines)
            _scaled(ax, "y", group, trade.coherence, group.lines)
            ax.set(xlabel=f"← {fit(trade.quality.title, 1.6)}", ylabel=f"{fit(trade.coherence.title, 1.4)} →")
        handles = [
            *_handles(some, look),
            Line2D([], [], color=SOFT, linestyle="--", linewidth=0.8, label="Pareto front"),
            *reference_handles(group, [column for trade in found for column in (trade.quality, trade.coherence)]),
        ]
        title = f"{group.heading}, budget {group.budget}: the Pareto front along {setting}"
        legend(figure, handles, title, key=key(group))
    return figure


def _curve(ax: Axes, group: Group, one: Series, column: Column, look: Look, ticks: dict[str, float]) -> None:
    found = [(v, group.measured("model", column, line)) for v, line in zip(one.values, one.lines, strict=True)]
    points = [(ticks[canonical(value)], number) for value, number in found if number]
    ax.plot([x for x, _ in points], [number.mean for _, number in points], **_style(look), linewidth=0.9)
    for x, number in points:
        bar(ax, "y", (x, number.mean), number.interval, color=look.colour, linewidth=0.7)


def _trade(ax: Axes, group: Group, one: Series, trade: Trade, look: Look) -> None:
    found = [(value, trade.place(group, line)) for value, line in zip(one.values, one.lines, strict=True)]
    points = [(value, place) for value, place in found if place]
    ax.plot([place[0] for _, place in points], [place[1] for _, place in points], **_style(look), linewidth=0.9)
    for value, place in points:
        ax.annotate(cut(canonical(value), 12), place, (3, 3), textcoords="offset points", fontsize=SMALL, color=INK)


def _scaled(ax: Axes, side: Literal["x", "y"], group: Group, column: Column, lines: Iterable[Line]) -> None:
    """The axis of a column, with chance and real data on it."""
    numbers = [number for line in lines if (number := group.measured("model", column, line))]
    ends = [end for n in numbers for end in (n.mean, *n.interval) if not math.isnan(end)]
    if column.higher_is_better is False:
        ends = [end for end in ends if end > 0] or ends
    if ends:
        references = [reference(group, column, source) for source in ("shuffled", "real") if marked(column, source)]
        scale_of(column, ends, references).on(ax, side)
        reference_lines(ax, side, group, column)


def _front(ax: Axes, group: Group, trade: Trade) -> None:
    """The border of what is dominated: from each point of the front to the right, then up to the next."""
    places = front(group, trade)
    if len(places) > 1:
        xs, ys = zip(*places, strict=True)
        ax.plot(xs, ys, color=SOFT, linestyle="--", linewidth=0.8, drawstyle="steps-post", zorder=0.8)


def _positions(some: Sequence[Series]) -> dict[str, float]:
    """Value -> its place on the axis: itself where all are numbers, else its rank."""
    every = {canonical(value): value for one in some for value in one.values}
    if all(one.numeric for one in some):
        return {word: float(value) for word, value in every.items()}
    return {word: float(k) for k, word in enumerate(every)}


def _setting_axis(ax: Axes, some: Sequence[Series], setting: str, ticks: dict[str, float]) -> None:
    low, high = min(ticks.values()), max(ticks.values())
    if all(one.numeric for one in some) and low > 0 and high / low >= WIDE:
        ax.set_xscale("log")
    ax.set_xticks(list(ticks.values()), [cut(word, 10) for word in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlabel(fit(setting, 1.6))


def _looks(some: Sequence[Series]) -> dict[str, Look]:
    """Each series has its model's colour and marker, half filled where a model has several."""
    found: dict[str, Look] = {}
    for one in some:
        plain = look_of(one.lines[0].model)
        alike = [Look(plain.colour, plain.marker, fill) for fill in FILLS]
        found[one.title] = next((look for look in alike if look not in found.values()), alike[-1])
    return found


def _style(look: Look) -> dict[str, Any]:
    return {
        "color": look.colour,
        "marker": look.marker,
        "markersize": look.size,
        "fillstyle": look.fill,
        "markerfacecoloralt": "white",
        "markeredgewidth": 0.5,
    }


def _handles(some: Sequence[Series], look: dict[str, Look]) -> list[Line2D]:
    return [Line2D([], [], label=cut(one.title, 36), linewidth=0.9, **_style(look[one.title])) for one in some]
