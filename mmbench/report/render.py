"""Cells as a report in one of the formats: a table for each group, then cells that failed elsewhere and bad files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from ..errors import ResultError, near
from ..store import Cell, CellKey
from .comparison import groups
from .csv import csv
from .escape import bullets, tex_comment
from .latex import latex
from .markdown import markdown
from .words import failure

__all__ = ["FORMATS", "Format", "render"]

Format = Literal["md", "csv", "tex"]
FORMATS: tuple[Format, ...] = ("md", "csv", "tex")

NO_CELLS = "There are no finished cells yet: run `mmbench run --model mld --dataset glyphs`, then `mmbench report`."


def render(cells: Iterable[Cell], failures: Iterable[Cell] = (), format: Format = "md", bad: Sequence[str] = ()) -> str:
    """These cells as Markdown, tidy CSV or LaTeX; a sentence that says what to run if there are none.

    `bad` has a sentence for each file that is no cell; CSV, which holds numbers only, leaves them out.
    """
    if format not in FORMATS:
        raise ResultError(f"there is no report format {format!r}; {near(format, FORMATS)}")
    found, lost = groups(cells), sorted(failures, key=CellKey.of)
    if format == "csv":
        return csv(found)
    shown = {_place(group.cells[0]) for group in found}
    orphans = [failure(cell) for cell in lost if _place(cell) not in shown]
    pages = [(group, [cell for cell in lost if _place(cell) == _place(group.cells[0])]) for group in found]
    if format == "md":
        blocks = [markdown(group, failed) for group, failed in pages] or [NO_CELLS]
        blocks += ["## Failed cells\n\n" + bullets(orphans)] if orphans else []
        blocks += [f"## {_bad_files(bad)}\n\n{bullets([f'{line}.' for line in bad])}"] if bad else []
    else:
        blocks = [latex(group, failed) for group, failed in pages] or [tex_comment(NO_CELLS)]
        blocks += map(tex_comment, orphans)
        blocks += ["\n".join(tex_comment(f"{line}.") for line in [_bad_files(bad), *bad])] if bad else []
    return "\n\n".join(blocks) + "\n"


def _bad_files(bad: Sequence[str]) -> str:
    return f"Bad files: {len(bad)}, left out of the tables"


def _place(cell: Cell) -> tuple[str, str]:
    return cell["dataset"]["name"], cell["budget"]
