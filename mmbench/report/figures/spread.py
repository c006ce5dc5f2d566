"""The spread of seeds."""

from __future__ import annotations

from typing import Any

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..columns import Column
from ..comparison import Group
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
        legend(figure, handles, f"{group.dataset['title']}, budget {group.budget}: spread of seeds")
    return figure


def _spread_panel(ax: Axes, group: Group, column: Column) -> None:
    names = [group.title(line) for line in group.lines]
    colours = line_colours(group)
    points: dict[str, list[Any]] = {"value": [], "model": []}
    for line in group.lines:
        number = group.number("model", column.point, line)
        points["value"] += number.values if number else []
        points["model"] += [group.title(line)] * (len(number.values) if number else 0)
    palette = {group.title(line): colours[line] for line in group.lines}
    sns.stripplot(
        points,
        x="value",
        y="model",
        hue="model",
        order=names,
        hue_order=names,
        palette=palette,
        jitter=False,
        size=5,
        alpha=0.75,
        legend=False,
        ax=ax,
    )
    for k, line in enumerate(group.lines):
        if number := group.number("model", column.point, line):
            ax.plot([number.mean] * 2, [k - 0.32, k + 0.32], color="0.1", linewidth=1.6, zorder=4)
        if paper := paper_number(group, column.point, line):
            ax.errorbar(
                paper.mean,
                k,
                xerr=bar(paper.std),
                marker="D",
                markersize=6,
                markerfacecolor="none",
                color="0.35",
                elinewidth=1,
                capsize=2,
                zorder=3,
            )
    ax.set(ylabel="", xlabel="higher is better →" if column.higher_is_better else "← lower is better")
    ax.set_title(f"{column.title}{f' ({column.unit})' if column.unit else ''}", fontsize=10)
    ax.grid(axis="y", color="0.93")
