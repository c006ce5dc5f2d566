"""A group of cells in LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..store import Cell
from .comparison import Group
from .tables import LATEX, Sheet, sheets
from .warnings import warnings
from .words import LEGEND, about, chosen, claim_lines, footnotes

__all__ = ["latex"]

SYMBOLS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "→": r"$\rightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
    "·": r"\quad{}",
    "–": "--",
    "−": "$-$",
    "<": "$<$",
    ">": "$>$",
}


def latex(group: Group, failed: Sequence[Cell]) -> str:
    """Tables for the packages booktabs and graphicx, with what a reader must know as comments above them."""
    words = [f"{group.dataset['title']} ({group.dataset['name']}), budget {group.budget}{chosen(group)}."]
    words += [*about(group), *warnings(group, failed), *footnotes(group)]
    words += claim_lines(group, LATEX)
    pieces = enumerate(sheets(group, LATEX), 1)
    return "\n".join([*(f"% {line}" for line in words), *(_latex_table(group, s, k) for k, s in pieces)])


def _latex_table(group: Group, sheet: Sheet, number: int) -> str:
    head = [("", "Model"), ("", "Seeds"), *((c.heading, c.label) for c in sheet.columns)]
    body = pd.DataFrame(
        [[_tex(line[0]), *line[1:]] for line in sheet.lines],
        columns=pd.MultiIndex.from_tuples([(_tex(heading), _tex(label)) for heading, label in head]),
    )
    align = "lr" + "r" * len(sheet.columns)
    text = body.style.hide(axis="index").to_latex(hrules=True, column_format=align, multicol_align="c")
    lines = text.splitlines()
    if sheet.references:
        lines.insert(lines.index(r"\midrule") + len(sheet.models) + 1, r"\midrule")
    what = f"{group.dataset['title']} ({group.dataset['name']}), budget {group.budget}{chosen(group)}"
    title = f"{sheet.title}: {what}. {LEGEND}"
    start = [r"\begin{table}", r"\centering", rf"\caption{{{_tex(title)}}}"]
    start += [rf"\label{{tab:{group.dataset['name']}-{group.budget}-{group.protocol}-{number}}}"]
    return "\n".join([*start, r"\resizebox{\textwidth}{!}{%", *lines, "}", r"\end{table}"])


def _tex(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(SYMBOLS.get(letter, f"\\{letter}" if letter in "%_&#${}" else letter) for letter in text)
