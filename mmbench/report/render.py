"""Cells as a report in one of the formats: a table for each group, then cells that failed elsewhere and bad files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from ..errors import ResultError, near
from ..progress import Progress
from ..store import Cell, CellKey
from .comparison import Group, groups
from .escape import bullets, tex_comment
from .options import Options
from .words import failure

__all__ = ["FORMATS", "Format", "render"]

Format = Literal["md", "csv", "csv-wide", "tex", "json"]
FORMATS: tuple[Format, ...] = ("md", "csv", "csv-wide", "tex", "json")

NO_CELLS = "There are no finished cells yet: run `mmbench run --model mld --dataset glyphs`, then `mmbench report`."
MANY = 1000
"""Cells from which on progress is shown."""
Pages = list[tuple[Group, list[Cell]]]


def render(
    cells: Iterable[Cell],
    failures: Iterable[Cell] = (),
    format: Format = "md",
    bad: Sequence[str] = (),
    options: Options | None = None,
    progress: Progress | None = None,
) -> str:
    """These cells in one of the formats; a sentence that says what to run if there are none.

    `bad` has a sentence for each file that is no cell; CSV, which holds numbers only, leaves them out. Of many
    cells `progress` is told how many of the tables are done.
    """
    if format not in FORMATS:
        raise ResultError(f"there is no report format {format!r}; {near(format, FORMATS)}")
    found, lost, options = groups(cells), sorted(failures, key=CellKey.of), options or Options()
    if format in ("csv", "csv-wide"):
        from .csv import csv

        return csv(found, options, wide=format == "csv-wide")
    pages = [(group, [c for c in lost if _place(c) == _place(group.cells[0])]) for group in found]
    shown = {_place(group.cells[0]) for group in found}
    orphans = [failure(cell) for cell in lost if _place(cell) not in shown]
    if format == "json":
        from .json import json

        return json(pages, orphans, bad, options)
    many = sum(len(group.cells) for group in found) > MANY
    blocks = _blocks(pages, format, options, progress if progress and many else Progress())
    return "\n\n".join([*blocks, *_rest(format, bool(blocks), orphans, bad)]) + "\n"


def _blocks(pages: Pages, format: Format, options: Options, progress: Progress) -> list[str]:
    """The groups in Markdown or LaTeX."""
    from .latex import latex
    from .markdown import markdown

    write, blocks = markdown if format == "md" else latex, []
    with progress.phase("report", len(pages), "table") as advance:
        for group, failed in pages:
            blocks.append(write(group, failed, options))
            advance(1)
    return blocks


def _rest(format: Format, some: bool, orphans: Sequence[str], bad: Sequence[str]) -> list[str]:
    """What stands below the tables."""
    if format == "md":
        blocks = [] if some else [NO_CELLS]
        blocks += ["## Failed cells\n\n" + bullets(orphans)] if orphans else []
        return blocks + ([f"## {_bad_files(bad)}\n\n{bullets([f'{line}.' for line in bad])}"] if bad else [])
    blocks = [] if some else [tex_comment(NO_CELLS)]
    blocks += map(tex_comment, orphans)
    return blocks + (["\n".join(tex_comment(f"{line}.") for line in [_bad_files(bad), *bad])] if bad else [])


def _bad_files(bad: Sequence[str]) -> str:
    return f"Bad files: {len(bad)}, left out of the tables"


def _place(cell: Cell) -> tuple[str, str]:
    return cell["dataset"]["name"], cell["budget"]
