"""The spread of seeds."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..comparison import Group, Line
from .axes import Scale, scales
from .looks import Look, looks
from .marks import axes_words, bar, counted, deviations, handle, reference_handles, reference_lines, tag
from .measures import Measure, key, measures
from .style import INK, SOFT, TEXT, Width, fit, in_a_row, legend, panels, styled

__all__ = ["seed_spread", "spread_words"]


def seed_spread(group: Group, width: Width = "page") -> Figure | None:
    """Every seed of every model: a panel for each metric and task, a line for each model, with the mean and its 95 %
    interval, the paper's number below it as a hollow diamond with its standard deviation, chance and real data."""
    shown = sorted(measures(group), key=lambda measure: not measure.higher_is_better)
    if not shown:
        return None
    runs = [len(list(same)) for _, same in groupby(shown, lambda measure: measure.higher_is_better)]
    with styled():
        across, sized, look = in_a_row(runs, width), scales(group, shown, {}), looks(group)
        tall = 0.5 + max(0.17 * len(group.lines), 0.34)
        figure, axes = panels(runs, width, across, tall=tall, extra=0.65)
        for ax, measure in zip(axes, shown, strict=True):
            _panel(ax, group, measure, look)
            _frame(ax, group, measure, sized)
            ax.set_title(fit(measure.task, 1.2 if width == "page" else 1.1, TEXT))
        what = "spread of seeds" if len(group.seeds) > 1 else "every task"
        legend(figure, _handles(group, shown), f"{group.heading}, budget {group.budget}: {what}", key=key(group))
    return figure


def spread_words(group: Group) -> str:
    """The caption: how to read what is drawn, and nothing that is not."""
    shown = measures(group)
    numbers = [number for m in shown for line in group.lines if (number := m.number(group, line))]
    many, one = (any((len(n.values) > 1) is several for n in numbers) for several in (True, False))
    kinds = ["of the mean (Student's t)"] if many else []
    kinds += ["of a single seed over its samples" if many else "over the samples"] if one else []
    said = f"{'Circles: seeds. ' if many else ''}Bars: the 95 % interval {', '.join(kinds)}."
    if any(m.paper(group, line) for m in shown for line in group.lines):
        said += " Grey diamonds: the paper's numbers, with its standard deviation."
    return said + axes_words(shown, scales(group, shown, {}))


def _handles(group: Group, shown: list[Measure]) -> list[Line2D]:
    grey = Look(SOFT, "o")
    several = len(group.seeds) > 1
    interval = "95 % interval of the mean" if several else "95 % interval over samples"
    found = [handle("a seed", grey, hollow=True, size=2.6), Line2D([], [], label=interval, color=SOFT, linewidth=1.6)]
    found += [Line2D([], [], label="mean", color=INK, marker="|", markersize=6, linestyle="none")] if several else []
    if any(m.paper(group, line) for m in shown for line in group.lines):
        found.append(handle("the paper's ± std", Look(SOFT, "D"), hollow=True, size=3))
    return found + reference_handles(group, shown)


def _panel(ax: Axes, group: Group, measure: Measure, look: dict[Line, Look]) -> None:
    for place, line in enumerate(group.lines):
        _line(ax, group, measure, line, place, look[line])
    first = ax.get_subplotspec().colspan.start == 0  # type: ignore[union-attr]
    if first:
        titles = [f"{fit(group.title(line), 0.62)}, {counted(group, line)}" for line in group.lines]
        ax.set_yticks(range(len(titles)), titles)
    else:
        ax.set_yticks(range(len(group.lines)))
        ax.tick_params(axis="y", labelleft=False)  # texts of nothing would be measured, too
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(group.lines) - 0.4, -0.6)


def _frame(ax: Axes, group: Group, measure: Measure, sized: Mapping[Measure, Scale]) -> None:
    if measure in sized:
        sized[measure].on(ax, "x")
        reference_lines(ax, "x", group, measure)
    ax.set_xlabel(f"{fit(measure.label, 0.8)} →" if measure.higher_is_better else f"← {fit(measure.label, 0.8)}")


def _line(ax: Axes, group: Group, measure: Measure, line: Line, place: int, look: Look) -> None:
    """One model's seeds, mean and interval, and the paper's number."""
    number, paper = measure.number(group, line), measure.paper(group, line)
    artists: list[Artist] = []
    if number:
        seeds = list(number.values)
        bounds = {"color": look.colour, "linewidth": 1.8, "alpha": 0.45}
        artists += bar(ax, "x", (number.mean, place), number.interval, **bounds)
        dots = {"marker": "o", "markersize": 2.6, "markerfacecolor": "none", "markeredgewidth": 0.6}
        artists += ax.plot(seeds, [place] * len(seeds), color=look.colour, linestyle="none", **dots)
        artists += ax.plot(number.mean, place, color=INK, marker="|", markersize=6, markeredgewidth=1.0, zorder=3)
    if paper:
        at = paper.mean, place + 0.32
        diamond = {"marker": "D", "markersize": 2.6, "markerfacecolor": "none", "markeredgewidth": 0.6}
        artists += bar(ax, "x", at, deviations(paper.mean, paper.std), color=SOFT, linewidth=0.6)
        artists += ax.plot(*at, color=SOFT, linestyle="none", **diamond)
    tag(artists, place)
