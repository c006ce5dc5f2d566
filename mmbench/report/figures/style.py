"""How figures look, and how they are saved.

A figure is made at the width at which a paper prints it, so that its sizes are the reader's: 3.25 inches for a column,
6.75 for a page (ICML's; others differ by a few percent), and no text under 6 points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path

from ...errors import ResultError
from ...progress import one_line
from ...store.files import whole

__all__ = [
    "FORMS",
    "GRID",
    "INK",
    "SMALL",
    "SOFT",
    "TEXT",
    "WIDTHS",
    "Width",
    "cut",
    "extent",
    "fit",
    "in_a_row",
    "laid_out",
    "legend",
    "new_figure",
    "panels",
    "picture_format",
    "save",
    "styled",
    "wrapped",
]

Width = Literal["column", "page", "phone"]
WIDTHS: dict[Width, float] = {"column": 3.25, "page": 6.75, "phone": 2.75}
"""In inches. A phone shows a figure about 1.8 times as wide, with its letters."""
SMALL, TEXT = 6.0, 7.0
"""Points of the smallest text, and of titles."""
INK, SOFT, GRID = "#1b1b1d", "#6a6a6e", "#e4e4e7"
"""Colours of text, of reference lines and axes, and of the grid."""
FONT = "DejaVu Sans"
"""It comes with matplotlib, so that every machine draws the same."""
DPI, LARGEST, PIXELS = 300, 60_000, 80_000_000
"""Dots per inch, the most dots along a side that can be drawn, and in all: readers, our own too (`data.images`), refuse
pictures of 90 million."""
FORMS = ("png", "jpg", "jpeg", "webp", "tif", "tiff", "pdf", "svg", "eps")
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
}
"""The same figure gives the same bytes."""
PLAIN: dict[Any, Any] = {"text.parse_math": False, "svg.hashsalt": "mmbench", "pdf.fonttype": 42, "ps.fonttype": 42}
"""Dollars in names are dollars, what an SVG calls its parts is not random, and no font is of Type 3, which journals
refuse."""


def save(figure: Figure, path: Path) -> Path:
    """Write a figure whole, as PNG or in the form that the path's ending names, and return the path.

    Raises ResultError if it cannot be written.
    """
    form = picture_format(path)
    width, height = figure.get_size_inches()
    dpi = min(DPI, LARGEST / max(width, height), math.sqrt(PIXELS / (width * height)))
    try:
        with whole(path) as temporary, temporary.open("wb") as file, mpl.rc_context(PLAIN):
            figure.savefig(file, format=form, dpi=dpi, metadata=METADATA.get(form))
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
    if engine := figure.get_layout_engine():
        engine.set(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.04)  # type: ignore[call-arg]
    return figure


def panels(runs: Sequence[int], width: Width, across: int, *, tall: float, extra: float) -> tuple[Figure, list[Axes]]:
    """Runs of so many panels, each run in rows of its own of at most `across`; each panel is `tall` inches high, with
    `extra` inches for title and legend."""
    across = min(max(runs), across)
    places: list[tuple[int, int]] = []
    for count in runs:
        top = places[-1][0] + 1 if places else 0
        places += [(top + k // across, k % across) for k in range(count)]
    down = places[-1][0] + 1
    figure = new_figure(WIDTHS[width], tall * down + extra)
    grid = figure.add_gridspec(down, across)
    return figure, [figure.add_subplot(grid[place]) for place in places]


def in_a_row(runs: Sequence[int], width: Width, most: int = 4) -> int:
    """How many panels stand in a row: none alone if that can be, then as few rows and as few gaps as there may be."""
    options = range(most, 1, -1) if width == "page" else (2,)

    def flaws(across: int) -> tuple[int, int, int]:
        rows = sum(-(-count // across) for count in runs)
        return sum(count > 1 and count % across == 1 for count in runs), rows, rows * across - sum(runs)

    return min(options, key=flaws)


def laid_out(figure: Figure) -> Figure:
    """The figure with its parts in their places for good: they are looked for once, not in every form, and not by
    drawing it all."""
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        with mpl.rc_context(dict.fromkeys(("figure.autolayout", "figure.constrained_layout.use"), False)):
            figure.set_layout_engine(None)  # with a placeholder, savefig would draw it all to lay it out again
    return figure


@contextmanager
def styled(*, grid: bool = True) -> Iterator[None]:
    """Seaborn's look for the figures made inside; the user's settings are back afterwards."""
    own: dict[Any, Any] = {
        **dict.fromkeys(("axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize"), SMALL),
        **dict.fromkeys(("font.size", "axes.titlesize"), TEXT),
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), INK),
        **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 2),
        **dict.fromkeys(("xtick.major.pad", "ytick.major.pad"), 2),
        **dict.fromkeys(("axes.linewidth", "grid.linewidth", "xtick.major.width", "ytick.major.width"), 0.5),
        "axes.labelpad": 2,
        "axes.titlepad": 3,
        "axes.edgecolor": SOFT,
        "grid.color": GRID,
        "font.family": FONT,
    }
    with sns.axes_style("whitegrid" if grid else "white"), mpl.rc_context(own | PLAIN):
        yield


def cut(text: str, most: int) -> str:
    """A text on one line of at most so many characters."""
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def fit(text: str, inches: float, size: float = SMALL, *, bold: bool = False) -> str:
    """A text on one line, shortened where it is wider."""
    line = one_line(text)
    if extent(line, size, bold=bold) <= inches:
        return line
    low, high = 0, len(line)  # so many characters fit, so many do not
    while high - low > 1:
        middle = (low + high) // 2
        fits = extent(f"{line[:middle].rstrip()}…", size, bold=bold) <= inches
        low, high = (middle, high) if fits else (low, middle)
    return f"{line[:low].rstrip()}…"


def wrapped(text: str, inches: float, size: float = TEXT) -> list[str]:
    """A title in bold on at most two lines: the first breaks after a comma or a blank, the second is shortened."""
    line = one_line(text)
    breaks = [k for k, letter in enumerate(line) if letter == " " and extent(line[:k], size, bold=True) <= inches]
    if extent(line, size, bold=True) <= inches or not breaks:
        return [fit(line, inches, size, bold=True)]
    return [line[: breaks[-1]], fit(line[breaks[-1] + 1 :], inches, size, bold=True)]


@lru_cache(maxsize=8192)
def extent(text: str, size: float = SMALL, *, bold: bool = False) -> float:
    """Width of a line of text in inches."""
    font = FontProperties(family=FONT, weight="bold" if bold else "normal", size=size)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def legend(figure: Figure, handles: Sequence[Line2D], title: str, rows: int = 4, key: str = "") -> None:
    """A title on one or two lines above the panels, and the legend in as many columns as fit below them, under a key to
    what the panels' titles shorten; the figure has room for so many rows, and grows for more."""
    inches = figure.get_figwidth()
    lines = wrapped(title, inches - 0.1)
    figure.suptitle("\n".join(lines), fontsize=TEXT, fontweight="bold")
    for handle in handles:
        handle.set_label(fit(str(handle.get_label()), min(inches - 0.4, 2.6)))
    longest = max(extent(str(handle.get_label())) for handle in handles)
    across = max(1, min(len(handles), int(inches / (0.28 + longest))))
    more = max(0, -(-len(handles) // across) + bool(key) - rows) + len(lines) - 1
    figure.set_figheight(figure.get_figheight() + more * 2 * SMALL / 72)
    look: dict[str, Any] = {"frameon": False, "handletextpad": 0.4, "columnspacing": 1.0, "borderaxespad": 0.1}
    look |= {"title": fit(key, inches - 0.2), "title_fontsize": SMALL} if key else {}
    figure.legend(handles=list(handles), loc="outside lower center", ncols=across, handlelength=1.4, **look)
