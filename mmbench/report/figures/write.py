"""Which figures are drawn of a group of cells, and the names of their files."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from ...config import digest
from ...progress import Progress
from ...store import Cell
from ..against import series_of
from ..comparison import Group, groups
from .against import against, fronts
from .captions import caption_table, has_long_texts
from .curves import training_curves
from .grids import sample_grid
from .kept import load_samples, tasks_of
from .plates import given_of
from .spread import seed_spread
from .style import Width, laid_out, save
from .trade_off import trade_off

__all__ = ["PICTURES", "write_figures"]

PICTURES = ("png", "svg", "pdf")
"""The forms in which each figure is written."""
LONGEST = 96
"""Bytes of a word in a file's name, which has two of them and may have 255."""

Draw = Callable[[], Figure | None]


def write_figures(
    cells: Iterable[Cell],
    runs: Path,
    out: Path,
    progress: Progress | None = None,
    *,
    width: Width = "page",
    forms: Sequence[str] = PICTURES,
    setting: str = "",
) -> list[Path]:
    """Draw all figures of these cells into `out`, each in every one of `forms`, as wide as a paper's column or page;
    with `setting` those against it alone. Returns their paths.

    `runs` holds the sample files; `progress` is told which of them are missing or damaged, and how far the drawing is.
    Raises ResultError if `out` cannot be written to.
    """
    progress = progress or Progress()
    written: list[Path] = []
    stems = _stems(groups(cells))
    with (progress if len(stems) > 1 else Progress()).phase("all figures", len(stems), "table") as passed:
        for stem, group in stems.items():
            drawings = dict(_against(group, setting, width) if setting else _drawings(group, runs, progress, width))
            with progress.phase(f"figures of {group.heading}", len(drawings), "figure") as advance:
                for name, draw in drawings.items():
                    written += _written(draw, out / f"{stem}-{name}", forms)
                    advance(1)
            passed(1)
    return written


def _written(draw: Draw, stem: Path, forms: Sequence[str]) -> list[Path]:
    """One figure as files; it is let go before the next one is drawn."""
    figure = draw()
    if figure is None:
        return []
    laid_out(figure)
    return [save(figure, stem.with_name(f"{stem.name}.{form}")) for form in forms]


def _drawings(group: Group, runs: Path, progress: Progress, width: Width) -> Iterator[tuple[str, Draw]]:
    """(name, how to draw it) of everything there may be to draw of a group."""
    taken: list[str] = ["trade-off", "seeds"]
    yield "trade-off", partial(trade_off, group, width)
    yield "seeds", partial(seed_spread, group, width)
    samples = load_samples(group, runs, progress)
    for task in tasks_of(samples.values()):
        draw = caption_table if given_of(task) and has_long_texts(samples.values(), task) else sample_grid
        taken.append(_unlike(f"samples-{_file_word(task.replace('->', '-to-'))}", taken))
        yield taken[-1], partial(draw, group, task, samples, width)
    for line in group.lines:
        taken.append(_unlike(f"training-{_file_word(group.title(line))}", taken))
        yield taken[-1], partial(training_curves, group, line, width)


def _against(group: Group, setting: str, width: Width) -> Iterator[tuple[str, Draw]]:
    """The same of a setting; nothing where the group has not several values of it."""
    if some := series_of(group, setting):
        word = _file_word(setting)
        yield f"against-{word}", partial(against, group, some, setting, width)
        yield f"front-{word}", partial(fronts, group, some, setting, width)


def _stems(found: Sequence[Group]) -> dict[str, Group]:
    """What file names start with: '<dataset>-<budget>', with the protocol's hash where that is not enough."""
    plain = [_file_word(f"{group.dataset['name']}-{group.budget}") for group in found]
    stems: dict[str, Group] = {}
    for stem, group in zip(plain, found, strict=True):
        name = stem if plain.count(stem) == 1 else f"{stem}-{group.protocol}"
        count = sum(other == name or other.startswith(f"{name}-v") for other in stems)
        stems[f"{name}-v{count + 1}" if count else name] = group
    return stems


def _file_word(text: str) -> str:
    """A text as part of a file's name, its marks and brackets dashes; of a long one, or one of marks alone, the
    beginning and a hash of it all."""
    word = re.sub(r"[^\w+.]+", "-", text.replace("*", "_star")).strip("-")
    return word if word and len(word.encode()) <= LONGEST else f"{word[: LONGEST // 4]}-{digest(text, 8)}"


def _unlike(name: str, taken: Collection[str]) -> str:
    """The name, with a number where it is taken: texts that differ may be the same word."""
    return next(n for k in itertools.count(1) if (n := name if k == 1 else f"{name}-v{k}") not in taken)
