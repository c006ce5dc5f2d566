"""How figures look, and how they are saved."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...errors import ResultError
from ...store.files import whole
from ..comparison import Group, Line
from ..paper import Point

__all__ = [
    "ACROSS",
    "MARKERS",
    "bar",
    "handle",
    "legend",
    "line_colours",
    "marker_size",
    "new_figure",
    "panels",
    "paper_number",
    "picture_format",
    "save",
    "styled",
]

DPI = 150
FORMS = ("png", "jpg", "jpeg", "webp", "tif", "tiff", "pdf", "svg", "eps")
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
}
"""The same figure gives the same bytes."""
PLAIN: dict[Any, Any] = {"text.parse_math": False, "svg.hashsalt": "mmbench"}
"""Dollars in names are dollars, and what an SVG calls its parts is not random."""
ACROSS = 4
"""Panels in a row."""
MARKERS = "osD^v*PX<>hp"
"""Of the lines of a table, in order: MLD has the star."""
COLOURS = (0, 1, 2, 9, 4, 3, 7, 8, 5, 6)
"""Of the lines, in seaborn's palette 'colorblind': MLD has the vermilion."""


def save(figure: Figure, path: Path) -> Path:
    """Write a figure whole, as PNG or in the form that the path's ending names, and return the path.

    Raises ResultError if it cannot be written.
    """
    form = picture_format(path)
    try:
        with whole(path) as temporary, temporary.open("wb") as file, mpl.rc_context(PLAIN):
            figure.savefig(file, format=form, dpi=DPI, metadata=METADATA.get(form))
    except ValueError as error:
        raise ResultError(f"the figure {path} cannot be drawn ({error})") from error
    return path


def picture_format(path: Path) -> str:
    """The form that a path's ending names, PNG where it has none; ResultError for one that is no picture."""
    form = path.suffix[1:].lower() or "png"
    if form not in FORMS:
        known = ", ".join(f".{known}" for known in FORMS)
        raise ResultError(f"{path} ends with no form of pictures that can be written: end it with one of {known}")
    return form


def new_figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """Width and height in inches."""
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def panels(count: int, *, width: float, height: float, extra: float) -> tuple[Figure, list[Axes]]:
    """`count` panels of this size in inches, at most `ACROSS` in a row, with `extra` inches for title and legend."""
    across = min(count, ACROSS) if count != ACROSS + 1 else 3
    down = -(-count // across)
    figure = new_figure(width * max(across, 2), height * down + extra)
    grid = figure.add_gridspec(down, across)
    return figure, [figure.add_subplot(grid[k // across, k % across]) for k in range(count)]


@contextmanager
def styled(*, grid: bool = True) -> Iterator[None]:
    """Seaborn's look for the figures made inside; the user's settings are back afterwards."""
    own: dict[Any, Any] = {
        "text.parse_math": False,  # a name with dollars is a name
        "font.family": "DejaVu Sans",
        "axes.titlesize": 10,
        "axes.labelsize": 9,
        "xtick.labelsize": 8,
    }
    own |= {"ytick.labelsize": 8, "grid.color": "0.92", "axes.edgecolor": "0.6", "xtick.major.size": 3}
    own |= PLAIN
    with sns.axes_style("whitegrid" if grid else "white"), mpl.rc_context(own):
        yield


def line_colours(group: Group) -> dict[Line, Any]:
    count, palette = len(group.lines), sns.color_palette("colorblind", len(COLOURS))
    colours = [palette[k] for k in COLOURS[:count]] if count <= len(COLOURS) else sns.color_palette("husl", count)
    return dict(zip(group.lines, colours, strict=True))


def marker_size(marker: str) -> float:
    """A star is the smallest of the markers of one size."""
    return 11 if marker == "*" else 7


def handle(label: str, colour: Any, marker: str, *, hollow: bool = False, size: float | None = None) -> Line2D:
    face = "none" if hollow else colour
    return Line2D(
        [], [], label=label, color=colour, marker=marker, markerfacecolor=face, markersize=size, linestyle="none"
    )


def legend(figure: Figure, handles: list[Line2D], title: str) -> None:
    figure.suptitle(title, fontsize=11)
    across = min(len(handles), max(3, int(figure.get_figwidth() / 1.25)))
    figure.legend(handles=handles, loc="outside lower center", ncols=across, frameon=False, fontsize=8)


def paper_number(group: Group, point: Point, line: Line) -> Any:
    number = group.number("model", point, line)
    return number.paper if number else None


def bar(std: float) -> float | None:
    return None if math.isnan(std) else std
