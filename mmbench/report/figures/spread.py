"""The spread of seeds."""

from __future__ import annotations

from typing import Any

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..columns import Column
from ..comparison import Group, Line
from .style import bar, handle, legend, line_colours, panels, paper_number, styled

__all__ = ["seed_spread"]


def seed_spread(group: Group) -> Figure | None:
    """Every seed of every model: a panel for each metric and task, the mean as a bar, the paper's as a diamond."""
    columns = [column for column in group.columns if column.higher_is_better is not None]
    if not columns:
        return None
    with styled():
        figure, axes = panels(len(columns), width=3.1, height=0.9 + 0.27 * len(group.lines), extra=0.5)
        for ax, column in zip(axes, columns, strict=True):
            _spread_panel(ax, group, column)
        handles = [handle("a seed", "0.35", "o", size=5), handle("mean", "0.1", "|", size=12)]
        if any(paper_number(group, column.point, line) for column in columns for line in group.lines):
            handles.append(handle("paper, with its standard deviation", "0.35", "D", hollow=True))
        legend(figure, handles, f"{group.heading}, budget {group.budget}: spread of seeds")
    return figure


def _spread_panel(ax: Axes, group: Group, column: Column) -> None:
    _seeds(ax, group, column)
    for place, line in enumerate(group.lines):
        _mean_and_paper(ax, group, column, line, place)
    ax.set(ylabel="", xlabel="higher is better →" if column.higher_is_better else "← lower is better")
    ax.set_title(f"{column.title}{f' ({column.unit})' if column.unit else ''}", fontsize=10)
    ax.grid(axis="y", color="0.93")


def _seeds(ax: Axes, group: Group, column: Column) -> None:
    """A dot for each seed of each line."""
    titles, colours = [group.title(line) for line in group.lines], line_colours(group)
    points: dict[str, list[Any]] = {"value": [], "model": []}
    for line, title in zip(group.lines, titles, strict=True):
        number = group.number("model", column.point, line)
        points["value"] += number.values if number else []
        points["model"] += [title] * (len(number.values) if number else 0)
    palette = dict(zip(titles, (colours[line] for line in group.lines), strict=True))
    named: dict[str, Any] = {"order": titles, "hue_order": titles, "palette": palette}
    look: dict[str, Any] = {"jitter": False, "size": 5, "alpha": 0.75, "legend": False}
    sns.stripplot(points, x="value", y="model", hue="model", ax=ax, **named, **look)


def _mean_and_paper(ax: Axes, group: Group, column: Column, line: Line, place: int) -> None:
    if number := group.number("model", column.point, line):
        ax.plot([number.mean] * 2, [place - 0.32, place + 0.32], color="0.1", linewidth=1.6, zorder=4)
    if paper := paper_number(group, column.point, line):
        look: dict[str, Any] = {"marker": "D", "markersize": 6, "markerfacecolor": "none", "color": "0.35"}
        ax.errorbar(paper.mean, place, xerr=bar(paper.std), elinewidth=1, capsize=2, zorder=3, **look)
