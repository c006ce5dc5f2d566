"""A group of cells in LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from ..store import Cell
from .comparison import Group
from .escape import tex, tex_comment, tex_label
from .tables import LATEX, Sheet, sheets
from .warnings import warnings
from .words import LEGEND, about, chosen, claim_lines, footnotes

__all__ = ["latex"]


def latex(group: Group, failed: Sequence[Cell]) -> str:
    """Tables for the packages booktabs and graphicx, with what a reader must know as comments above them."""
    words = [f"{group.heading} ({group.dataset['name']}), budget {group.budget}{chosen(group)}."]
    words += [*about(group), *warnings(group, failed), *footnotes(group)]
    words += claim_lines(group, LATEX)
    pieces = enumerate(sheets(group, LATEX), 1)
    return "\n".join([*map(tex_comment, words), *(_latex_table(group, s, k) for k, s in pieces)])


def _latex_table(group: Group, sheet: Sheet, number: int) -> str:
    head = [("", "Model"), ("", "Seeds"), *((c.heading, c.label) for c in sheet.columns)]
    body = pd.DataFrame(
        [[tex(line[0]), *line[1:]] for line in sheet.lines],
        columns=pd.MultiIndex.from_tuples(_apart((tex(heading), tex(label)) for heading, label in head)),
    )
    align = "lr" + "r" * len(sheet.columns)
    text = body.style.hide(axis="index").to_latex(hrules=True, column_format=align, multicol_align="c")
    lines = text.splitlines()
    if sheet.references:
        lines.insert(lines.index(r"\midrule") + len(sheet.models) + 1, r"\midrule")
    what = f"{group.heading} ({group.dataset['name']}), budget {group.budget}{chosen(group)}"
    title = f"{sheet.title}: {what}. {LEGEND}"
    start = [r"\begin{table}", r"\centering", rf"\caption{{{tex(title)}}}"]
    label = "-".join(map(tex_label, (group.dataset["name"], group.budget, group.protocol)))
    start += [rf"\label{{tab:{label}-{number}}}"]
    return "\n".join([*start, r"\resizebox{\textwidth}{!}{%", *lines, "}", r"\end{table}"])


def _apart(labels: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The labels; where one comes again, an empty group tells it apart and is not printed."""
    found: dict[tuple[str, str], None] = {}
    for heading, label in labels:
        while (heading, label) in found:
            label += "{}"
        found[heading, label] = None
    return list(found)
