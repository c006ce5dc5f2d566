"""Which figures are drawn of a group of cells, and the names of their files."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from ...config import digest
from ...errors import ResultError
from ...progress import Progress
from ...store import Cell, read_samples, there
from ..comparison import Group, Line, groups
from .captions import caption_table, has_long_texts
from .curves import training_curves
from .grids import Samples, given_of, sample_grid
from .spread import seed_spread
from .style import save
from .trade_off import trade_off

__all__ = ["write_figures"]

LONGEST = 96
"""Bytes of a word in a file's name, which has two of them and may have 255."""


def write_figures(cells: Iterable[Cell], runs: Path, out: Path, progress: Progress | None = None) -> list[Path]:
    """Draw all figures of these cells into `out` as PNG and return their paths.

    `runs` holds the sample files; `progress` is told which of them are missing or damaged. Raises ResultError if `out`
    cannot be written to.
    """
    progress = progress or Progress()
    written: list[Path] = []
    for stem, group in _stems(groups(cells)).items():
        for name, figure in _figures(group, runs, progress):
            written.append(save(figure, out / f"{stem}-{name}.png"))
    return written


def _figures(group: Group, runs: Path, progress: Progress) -> Iterator[tuple[str, Figure]]:
    """(name, figure) of everything there is to draw of a group."""
    drawn: dict[str, Figure | None] = {"trade-off": trade_off(group), "seeds": seed_spread(group)}
    samples = _load_samples(group, runs, progress)
    for task in _tasks(samples.values()):
        draw = caption_table if given_of(task) and has_long_texts(samples.values(), task) else sample_grid
        name = _unlike(f"samples-{_file_word(task.replace('->', '-to-'))}", drawn)
        drawn[name] = draw(group, task, samples)
    for line in group.lines:
        drawn[_unlike(f"training-{_file_word(group.title(line))}", drawn)] = training_curves(group, line)
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


def _load_samples(group: Group, runs: Path, progress: Progress) -> dict[Line, Samples]:
    """The samples of each line's first seed that has any."""
    found: dict[Line, Samples] = {}
    for line in group.lines:
        paths = [runs / cell["samples"] for cell in group.of(line) if cell["samples"]]
        try:
            path = next((path for path in paths if there(path)), None)
            if path is None:
                progress.say(f"{group.title(line)} on {group.heading}: no samples in {runs}, left out of the grids")
            else:
                found[line] = read_samples(path)
        except ResultError as error:
            progress.say(f"{error}; left out of the grids")
    return found


def _tasks(samples: Iterable[Samples]) -> list[str]:
    """The tasks that some model has samples of, in the order of the files."""
    return list(dict.fromkeys(key.split("/")[0] for arrays in samples for key in arrays))


def _file_word(text: str) -> str:
    """A text as part of a file's name; of a long one the beginning and a hash of it all."""
    word = re.sub(r"[^\w+.-]", "-", text.replace("*", "_star"))
    return word if len(word.encode()) <= LONGEST else f"{word[: LONGEST // 4]}-{digest(text, 8)}"


def _unlike(name: str, taken: Collection[str]) -> str:
    """The name, with a number where it is taken: texts that differ may be the same word."""
    return next(n for k in itertools.count(1) if (n := name if k == 1 else f"{name}-v{k}") not in taken)
