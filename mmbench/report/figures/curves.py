"""Training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ...progress import one_line
from ...store import Cell
from ..comparison import Group, Line
from .looks import seed_look
from .style import TEXT, Width, cut, fit, in_a_row, legend, panels, styled

__all__ = ["tick_words", "training_curves", "training_words"]

MOST = 6
"""Panels of a figure: each stage's loss, then as many of its parts as have room."""
POINTS = 400
"""Of a curve, at most: more than these no reader sees."""
NAMED = 10
"""Seeds that the legend names."""
ABBREVIATED = ("nll", "kl", "elbo", "mse")
BEGINNING = 0.05
"""Part of the training that does not decide the axis, since losses begin far above where they end."""


def training_curves(group: Group, line: Line, width: Width = "page") -> Figure | None:
    """Losses over the optimiser's steps: a panel for each stage's loss and, where there is room, for its parts; a
    curve for each seed, in the seed's own colour. None if nothing was recorded."""
    cells = group.of(line)
    shown, more = _chosen(cells)
    if not shown:
        return None
    with styled():
        figure, axes = panels([len(shown)], width, in_a_row([len(shown)], width), tall=1.15, extra=0.5)
        for ax, (stage, term) in zip(axes, shown, strict=True):
            _panel(ax, cells, stage, term, width)
        title = f"{cut(group.title(line), 40)} on {group.heading}, budget {group.budget}: training"
        legend(figure, _handles(cells, more), title)
    return figure


def training_words(group: Group, line: Line) -> str:
    """The caption: how to read what is drawn."""
    seeds = ", a curve for each seed" if len(group.of(line)) > 1 else ""
    return f"Losses over the optimiser's steps{seeds}; the first steps may lie above the axis."


def _chosen(cells: Sequence[Cell]) -> tuple[list[tuple[str, str]], int]:
    """(stage, term) of each panel, in the order of training, and how many terms are left out."""
    stages = dict.fromkeys(stage for cell in cells for stage in cell["stages"])
    terms = {s: list(dict.fromkeys(t for c in cells for t in _history(c, s) if t != "step")) for s in stages}
    losses = [(stage, "loss" if "loss" in found else found[0]) for stage, found in terms.items() if found]
    every = [(stage, term) for stage, found in terms.items() for term in found]
    parts = [one for one in every if one not in losses and _differs(cells, *one)]
    chosen = losses[:MOST] + parts[: max(MOST - len(losses), 0)]
    return [one for one in every if one in chosen], len(losses) + len(parts) - len(chosen)


def _differs(cells: Sequence[Cell], stage: str, term: str) -> bool:
    """Whether a part is another curve than its loss."""
    return any(term in h and h[term] != h.get("loss") for h in (_history(cell, stage) for cell in cells))


def _handles(cells: Sequence[Cell], more: int) -> list[Line2D]:
    """The seeds, and a word about what is not drawn."""
    found = []
    for cell in cells[:NAMED]:
        colour, stroke = seed_look(cell["seed"])
        found.append(Line2D([], [], label=f"seed {cell['seed']}", color=colour, linestyle=stroke, linewidth=1))
    rest = [f"{len(cells) - NAMED} more seeds"] if len(cells) > NAMED else []
    rest += [f"{more} more terms are in the cells' files"] if more else []
    return found + [Line2D([], [], label=f"({words})", linestyle="none") for words in rest]


def _history(cell: Cell, stage: str) -> Mapping[str, Sequence[float | None]]:
    record = cell["stages"].get(stage)
    return record["history"] if record else {}


def _panel(ax: Axes, cells: Sequence[Cell], stage: str, term: str, width: Width) -> None:
    settled: list[float] = []
    for cell in cells:
        history = _history(cell, stage)
        if term not in history:
            continue
        pairs = zip(history["step"], history[term], strict=True)
        points = [(float(x), float(y)) for x, y in pairs if x is not None and y is not None]
        points = points[:: -(-len(points) // POINTS) or 1]
        colour, stroke = seed_look(cell["seed"])
        xs, ys = [x for x, _ in points], [y for _, y in points]
        marker = "." if len(points) < 10 else ""
        ax.plot(xs, ys, color=colour, linestyle=stroke, linewidth=0.8, marker=marker, markersize=3)
        settled += ys[int(BEGINNING * len(ys)) :]
    _limit(ax, settled)
    ax.set_title(
        fit(_words(term) if stage == term else f"{stage}: {_words(term)}", 1.45 if width == "page" else 1.2, TEXT)
    )
    ax.set_xlabel("optimiser step")


def _limit(ax: Axes, settled: Sequence[float]) -> None:
    """Limits by what comes after the beginning, where that is not flat; ticks that stay few and short."""
    if settled and max(settled) > min(settled):
        room = 0.08 * (max(settled) - min(settled))
        ax.set_ylim(min(settled) - room, max(settled) + room)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(4, integer=axis is ax.xaxis))
        axis.set_major_formatter(FuncFormatter(lambda value, _: tick_words(value)))


def tick_words(value: float) -> str:
    """'250', '2.5k', '12M', '1e-05': each tick says its number, without a factor at the end of the axis."""
    for least, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if least <= abs(value) < 1e13:
            return f"{value / least:.10g}{unit}"
    return f"{value:.6g}".replace("e+", "e")


def _words(term: str) -> str:
    """A term of a loss in print: 'NLL of name from name' for 'nll_name_from_name'."""
    words = one_line(term).replace("_", " ").split(" ")
    if len(words) > 1 and words[0] == "nll":
        words.insert(1, "of")
    return " ".join(word.upper() if word in ABBREVIATED else word for word in words)
