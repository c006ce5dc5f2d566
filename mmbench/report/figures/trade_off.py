"""Coherence against quality."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from ..columns import Column
from ..comparison import Group, Line
from ..paper import COHERENCE
from .style import MARKERS, bar, handle, legend, line_colours, marker_size, panels, paper_number, styled

__all__ = ["trade_off"]


def trade_off(group: Group) -> Figure | None:
    """Coherence against quality: a panel for each task and judged modality, a point for each model.

    Filled: ours, with a small dot for each seed. Hollow: the paper's. None if no task has both numbers.
    """
    pairs = _pairs(group)
    if not pairs:
        return None
    with styled():
        figure, axes = panels(len(pairs), width=3.1, height=2.9, extra=0.62)
        colours = line_colours(group)
        for ax, (quality, coherence) in zip(axes, pairs, strict=True):
            for number, line in enumerate(group.lines):
                _trade_off_point(ax, group, quality, coherence, line, colours[line], MARKERS[number % len(MARKERS)])
            _trade_off_axes(ax, group, quality, coherence)
        handles = [handle(group.title(x), colours[x], MARKERS[k % len(MARKERS)]) for k, x in enumerate(group.lines)]
        if any(
            group.number("model", c.point, x) and paper_number(group, c.point, x) for _, c in pairs for x in group.lines
        ):
            handles.append(handle("paper", "0.35", "o", hollow=True))
        legend(figure, handles, f"{group.heading}, budget {group.budget}: coherence against quality")
    return figure


def _pairs(group: Group) -> list[tuple[Column, Column]]:
    """(quality, coherence) of the same task; the coherence of the same modality if there is one."""
    pairs = []
    for quality in (column for column in group.columns if column.higher_is_better is False):
        same = [c for c in group.columns if c.higher_is_better and c.point[1] == quality.point[1]]
        same.sort(key=lambda c: (c.metric != COHERENCE, c.point[2] != quality.point[2]))
        pairs += [(quality, same[0])] if same else []
    return pairs


def _trade_off_point(
    ax: Axes, group: Group, quality: Column, coherence: Column, line: Line, colour: Any, marker: str
) -> None:
    x, y = group.number("model", quality.point, line), group.number("model", coherence.point, line)
    if x is None or y is None:
        return
    size = marker_size(marker)
    ours = {"color": colour, "linestyle": "none"}
    both = [(x.values[x.seeds.index(seed)], y.values[y.seeds.index(seed)]) for seed in x.seeds if seed in y.seeds]
    if len(both) > 1:
        ax.plot(*zip(*both, strict=True), marker=".", markersize=3.5, alpha=0.55, **ours)
    spread = {"xerr": bar(x.std), "yerr": bar(y.std), "elinewidth": 1, "capsize": 2}
    ax.errorbar(x.mean, y.mean, marker=marker, markersize=size, markeredgecolor="white", zorder=3, **spread, **ours)
    if x.paper and y.paper:
        hollow = {"marker": marker, "markersize": size, "markerfacecolor": "none", "linestyle": "none", "color": colour}
        ax.plot([x.mean, x.paper.mean], [y.mean, y.paper.mean], color=colour, linewidth=0.6, alpha=0.4, zorder=1)
        ax.plot(x.paper.mean, y.paper.mean, zorder=2, **hollow)


def _trade_off_axes(ax: Axes, group: Group, quality: Column, coherence: Column) -> None:
    low, high = ax.get_xlim()
    values = [v for line in ax.get_lines() for v in np.asarray(line.get_xdata(), dtype=float) if v > 0]
    if low < high and values and max(values) > 8 * min(values):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        ax.xaxis.set_minor_locator(NullLocator())
    unit = f" ({coherence.unit})" if coherence.unit else ""
    ax.set_xlabel(f"{quality.label}  ← better")
    ax.set_ylabel(f"{coherence.title}{unit}")
    real = group.number("real", coherence.point)
    if real:
        ax.axhline(real.mean, color="0.5", linewidth=0.8, linestyle=":", zorder=0)
        at = ("axes fraction", "data")
        ax.annotate("real data", (0.02, real.mean), xycoords=at, fontsize=7, color="0.4", va="bottom")
    if coherence.unit == "%":
        ax.set_ylim(0, 104)
