"""The spread of seeds."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..comparison import Group, Line
from .axes import set_axis
from .looks import Look, looks
from .marks import arms, counted, handle, reference_handles, reference_lines, tag
from .measures import Measure, measures
from .style import INK, SOFT, TEXT, Width, fit, legend, panels, styled

__all__ = ["seed_spread"]


def seed_spread(group: Group, width: Width = "page") -> Figure | None:
    """Every seed of every model: a panel for each metric and task, a line for each model, with the mean and its 95 %
    interval, the paper's number below it as a hollow diamond with its standard deviation, chance and real data."""
    shown = measures(group)
    if not shown:
        return None
    with styled():
        across = 2 if width == "column" else 4
        tall = 0.5 + max(0.17 * len(group.lines), 0.34)
        figure, axes = panels(len(shown), width, across, tall=tall, extra=0.55)
        look = looks(group)
        for k, (ax, measure) in enumerate(zip(axes, shown, strict=True)):
            _panel(ax, group, measure, look, named=k % min(across, len(shown)) == 0)
            ax.set_title(fit(measure.task, 0.9 if width == "column" else 1.2, TEXT))
        legend(figure, _handles(group, shown), f"{group.heading}, budget {group.budget}: spread of seeds")
    return figure


def _handles(group: Group, shown: list[Measure]) -> list[Line2D]:
    grey = Look(SOFT, "o")
    several = len(group.seeds) > 1
    interval = "95 % interval of the mean" if several else "95 % interval over samples"
    found = [handle("a seed", grey, hollow=True, size=2.6), Line2D([], [], label=interval, color=SOFT, linewidth=1.6)]
    found += [Line2D([], [], label="mean", color=INK, marker="|", markersize=6, linestyle="none")] if several else []
    if any(m.paper(group, line) for m in shown for line in group.lines):
        found.append(handle("the paper's ± std", Look(SOFT, "D"), hollow=True, size=3))
    return found + reference_handles(group, shown)


def _panel(ax: Axes, group: Group, measure: Measure, look: dict[Line, Look], *, named: bool) -> None:
    values: list[float] = []
    for place, line in enumerate(group.lines):
        values += _line(ax, group, measure, line, place, look[line])
    titles = [f"{fit(group.title(line), 0.62)}, {counted(group, line)}" if named else "" for line in group.lines]
    ax.set_yticks(range(len(titles)), titles)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(titles) - 0.4, -0.6)
    if values:
        references = [measure.reference(group, source) for source in ("shuffled", "real")]
        set_axis(ax, "x", measure, values, references)
        reference_lines(ax, "x", group, measure)
    ax.set_xlabel(f"{fit(measure.label, 0.8)} →" if measure.higher_is_better else f"← {fit(measure.label, 0.8)}")


def _line(ax: Axes, group: Group, measure: Measure, line: Line, place: int, look: Look) -> list[float]:
    """One model's seeds, mean and interval, and the paper's number; the values that the axis must show."""
    number, paper, shown = measure.number(group, line), measure.paper(group, line), []
    artists = []
    if number:
        seeds = list(number.values)
        bounds = {"xerr": arms(number.mean, number.interval), "color": look.colour, "elinewidth": 1.8, "alpha": 0.45}
        artists += [part for part in ax.errorbar(number.mean, place, **bounds).get_children() if part]
        dots = {"marker": "o", "markersize": 2.6, "markerfacecolor": "none", "markeredgewidth": 0.6}
        artists += ax.plot(seeds, [place] * len(seeds), color=look.colour, linestyle="none", **dots)
        artists += ax.plot(number.mean, place, color=INK, marker="|", markersize=6, markeredgewidth=1.0, zorder=3)
        shown += seeds
    if paper:
        bar = {"xerr": None if math.isnan(paper.std) else paper.std, "elinewidth": 0.6, "color": SOFT}
        look_of = {"marker": "D", "markersize": 2.6, "markerfacecolor": "none", "markeredgewidth": 0.6}
        artists += [part for part in ax.errorbar(paper.mean, place + 0.32, **bar, **look_of).get_children() if part]
        shown.append(paper.mean)
    tag(artists, group.lines.index(line))
    return shown
