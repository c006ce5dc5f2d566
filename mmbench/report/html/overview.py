"""What was compared, when, by which code; what is missing, failed or stale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ...store import Cell as Record
from ..comparison import Group
from ..paper import metric_title
from .parts import Body, Cell, Head, Row, Table

__all__ = ["overview"]


def overview(shown: Sequence[Group], failed: Sequence[Sequence[Record]]) -> Table:
    """A line for each group of comparable cells."""
    heads = [Head("Data"), Head("Budget"), Head("Models"), Head("Seeds"), Head("Cells", "", "descending")]
    heads += [Head("Missing"), Head("Failed", "", "descending"), Head("Stale"), Head("Finished"), Head("Code")]
    bodies = [Body([_row(group, lost)]) for group, lost in zip(shown, failed, strict=True)]
    return Table("overview-table", "What was compared", heads, bodies)


def _row(group: Group, failed: Sequence[Record]) -> Row:
    models = ", ".join(group.title(line) for line in group.lines)
    cells = [Cell(group.budget), Cell(models), Cell(", ".join(map(str, group.seeds)))]
    cells += [Cell(str(len(group.cells)), len(group.cells)), Cell(_missing(group)), Cell(str(len(failed)), len(failed))]
    stale = ", ".join(group.title(line) for line in group.lines if group.stale(line))
    return Row(group.heading, [*cells, Cell(stale or "none"), Cell(_days(group)), Cell(_commits(group))])


def _missing(group: Group) -> str:
    """'MLD seed 3; FID'."""
    found = []
    for line in group.lines:
        lacking = sorted(set(group.seeds) - {cell["seed"] for cell in group.of(line)})
        found += [f"{group.title(line)} seed {', '.join(map(str, lacking))}"] if lacking else []
    found += dict.fromkeys(metric_title(name) for cell in group.cells for name in cell["left_out"])
    return "; ".join(found) or "none"


def _days(group: Group) -> str:
    days = sorted({cell["environment"].get("finished", "")[:10] for cell in group.cells} - {""})
    return " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "unknown"


def _commits(group: Group) -> str:
    found = Counter((cell["environment"].get("commit") or "unknown") for cell in group.cells)
    return ", ".join(f"{commit} ({n})" if len(found) > 1 else commit for commit, n in found.items())
