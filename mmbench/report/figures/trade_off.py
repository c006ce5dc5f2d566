"""Coherence against quality."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from ..comparison import Group, Line
from ..numbers import Number
from ..paper import Published
from ..published import beside
from .axes import set_axis
from .looks import Look, looks
from .marks import arms, handle, line_handles, reference_handles, reference_lines, tag
from .measures import Measure, pairs
from .style import SOFT, TEXT, Width, fit, legend, panels, styled

__all__ = ["trade_off"]

BAR: dict[str, Any] = {"elinewidth": 0.7, "capsize": 0, "linestyle": "none"}


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
        rows = -(-len(look) // (3 if width == "column" else 5)) + 1
        across = 2 if width == "column" else 3 if len(found) % 3 == 0 else 4
        figure, axes = panels(len(found), width, across, tall=1.5, extra=0.3 + 0.11 * rows)
        for ax, (quality, coherence) in zip(axes, found, strict=True):
            _panel(ax, group, quality, coherence, look)
        handles = line_handles(group, look) + reference_handles(group, [coherence for _, coherence in found])
        handles += [handle("a seed", Look(SOFT, "o"), size=1.8)] if len(group.seeds) > 1 else []
        if any(_paper(group, pair, line) for pair in found for line in group.lines):
            handles.append(handle("paper (hollow)", Look(SOFT, "o"), hollow=True))
        if any(_elsewhere(group, *pair) for pair in found):
            handles.append(handle("published (hollow, named)", Look(SOFT, "s"), hollow=True))
        legend(figure, handles, f"{group.heading}, budget {group.budget}: coherence against quality", rows)
    return figure


def _panel(ax: Axes, group: Group, quality: Measure, coherence: Measure, look: dict[Line, Look]) -> None:
    xs: list[float] = []
    ys: list[float] = []
    for k, line in enumerate(group.lines):
        x, y = quality.number(group, line), coherence.number(group, line)
        if x is None or y is None:
            continue
        artists = _ours(ax, x, y, look[line])
        xs, ys = [*xs, *x.values], [*ys, *y.values]
        if paper := _paper(group, (quality, coherence), line):
            artists += _published(ax, *paper, look[line])
            xs, ys = [*xs, paper[0].mean], [*ys, paper[1].mean]
        tag(artists, k)
    for name, across, up in _elsewhere(group, quality, coherence):
        ax.plot(across, up, marker="s", markersize=3.5, color=SOFT, markerfacecolor="none", linestyle="none", zorder=2)
        ax.annotate(name, (across, up), (4, 0), textcoords="offset points", fontsize=TEXT - 2, color=SOFT, va="center")
        xs, ys = [*xs, across], [*ys, up]
    _frame(ax, group, quality, coherence, xs, ys)


def _ours(ax: Axes, x: Number, y: Number, look: Look) -> list[Artist]:
    """The mean with its bars, over a dot for each seed."""
    found: list[Artist] = []
    both = [seed for seed in x.by_seed if seed in y.by_seed]
    if len(both) > 1:
        dots = [x.by_seed[seed] for seed in both], [y.by_seed[seed] for seed in both]
        found += ax.plot(*dots, marker="o", markersize=1.6, markeredgewidth=0, color=look.colour, linestyle="none")
    bars = {"xerr": _bar(x), "yerr": _bar(y), "color": look.colour, "zorder": 2.5, **BAR}
    found += _parts(ax.errorbar(x.mean, y.mean, **bars))
    face = {"marker": look.marker, "fillstyle": look.fill, "markerfacecoloralt": "white"}
    edge = {"markeredgecolor": "white" if look.fill == "full" else look.colour, "markeredgewidth": 0.4}
    found += ax.plot(x.mean, y.mean, color=look.colour, markersize=look.size, zorder=3, **face, **edge)
    return found


def _published(ax: Axes, x: Published, y: Published, look: Look) -> list[Artist]:
    spread = {"xerr": _std(x.std), "yerr": _std(y.std), "ecolor": look.colour, "color": look.colour, "zorder": 3.5}
    face = {"marker": look.marker, "markersize": 1.35 * look.size, "markerfacecolor": "none", "markeredgewidth": 0.8}
    return _parts(ax.errorbar(x.mean, y.mean, **spread, **face, **BAR))


def _frame(ax: Axes, group: Group, quality: Measure, coherence: Measure, xs: list[float], ys: list[float]) -> None:
    if xs:
        set_axis(ax, "x", quality, xs, [])
        set_axis(ax, "y", coherence, ys, [coherence.reference(group, source) for source in ("shuffled", "real")])
    reference_lines(ax, "x", group, quality)
    reference_lines(ax, "y", group, coherence)
    ax.set_title(fit(quality.task, 1.35, TEXT))
    ax.set(xlabel=f"← {fit(quality.label, 1.2)}", ylabel=f"{fit(coherence.label, 1.0)} →")


def _paper(group: Group, pair: tuple[Measure, Measure], line: Line) -> tuple[Published, Published] | None:
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


def _bar(number: Number) -> list[list[float]] | float | None:
    """One standard deviation over seeds; of a single seed the interval over its samples."""
    return arms(number.mean, number.interval) if len(number.values) == 1 else number.std


def _std(std: float) -> float | None:
    return None if math.isnan(std) else std


def _parts(container: ErrorbarContainer) -> list[Artist]:
    return [artist for artist in container.get_children() if artist is not None]
