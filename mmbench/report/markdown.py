"""A group of cells in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..store import Cell
from .comparison import Group
from .escape import bullets, markdown_code, markdown_line
from .tables import MARKDOWN, Sheet, sheets
from .warnings import warnings
from .words import about, chosen, claim_lines, footnotes

__all__ = ["markdown"]


def markdown(group: Group, failed: Sequence[Cell]) -> str:
    title, name, budget = group.heading, group.dataset["name"], group.budget
    parts = [f"## {markdown_line(title)} ({markdown_code(name)}), budget {markdown_line(budget)}{chosen(group)}"]
    parts.append(bullets(about(group)))
    parts.append("\n>\n".join(f"> **Warning:** {markdown_line(line)}" for line in warnings(group, failed)))
    for sheet in sheets(group, MARKDOWN):
        parts.append(f"### {markdown_line(sheet.title)}\n\n{_pipe_table(sheet)}")
    parts.append(bullets(footnotes(group)))
    if lines := claim_lines(group, MARKDOWN):
        parts.append(f"### The paper's claims on this data\n\n{bullets(lines)}")
    return "\n\n".join(part for part in parts if part)


def _pipe_table(sheet: Sheet) -> str:
    head = ["Model", "Seeds", *(column.label for column in sheet.columns)]
    if len(set(head)) < len(head):
        head[2:] = [column.title for column in sheet.columns]
    apart = [["*Reference points*", *[""] * (len(head) - 1)]] if sheet.references else []
    lines = [list(map(markdown_line, line)) for line in [*sheet.models, *apart, *sheet.references]]
    table = pd.DataFrame(lines, columns=pd.Index(map(markdown_line, head)))
    align = ("left", *["right"] * (len(head) - 1))
    return table.to_markdown(index=False, disable_numparse=True, colalign=align)
