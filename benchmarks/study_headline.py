"""What the study's numbers are printed into: README's headline, and the tables of results/FINDINGS.md.

A table of FINDINGS.md stands between two marks, the first of which is the command that makes it:

    <!-- mmbench report --main --dataset mnist_fashion --model mld,mld_uni,mld_inpaint -->
    <!-- /mmbench -->

Of a command that ends in `| grep -E PATTERN` these lines stand there, of any other its tables.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mmbench import store
from mmbench.errors import ResultError
from mmbench.report.comparison import groups
from mmbench.report.figures import save, trade_off
from mmbench.report.figures.style import laid_out
from mmbench.report.selection import Selection
from mmbench.store import Cell, Found
from mmbench.store.files import write_text

__all__ = ["draw_headline", "fill_tables", "headline", "headline_cells", "write_headline"]

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- headline: written by `make study STUDY=--report` -->", "<!-- /headline -->"
PICTURE = "headline.png"
"""Beside the report's figures, which are of every model there is: coherence against quality of the headline's."""
TABLE = re.compile(r"<!-- (mmbench report [^\n]*) -->\n(?:(?!<!--)[^\n]*\n)*<!-- /mmbench -->\n")
"""A table's two marks and what stands between them."""


def write_headline(results: Path, dataset: str, budget: str, models: Sequence[str], readme: Path = README) -> None:
    """Put the headline between README's two marks; nothing where no cell of it is there.

    Raises ResultError: where README lacks the marks.
    """
    cells = headline_cells(results, dataset, budget, models)
    if not cells:
        return
    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ResultError(f"{readme.name} needs a line '{BEGIN}', and after it one '{END}'")
    before, rest = text.split(BEGIN)
    write_text(readme, f"{before}{BEGIN}\n{headline(results, cells)}\n{END}{rest.split(END)[1]}")


def draw_headline(cells: Sequence[Cell], figures: Path) -> Path | None:
    """Draw the headline's picture, a page wide, into a folder of figures; None where there is nothing to draw.

    Arguments:
        cells: as of `headline_cells`.
    """
    figure = trade_off(groups(cells)[0], "page") if cells else None
    if figure is None:
        return None
    laid_out(figure)
    return save(figure, figures / PICTURE)


def headline_cells(results: Path, dataset: str, budget: str, models: Sequence[str]) -> list[Cell]:
    """Cells of a dataset and budget, of the models' own recipes."""
    found = Found(cells=store.cells(results, dataset))
    there = {cell["model"]["name"] for cell in found.cells} & set(models)
    if not there or budget not in {cell["budget"] for cell in found.cells}:
        return []
    return Selection(budget=(budget,), model=tuple(sorted(there)), recipes=True).of(found).cells


def headline(results: Path, cells: Sequence[Cell]) -> str:
    """Tables, picture, and a line that says what they are of.

    Arguments:
        cells: all of one dataset and budget, of the recipes' own settings.
    """
    dataset, budget = cells[0]["dataset"]["name"], cells[0]["budget"]
    models = ",".join(dict.fromkeys(cell["model"]["name"] for cell in cells))
    call = ["report", "--main", "--recipes", "--dataset", dataset, "--budget", budget, "--model", models]
    picture = f"{results.name}/figures/{PICTURE}"
    return "\n".join([*_tables(call, results), "", f"![Coherence against quality]({picture})", "", _about(cells)])


def fill_tables(page: Path, results: Path) -> None:
    """Print anew every table that stands between marks, below the command that makes it.

    Raises ResultError: for a mark without its other one, and a command that fails.
    """
    text = page.read_text(encoding="utf-8")
    if not len(TABLE.findall(text)) == text.count("<!-- mmbench report ") == text.count("<!-- /mmbench -->"):
        raise ResultError(f"{page.name}: a table stands between '<!-- mmbench report ... -->' and '<!-- /mmbench -->'")
    write_text(page, TABLE.sub(lambda mark: _filled(mark[1], results), text))


def _filled(command: str, results: Path) -> str:
    call, _, pattern = command.partition(" | grep -E ")
    words = shlex.split(call)[1:]
    lines = _lines(words, results, shlex.split(pattern)[0]) if pattern else _tables(words, results)
    return "\n".join([f"<!-- {command} -->", f"`{command}`", "", *lines, "", "<!-- /mmbench -->", ""])


def _tables(call: Sequence[str], results: Path) -> list[str]:
    """The lines of the tables that a call of mmbench prints, and their headings, where a table follows, as plain
    words."""
    kept = _lines(call, results, r"^\||^### ")
    followed = [line for line, after in zip(kept, [*kept[1:], "#"], strict=True) if "|" in (line[0], after[0])]
    return [f"\n**{line[4:]}**\n" if line.startswith("#") else line for line in followed]


def _lines(call: Sequence[str], results: Path, pattern: str) -> list[str]:
    """The lines that a call of mmbench prints in which a pattern is found; results that it names lie in the folder
    that holds `results`."""
    root = results.resolve()
    own = [] if "--results" in call else ["--results", root.name]
    words = [sys.executable, "-m", "mmbench", *call, *own]
    done = subprocess.run(words, capture_output=True, text=True, cwd=root.parent)
    if done.returncode:
        raise ResultError(f"mmbench {shlex.join(call)}: {done.stderr.strip()}")
    return [line for line in done.stdout.splitlines() if re.search(pattern, line)]


def _about(cells: Sequence[Cell]) -> str:
    seeds = sorted({cell["seed"] for cell in cells})
    days = sorted((cell["environment"].get("finished") or "unknown")[:10] for cell in cells)
    commits = sorted({cell["environment"].get("commit") or "unknown" for cell in cells})
    title, budget = cells[0]["dataset"]["title"], cells[0]["budget"]
    when = " to ".join(dict.fromkeys((days[0], days[-1])))
    made = f"{title}, budget `{budget}`, seeds {', '.join(map(str, seeds))}, {when}, commit {' and '.join(commits)}."
    return f"{made} `make study` computes it; `results/recipes.md` has the rest."
