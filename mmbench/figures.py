"""Figures of finished cells: coherence against quality, the spread of seeds, sample grids, training curves.

Matplotlib's figures are made directly, without pyplot: nothing global is changed, and no display is needed.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from .errors import ResultError
from .progress import Progress
from .report.columns import Column
from .report.comparison import Group, Line, groups
from .report.paper import COHERENCE, Point
from .store import Cell, CellKey, read_samples, sample_key

__all__ = [
    "caption_table",
    "given_grid",
    "sample_grid",
    "save",
    "seed_spread",
    "trade_off",
    "training_curves",
    "write_figures",
]

DPI = 150
SHOWN = 10
"""Samples in a row of a grid."""
CELL = 0.78
"""Width of an item in a grid, in inches."""
GIVEN = "given"
"""The block of rows that holds the conditions."""
ACROSS = 4
"""Panels in a row."""
MARKERS = "osD^v*PX<>hp"
"""Of the lines of a table, in order: MLD has the star."""
COLOURS = (0, 1, 2, 9, 4, 3, 7, 8, 5, 6)
"""Of the lines, in seaborn's palette 'colorblind': MLD has the vermilion."""

Samples = Mapping[str, np.ndarray]
"""The arrays of a sample file, by `store.sample_key`."""


def write_figures(cells: Iterable[Cell], runs: Path, out: Path, progress: Progress | None = None) -> list[Path]:
    """Draw all figures of these cells into `out` as PNG and return their paths.

    `runs` holds the sample files; `progress` is told which of them are missing. Raises ResultError if `out` cannot be
    written to or a sample file is damaged.
    """
    progress = progress or Progress()
    written: list[Path] = []
    for stem, group in _stems(groups(cells)).items():
        for name, figure in _figures(group, runs, progress):
            written.append(save(figure, out / f"{stem}-{name}.png"))
    return written


def trade_off(group: Group) -> Figure | None:
    """Coherence against quality: a panel for each task and judged modality, a point for each model.

    Filled: ours, with a small dot for each seed. Hollow: the paper's. None if no task has both numbers.
    """
    pairs = _pairs(group)
    if not pairs:
        return None
    with _style():
        figure, axes = _panels(len(pairs), width=3.1, height=2.9, extra=0.62)
        colours = _colours(group)
        for ax, (quality, coherence) in zip(axes, pairs, strict=True):
            for number, line in enumerate(group.lines):
                _trade_off_point(ax, group, quality, coherence, line, colours[line], MARKERS[number % len(MARKERS)])
            _trade_off_axes(ax, group, quality, coherence)
        handles = [_handle(group.title(x), colours[x], MARKERS[k % len(MARKERS)]) for k, x in enumerate(group.lines)]
        if any(group.number("model", c.point, x) and _paper(group, c.point, x) for _, c in pairs for x in group.lines):
            handles.append(_handle("paper", "0.35", "o", hollow=True))
        _legend(figure, handles, f"{group.dataset['title']}, budget {group.budget}: coherence against quality")
    return figure


def seed_spread(group: Group) -> Figure | None:
    """Every seed of every model: a panel for each metric and task, the mean as a bar, the paper's as a diamond."""
    columns = [column for column in group.columns if column.higher_is_better is not None]
    if not columns:
        return None
    with _style():
        figure, axes = _panels(len(columns), width=3.1, height=0.9 + 0.27 * len(group.lines), extra=0.5)
        for ax, column in zip(axes, columns, strict=True):
            _spread_panel(ax, group, column)
        handles = [_handle("a seed", "0.35", "o", size=5), _handle("mean", "0.1", "|", size=12)]
        if any(_paper(group, column.point, line) for column in columns for line in group.lines):
            handles.append(_handle("paper, with its standard deviation", "0.35", "D", hollow=True))
        _legend(figure, handles, f"{group.dataset['title']}, budget {group.budget}: spread of seeds")
    return figure


def sample_grid(group: Group, task: str, samples: Mapping[Line, Samples]) -> Figure | None:
    """One task in the form of the paper's Figures 1, 7 and 8: conditions on top, then a row for each model.

    A joint task has one row for each model and modality. A model that was given other conditions than the first one
    is left out. None if there is nothing to show.
    """
    rows = _grid_rows(group, task, samples)
    if not rows:
        return None
    title = f"{group.dataset['title']}, {_words(group, task)}, budget {group.budget}"
    return _grid(rows, title, apart=0.17 if len(_targets(group, task)) > 1 else 0.05)


def given_grid(given: Samples, made: Samples, title: str) -> Figure:
    """Samples of one model for one condition: the given items (1, ...) on top, a row for each generated modality.

    Both by modality: images (n, C, H, W) uint8 or float in [0, 1], texts (n,) unicode.
    """
    rows = [(GIVEN, f"given\n{name}", values) for name, values in given.items()]
    rows += [(name, name, values) for name, values in made.items()]
    return _grid(rows, title, apart=0.1)


def caption_table(group: Group, task: str, samples: Mapping[Line, Samples]) -> Figure | None:
    """One conditional task between images and captions in the form of the paper's Figure 2: a line for each condition,
    what is given on the left, what each model makes of it to the right. None if there is nothing to show."""
    rows = _grid_rows(group, task, samples)
    if not rows:
        return None
    count = min(SHOWN, *(len(values) for _, _, values in rows))
    widths = [1.9 if values.dtype.kind == "U" else CELL for _, _, values in rows]
    gap, top, tall = 0.12, 0.86, CELL + 0.08
    width, height = sum(widths) + gap * (len(rows) + 1), top + tall * count + 0.08
    with _style(grid=False):
        figure = _figure(width, height, layout=None)
        left = gap
        for (block, title, values), wide in zip(rows, widths, strict=True):
            weight = "bold" if block == GIVEN else "normal"
            at = ((left + wide / 2) / width, 1 - (top - 0.06) / height)
            figure.text(*at, title, ha="center", va="bottom", fontsize=8, weight=weight)
            for k in range(count):
                box = (left / width, 1 - (top + tall * k + CELL) / height, wide / width, CELL / height)
                _draw_cell(figure.add_axes(box), values[k], framed=block == GIVEN)
            left += wide + gap
        words = f"{group.dataset['title']}, {_words(group, task)}\nbudget {group.budget}"
        figure.text(0.5, 1 - 0.08 / height, words, ha="center", va="top", fontsize=10)
    return figure


def _draw_cell(ax: Axes, value: Any, *, framed: bool) -> None:
    """One picture, or one text wrapped to its box."""
    ax.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
    for side in ax.spines.values():
        side.set_visible(framed)
        side.set(color="0.3", linewidth=1.0)
    if isinstance(value, str):
        text = "\n".join(textwrap.wrap(str(value), 32, max_lines=7, placeholder=" …")) or "∅"
        ax.text(0.5, 0.5, text, fontsize=6.5, ha="center", va="center", parse_math=False)
    else:
        ax.imshow(_rgb(value), extent=(0, 1, 0, 1), interpolation="nearest", aspect="auto")


def _long(samples: Iterable[Samples], task: str) -> bool:
    """Whether a task has texts that do not fit into a cell of a grid."""
    own = [a for arrays in samples for k, a in arrays.items() if k.startswith(f"{task}/") and a.dtype.kind == "U"]
    return any(len(text) > 40 for array in own for text in array.tolist())


def _grid(rows: Sequence[tuple[str, str, np.ndarray]], heading: str, *, apart: float) -> Figure:
    """Rows of (block, title, items) one under the other, `apart` inches between blocks."""
    count = min(SHOWN, max(len(values) for _, _, values in rows))
    long = any(v.dtype.kind == "U" and max(map(len, v.tolist()), default=0) > 40 for *_, v in rows)
    wide = 1.35 if long else CELL
    heights = [_tall(values[:count], wide) for _, _, values in rows]
    blocks = [block for block, _, _ in rows]
    gaps = [0.05 if one == other else 0.14 if one == GIVEN else apart for one, other in pairwise(blocks)]
    left = 0.2 + 0.088 * max(len(part) for _, title, _ in rows for part in title.split("\n"))
    width, height, top = left + wide * count + 0.1, sum(heights) + sum(gaps) + 0.45, 0.37
    with _style(grid=False):
        figure = _figure(width, height, layout=None)
        for (block, title, values), tall, gap in zip(rows, heights, [*gaps, 0], strict=True):
            items = min(count, len(values))
            box = (left / width, 1 - (top + tall) / height, wide * items / width, tall / height)
            ax = figure.add_axes(box)
            _draw_row(ax, values[:count], framed=block == GIVEN)
            weight = "bold" if block == GIVEN else "normal"
            ax.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=9, labelpad=6, weight=weight)
            top += tall + gap
        figure.text(0.5, 1 - 0.12 / height, heading, ha="center", va="top", fontsize=11)
    return figure


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
    with _style():
        figure = _figure(max(2.9 * across, 4.2), 2.1 * len(rows) + 0.5)
        grid = figure.add_gridspec(len(rows), across)
        for row, (stage, found) in enumerate(rows):
            for k, term in enumerate(found):
                ax = figure.add_subplot(grid[row, k])
                _curves(ax, cells, stage, term)
                ax.set_title(f"{stage}: {term}", fontsize=9)
                ax.set_xlabel("optimiser step" if row == len(rows) - 1 else "")
        title = (
            f"{group.title(line)} on {group.dataset['title']}, budget {group.budget}\ntraining, a curve for each seed"
        )
        figure.suptitle(title, fontsize=11)
    return figure


# --- coherence against quality ---


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
    size = _size(marker)
    ours = {"color": colour, "linestyle": "none"}
    both = [(x.values[x.seeds.index(seed)], y.values[y.seeds.index(seed)]) for seed in x.seeds if seed in y.seeds]
    if len(both) > 1:
        ax.plot(*zip(*both, strict=True), marker=".", markersize=3.5, alpha=0.55, **ours)
    spread = {"xerr": _bar(x.std), "yerr": _bar(y.std), "elinewidth": 1, "capsize": 2}
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


# --- the spread of seeds ---


def _spread_panel(ax: Axes, group: Group, column: Column) -> None:
    names = [group.title(line) for line in group.lines]
    colours = _colours(group)
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
        if paper := _paper(group, column.point, line):
            ax.errorbar(
                paper.mean,
                k,
                xerr=_bar(paper.std),
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


# --- sample grids ---


def _grid_rows(group: Group, task: str, samples: Mapping[Line, Samples]) -> list[tuple[str, str, np.ndarray]]:
    """(block, title, items) of each row: the conditions, then a block for each model."""
    rows: list[tuple[str, str, np.ndarray]] = []
    given, targets = _given(task), _targets(group, task)
    conditions: list[np.ndarray] = []
    for line, arrays in samples.items():
        keys = [sample_key(task, "given", name) for name in given]
        keys += [sample_key(task, "target", name) for name in targets]
        found = [arrays[key] for key in keys if key in arrays and len(arrays[key])]
        if len(found) < len(keys):
            continue
        if not rows:
            conditions = found[: len(given)]
            rows += [(GIVEN, f"given\n{group.names.long(n)}", v) for n, v in zip(given, conditions, strict=True)]
        if not all(np.array_equal(one, other) for one, other in zip(conditions, found, strict=False)):
            continue
        name = group.title(line)
        for target, values in zip(targets, found[len(given) :], strict=True):
            rows.append((name, f"{name}\n{group.names.long(target)}" if len(targets) > 1 else name, values))
    return rows


def _draw_row(ax: Axes, values: np.ndarray, *, framed: bool) -> None:
    """One row of items on one pair of axes: pictures side by side, texts in cells of the same width."""
    count = len(values)
    ax.set(xlim=(0, count), ylim=(0, 1), xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set_visible(framed)
        side.set(color="0.3", linewidth=1.2)
    if values.dtype.kind == "U":
        for k, text in enumerate(values):
            ax.add_patch(Rectangle((k + 0.04, 0.06), 0.92, 0.88, facecolor="0.96", edgecolor="0.85"))
            ax.text(k + 0.5, 0.5, *_fitted(str(text)), ha="center", va="center", parse_math=False)
        return
    for k, image in enumerate(values):
        ax.imshow(_rgb(image), extent=(k + 0.03, k + 0.97, 0.03, 0.97), interpolation="nearest", aspect="auto")
    ax.set(xlim=(0, count), ylim=(0, 1))


def _tall(values: np.ndarray, wide: float) -> float:
    """Height of a row in inches: square pictures, `wide` as a cell, texts as high as the longest of them."""
    if values.dtype.kind != "U":
        return wide
    return max(0.48, *(0.16 + 0.095 * (1 + _fitted(str(text))[0].count("\n")) for text in values))


def _fitted(text: str) -> tuple[str, dict[str, float]]:
    """A text wrapped to its cell, and its font size in points."""
    if len(text) <= 8:
        return text or "∅", {"fontsize": 10}
    return "\n".join(textwrap.wrap(text, 15, max_lines=9, placeholder=" …")), {"fontsize": 5.5}


def _rgb(image: np.ndarray) -> np.ndarray:
    """An image (C, H, W), uint8 or float in [0, 1], as (H, W, 3) in [0, 1]."""
    values = image.astype(np.float32) / 255 if image.dtype == np.uint8 else image.astype(np.float32)
    values = values.clip(0, 1).transpose(1, 2, 0)
    return values if values.shape[2] == 3 else values[:, :, :1].repeat(3, axis=2)


def _load_samples(group: Group, runs: Path, progress: Progress) -> dict[Line, Samples]:
    """The samples of each line's first seed that has any."""
    found: dict[Line, Samples] = {}
    for line in group.lines:
        paths = [CellKey.of(cell).samples(runs) for cell in group.of(line) if cell["samples"]]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            progress.say(
                f"{group.title(line)} on {group.dataset['title']}: no samples in {runs}, left out of the grids"
            )
        else:
            found[line] = read_samples(path)
    return found


def _tasks(samples: Iterable[Samples]) -> list[str]:
    """The tasks that some model has samples of, in the order of the files."""
    return list(dict.fromkeys(key.split("/")[0] for arrays in samples for key in arrays))


def _given(task: str) -> list[str]:
    return task.partition("->")[0].split("+") if "->" in task else []


def _targets(group: Group, task: str) -> list[str]:
    return task.partition("->")[2].split("+") if "->" in task else list(group.dataset["modalities"])


def _words(group: Group, task: str) -> str:
    if not _given(task):
        return "joint generation"
    given, target = (" + ".join(group.names.long(n) for n in names) for names in (_given(task), _targets(group, task)))
    return f"{given} reconstructed" if given == target else f"{given} → {target}"


# --- training curves ---


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


# --- shared ---


def _figures(group: Group, runs: Path, progress: Progress) -> Iterator[tuple[str, Figure]]:
    """(name, figure) of everything there is to draw of a group."""
    drawn: dict[str, Figure | None] = {"trade-off": trade_off(group), "seeds": seed_spread(group)}
    samples = _load_samples(group, runs, progress)
    for task in _tasks(samples.values()):
        draw = caption_table if _given(task) and _long(samples.values(), task) else sample_grid
        drawn[f"samples-{_file_word(task.replace('->', '-to-'))}"] = draw(group, task, samples)
    for line in group.lines:
        drawn[f"training-{_file_word(group.title(line))}"] = training_curves(group, line)
    yield from ((name, figure) for name, figure in drawn.items() if figure is not None)


def _stems(found: Sequence[Group]) -> dict[str, Group]:
    """What file names start with: '<dataset>-<budget>', with the protocol's hash where that is not enough."""
    plain = [_file_word(f"{group.dataset['name']}-{group.budget}") for group in found]
    stems: dict[str, Group] = {}
    for stem, group in zip(plain, found, strict=True):
        name = stem if plain.count(stem) == 1 else f"{stem}-{group.protocol}"
        count = sum(other == name or other.startswith(f"{name}-v") for other in stems)
        stems[f"{name}-v{count + 1}" if count else name] = group
    return stems


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG (or in the form that the path's ending names) and return the path.

    Raises ResultError if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=DPI, metadata={"Software": None})
    except OSError as error:
        reason = error.strerror or error
        raise ResultError(f"the figure {path} cannot be written ({reason}): name another folder for figures") from error
    return path


def _figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """Width and height in inches."""
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _panels(count: int, *, width: float, height: float, extra: float) -> tuple[Figure, list[Axes]]:
    """`count` panels of this size in inches, at most `ACROSS` in a row, with `extra` inches for title and legend."""
    across = min(count, ACROSS) if count != ACROSS + 1 else 3
    down = -(-count // across)
    figure = _figure(width * max(across, 2), height * down + extra)
    grid = figure.add_gridspec(down, across)
    return figure, [figure.add_subplot(grid[k // across, k % across]) for k in range(count)]


@contextmanager
def _style(*, grid: bool = True) -> Iterator[None]:
    """Seaborn's look for the figures made inside; the user's settings are back afterwards."""
    own: dict[Any, Any] = {
        "font.family": "DejaVu Sans",
        "axes.titlesize": 10,
        "axes.labelsize": 9,
        "xtick.labelsize": 8,
    }
    own |= {"ytick.labelsize": 8, "grid.color": "0.92", "axes.edgecolor": "0.6", "xtick.major.size": 3}
    with sns.axes_style("whitegrid" if grid else "white"), mpl.rc_context(own):
        yield


def _colours(group: Group) -> dict[Line, Any]:
    count, palette = len(group.lines), sns.color_palette("colorblind", len(COLOURS))
    colours = [palette[k] for k in COLOURS[:count]] if count <= len(COLOURS) else sns.color_palette("husl", count)
    return dict(zip(group.lines, colours, strict=True))


def _size(marker: str) -> float:
    """A star is the smallest of the markers of one size."""
    return 11 if marker == "*" else 7


def _handle(label: str, colour: Any, marker: str, *, hollow: bool = False, size: float | None = None) -> Line2D:
    face = "none" if hollow else colour
    return Line2D(
        [], [], label=label, color=colour, marker=marker, markerfacecolor=face, markersize=size, linestyle="none"
    )


def _legend(figure: Figure, handles: list[Line2D], title: str) -> None:
    figure.suptitle(title, fontsize=11)
    across = min(len(handles), max(3, int(figure.get_figwidth() / 1.25)))
    figure.legend(handles=handles, loc="outside lower center", ncols=across, frameon=False, fontsize=8)


def _paper(group: Group, point: Point, line: Line) -> Any:
    number = group.number("model", point, line)
    return number.paper if number else None


def _bar(std: float) -> float | None:
    return None if math.isnan(std) else std


def _file_word(text: str) -> str:
    return re.sub(r"[^\w+.-]", "-", text.replace("*", "_star"))
