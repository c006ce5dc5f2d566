"""README's headline: the main table and the picture of one dataset, as the report of the study has them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mmbench import store
from mmbench.errors import ResultError
from mmbench.store import Cell
from mmbench.store.files import write_text

__all__ = ["headline", "write_headline"]

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- headline: written by `make study STUDY=--report` -->", "<!-- /headline -->"


def write_headline(results: Path, dataset: str, budget: str, readme: Path = README) -> None:
    """Put the headline between README's two marks; nothing where no cell of it is there.

    Raises ResultError: where README lacks the marks.
    """
    cells = [cell for cell in store.cells(results, dataset) if cell["budget"] == budget]
    if not cells:
        return
    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ResultError(f"{readme.name} needs a line '{BEGIN}', and after it one '{END}'")
    before, rest = text.split(BEGIN)
    write_text(readme, f"{before}{BEGIN}\n{headline(results, cells)}\n{END}{rest.split(END)[1]}")


def headline(results: Path, cells: Sequence[Cell]) -> str:
    """Tables, picture, and a line that says what they are of.

    Arguments:
        cells: all of one dataset and budget.
    """
    dataset, budget = cells[0]["dataset"]["name"], cells[0]["budget"]
    call = ["report", "--main", "--dataset", dataset, "--budget", budget, "--results", str(results)]
    done = subprocess.run([sys.executable, "-m", "mmbench", *call], capture_output=True, text=True, check=True)
    picture = f"{results.name}/figures/{dataset}-{budget}-trade-off.png"
    return "\n".join([*_tables(done.stdout), "", f"![Coherence against quality]({picture})", "", _about(cells)])


def _tables(markdown: str) -> list[str]:
    """The lines of the tables, and their headings as plain words."""
    kept = [line for line in markdown.splitlines() if re.match(r"\||### ", line)]
    return [f"\n**{line[4:]}**\n" if line.startswith("#") else line for line in kept]


def _about(cells: Sequence[Cell]) -> str:
    seeds = sorted({cell["seed"] for cell in cells})
    days = sorted((cell["environment"].get("finished") or "unknown")[:10] for cell in cells)
    commits = sorted({cell["environment"].get("commit") or "unknown" for cell in cells})
    title, budget = cells[0]["dataset"]["title"], cells[0]["budget"]
    when = " to ".join(dict.fromkeys((days[0], days[-1])))
    made = f"{title}, budget `{budget}`, seeds {', '.join(map(str, seeds))}, {when}, commit {' and '.join(commits)}."
    return f"{made} `make study` computes it; `results/report.html` has the rest."
