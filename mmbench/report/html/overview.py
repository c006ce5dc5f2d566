"""What was compared, when, by which code; what is missing, failed or stale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ...store import Cell as Record
from ..comparison import Group
from ..paper import metric_title
from .parts import Body, Cell, Head, Row, Table

__all__ = ["overview", "overview_words"]


def overview(shown: Sequence[Group], failed: Sequence[Sequence[Record]]) -> Table:
    """A line for each group of comparable cells."""
    heads = [Head("Data"), Head("Budget"), Head("Models"), Head("Seeds"), Head("Cells", "", "descending")]
    heads += [Head("Missing"), Head("Failed", "", "descending"), Head("Stale"), Head("Finished"), Head("Code")]
    bodies = [Body([_row(group, lost)]) for group, lost in zip(shown, failed, strict=True)]
    return Table("overview-table", "What was compared", heads, bodies, copied=False)


def overview_words(group: Group, failed: Sequence[Record]) -> list[str]:
    """The same of one group, in sentences."""
    models = ", ".join(group.title(line) for line in group.lines)
    lines = [
        f"Compared: {models} on {group.heading}, budget {group.budget}; {_seeds(group)}.",
        f"Finished: {_days(group)}, by code of commit {_commits(group)}.",
    ]
    lacks = {"Missing": _missing(group), "Failed": str(len(failed) or ""), "Stale": _stale(group)}
    found = [f"{what}: {said}." for what, said in lacks.items() if said]
    return lines + (found or ["Nothing is missing, failed or stale."])


def _row(group: Group, failed: Sequence[Record]) -> Row:
    models = ", ".join(group.title(line) for line in group.lines)
    cells = [Cell(group.budget), Cell(models), Cell(", ".join(map(str, group.seeds)))]
    cells += [Cell(str(len(group.cells)), len(group.cells)), Cell(_missing(group) or "none")]
    cells += [Cell(str(len(failed)), len(failed)), Cell(_stale(group) or "none")]
    return Row(group.heading, [*cells, Cell(_days(group)), Cell(_commits(group))])


def _seeds(group: Group) -> str:
    """'seed 0', 'seeds 0, 1, 2'."""
    return f"seed{'s' * (len(group.seeds) > 1)} {', '.join(map(str, group.seeds))}"


def _stale(group: Group) -> str:
    return ", ".join(group.title(line) for line in group.lines if group.stale(line))


def _missing(group: Group) -> str:
    """'MLD seed 3; FID'."""
    found = []
    for line in group.lines:
        lacking = sorted(set(group.seeds) - {cell["seed"] for cell in group.of(line)})
        found += [f"{group.title(line)} seed {', '.join(map(str, lacking))}"] if lacking else []
    found += dict.fromkeys(metric_title(name) for cell in group.cells for name in cell["left_out"])
    return "; ".join(found)


def _days(group: Group) -> str:
    days = sorted({cell["environment"].get("finished", "")[:10] for cell in group.cells} - {""})
    return " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "unknown"


def _commits(group: Group) -> str:
    found = Counter((cell["environment"].get("commit") or "unknown") for cell in group.cells)
    return ", ".join(f"{commit} ({n})" if len(found) > 1 else commit for commit, n in found.items())
