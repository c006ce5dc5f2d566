"""Coherence against quality."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..comparison import Group, Line
from ..numbers import Number
from ..paper import Published
from ..published import beside
from .axes import Scale, scales
from .looks import Look, looks
from .marks import SIDES, axes_words, bar, deviations, handle, line_handles, reference_handles, reference_lines, tag
from .measures import Measure, key, pairs
from .style import SMALL, SOFT, TEXT, Width, fit, in_a_row, legend, panels, styled

__all__ = ["trade_off", "trade_off_words"]

Pair = tuple[Measure, Measure]
"""Quality, coherence."""
BAR: dict[str, Any] = {"linewidth": 0.7}


def trade_off(group: Group, width: Width = "page") -> Figure | None:
    """Coherence against quality: a panel for each task and judged modality, a point for each model.

    Filled: ours, with a dot for each seed and bars of one standard deviation over seeds (of a single seed: the 95 %
    interval over its samples). Hollow: the paper's, with its standard deviation. None if no task has both numbers.
    """
    found = pairs(group)
    if not found:
        return None
    with styled():
        look = looks(group)
        rows = -(-len(look) // (5 if width == "page" else 3)) + 2
        figure, axes = panels([len(found)], width, in_a_row([len(found)], width), tall=1.5, extra=0.3 + 0.11 * rows)
        shown = [measure for pair in found for measure in pair]
        sized = scales(group, shown, _others(group, found))
        for ax, pair in zip(axes, found, strict=True):
            _panel(ax, group, pair, look)
            _frame(ax, group, pair, sized)
        handles = line_handles(group, look) + reference_handles(group, shown)
        handles += [handle("a seed", Look(SOFT, "o"), size=1.8)] if len(group.seeds) > 1 else []
        if any(_paper(group, pair, line) for pair in found for line in group.lines):
            handles.append(handle("paper (hollow)", Look(SOFT, "o"), hollow=True))
        if any(_elsewhere(group, *pair) for pair in found):
            handles.append(handle("published (hollow, named)", Look(SOFT, "s"), hollow=True))
        legend(figure, handles, f"{group.heading}, budget {group.budget}: coherence against quality", rows, key(group))
    return figure


def trade_off_words(group: Group) -> str:
    """The caption: how to read what is drawn, and nothing that is not."""
    found = pairs(group)
    numbers = [number for pair in found for line in group.lines for m in pair if (number := m.number(group, line))]
    published = [(pair, line) for pair in found for line in group.lines if _paper(group, pair, line)]
    many, one = [n for n in numbers if len(n.values) > 1], [n for n in numbers if _measured_spread(n)]
    bars = ["with a dot for each seed and bars of one standard deviation"] if many else []
    bars += [f"{'of a single seed' if many else 'with'} the 95 % interval over its samples"] if one else []
    ours = f"{'Filled: our' if published else 'Points: our'} {'means over seeds' if many else 'numbers'}"
    said = f"Better lies up and to the left. {', '.join([ours, *bars])}."
    if published:
        printed = any(not math.isnan(n.std) for pair, line in published for n in _paper(group, pair, line) or ())
        said += " Hollow: the paper's" + (", with its standard deviation where it prints one." if printed else ".")
    said += " Grey squares: other papers'." if any(_elsewhere(group, *pair) for pair in found) else ""
    shown = [measure for pair in found for measure in pair]
    return said + axes_words(shown, scales(group, shown, _others(group, found)))


def _measured_spread(number: Number) -> bool:
    return len(number.values) == 1 and not math.isnan(number.interval[0])


def _panel(ax: Axes, group: Group, pair: Pair, look: dict[Line, Look]) -> None:
    for k, line in enumerate(group.lines):
        x, y = (measure.number(group, line) for measure in pair)
        if x is None or y is None:
            continue
        artists = _ours(ax, x, y, look[line])
        if paper := _paper(group, pair, line):
            artists += _published(ax, *paper, look[line])
        tag(artists, k)
    for name, across, up in _elsewhere(group, *pair):
        ax.plot(across, up, marker="s", markersize=3.5, color=SOFT, markerfacecolor="none", linestyle="none", zorder=2)
        ax.annotate(name, (across, up), (4, 0), textcoords="offset points", fontsize=SMALL, color=SOFT, va="center")


def _ours(ax: Axes, x: Number, y: Number, look: Look) -> list[Artist]:
    """The mean with its bars, over a dot for each seed."""
    found: list[Artist] = []
    both = [seed for seed in x.by_seed if seed in y.by_seed]
    if len(both) > 1:
        dots = [x.by_seed[seed] for seed in both], [y.by_seed[seed] for seed in both]
        found += ax.plot(*dots, marker="o", markersize=1.6, markeredgewidth=0, color=look.colour, linestyle="none")
    for side, number in zip(SIDES, (x, y), strict=True):
        found += bar(ax, side, (x.mean, y.mean), _ends(number), color=look.colour, zorder=2.5, **BAR)
    face = {"marker": look.marker, "fillstyle": look.fill, "markerfacecoloralt": "white"}
    edge = {"markeredgecolor": "white" if look.fill == "full" else look.colour, "markeredgewidth": 0.4}
    found += ax.plot(x.mean, y.mean, color=look.colour, markersize=look.size, zorder=3, **face, **edge)
    return found


def _published(ax: Axes, x: Published, y: Published, look: Look) -> list[Artist]:
    face = {"marker": look.marker, "markersize": 1.35 * look.size, "markerfacecolor": "none", "markeredgewidth": 0.8}
    found: list[Artist] = [*ax.plot(x.mean, y.mean, color=look.colour, linestyle="none", zorder=3.5, **face)]
    for side, number in zip(SIDES, (x, y), strict=True):
        ends = deviations(number.mean, number.std)
        found += bar(ax, side, (x.mean, y.mean), ends, color=look.colour, zorder=3.5, **BAR)
    return found


def _frame(ax: Axes, group: Group, pair: Pair, sized: Mapping[Measure, Scale]) -> None:
    quality, coherence = pair
    for side, measure in zip(SIDES, pair, strict=True):
        if measure in sized:
            sized[measure].on(ax, side)
        reference_lines(ax, side, group, measure)
    ax.set_title(fit(quality.task, 1.35, TEXT))
    ax.set(xlabel=f"← {fit(quality.label, 1.2)}", ylabel=f"{fit(coherence.label, 1.0)} →")


def _paper(group: Group, pair: Pair, line: Line) -> tuple[Published, Published] | None:
    if any(measure.number(group, line) is None for measure in pair):
        return None
    x, y = (measure.paper(group, line) for measure in pair)
    return (x, y) if x and y else None


def _elsewhere(group: Group, quality: Measure, coherence: Measure) -> list[tuple[str, float, float]]:
    """(model, quality, coherence) of other papers that print both."""
    found = {}
    for number in beside(group):
        for side, measure in enumerate((quality, coherence)):
            if number.point[:2] == measure.kind and measure.is_mean:
                found.setdefault(number.title, {})[side] = number
    return [(both[0].model, both[0].mean, both[1].mean) for both in found.values() if len(both) == 2]


def _others(group: Group, found: Sequence[Pair]) -> dict[Measure, list[float]]:
    """The numbers of other papers, for the axes."""
    values: dict[Measure, list[float]] = {}
    for pair in found:
        for _, *place in _elsewhere(group, *pair):
            for measure, value in zip(pair, place, strict=True):
                values.setdefault(measure, []).append(value)
    return values


def _ends(number: Number) -> tuple[float, float]:
    """One standard deviation over seeds; of a single seed the interval over its samples."""
    return number.interval if len(number.values) == 1 else deviations(number.mean, number.std)
