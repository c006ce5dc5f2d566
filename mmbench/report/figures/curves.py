"""Training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...progress import one_line
from ...store import Cell
from ..comparison import Group, Line
from .style import ACROSS, new_figure, styled

__all__ = ["training_curves"]


def training_curves(group: Group, line: Line) -> Figure | None:
    """Every loss term over the optimiser's steps: new rows for each stage, a curve for each seed."""
    cells = group.of(line)
    stages = dict.fromkeys(stage for cell in cells for stage in cell["stages"])
    terms = {s: list(dict.fromkeys(t for c in cells for t in _history(c, s) if t != "step")) for s in stages}
    terms = {stage: found for stage, found in terms.items() if found}
    if not terms:
        return None
    rows = [(stage, found[k : k + ACROSS]) for stage, found in terms.items() for k in range(0, len(found), ACROSS)]
    across = max(len(found) for _, found in rows)
    with styled():
        figure = new_figure(max(2.9 * across, 4.2), 2.1 * len(rows) + 0.5)
        grid = figure.add_gridspec(len(rows), across)
        for row, (stage, found) in enumerate(rows):
            for k, term in enumerate(found):
                ax = figure.add_subplot(grid[row, k])
                _curves(ax, cells, stage, term)
                ax.set_title(one_line(f"{stage}: {term}"), fontsize=9)
                ax.set_xlabel("optimiser step" if row == len(rows) - 1 else "")
        title = f"{group.title(line)} on {group.heading}, budget {group.budget}\ntraining, a curve for each seed"
        figure.suptitle(title, fontsize=11)
    return figure


def _history(cell: Cell, stage: str) -> Mapping[str, Sequence[float | None]]:
    record = cell["stages"].get(stage)
    return record["history"] if record else {}


def _curves(ax: Axes, cells: Sequence[Cell], stage: str, term: str) -> None:
    shades = sns.color_palette("crest", max(len(cells), 2))
    for cell, colour in zip(cells, shades, strict=False):
        history = _history(cell, stage)
        if term in history:
            pairs = zip(history["step"], history[term], strict=True)
            points = [(float(x), float(y)) for x, y in pairs if x is not None and y is not None]
            steps, values = [x for x, _ in points], [y for _, y in points]
            ax.plot(steps, values, color=colour, linewidth=1.1, marker="." if len(points) < 10 else "")
    ax.ticklabel_format(style="sci", scilimits=(-3, 5), axis="both")
