"""What a plugin declares of its numbers decides how they are called, and where they stand."""

from __future__ import annotations

from typing import Any

import pytest

from mmbench.report import render
from mmbench.report.comparison import groups
from mmbench.report.figures.measures import pairs
from mmbench.report.layout import further_columns, main_columns
from mmbench.store.schema import fault

from ..cells import cell, row

QUANTITIES = {
    "prec": {"title": "Improved precision", "group": "quality"},
    "spread": {"title": "", "group": "diversity"},
}


def measured(rows: list[dict[str, Any]], quantities: dict[str, Any] = QUANTITIES) -> Any:
    record = {"distribution": "odd 1.0", "seconds": 1.0, "commit": None, "code": {}, "quantities": quantities}
    return cell(rows=rows, dataset="own", metrics={"prec": record})


def number(metric: str, task: str = "joint", modality: str = "mnist", value: float = 50.0) -> dict[str, Any]:
    return row(metric, task, modality, value, higher_is_better=True, plugin="prec", unit="%")


OTHERS = [number("prec"), number("spread")]
COHERENCE = [row("coherence", "joint", "mnist+svhn", 40.0), row("fmd", "joint", "mnist", 12.0)]


def test_such_a_cell_may_be_written() -> None:
    assert fault(measured(OTHERS)) is None
    assert "quantities" in str(fault(measured(OTHERS, {"prec": {"title": 3, "group": ""}})))


@pytest.mark.parametrize("rest", [COHERENCE, COHERENCE[1:]], ids=["coherence", "no coherence"])
def test_precision_does_not_stand_in_the_place_of_coherence(rest: list[dict[str, Any]]) -> None:
    (group,) = groups([measured([*rest, *OTHERS])])
    assert [c.metric for c in main_columns(group)] == [r["metric"] for r in rest]
    assert [title for title, _ in further_columns(group)] == ["Improved precision (% ↑)", "Spread (% ↑)"]
    assert [coherence.metric for _, coherence in pairs(group)] == ["coherence"] * (len(rest) - 1)


def test_a_metric_that_declares_no_group_may_stand_there_as_ever() -> None:
    (group,) = groups([measured([*COHERENCE[1:], *OTHERS], {})])
    assert [c.metric for c in main_columns(group)] == ["prec", "fmd"]


def test_its_title_stands_in_every_table() -> None:
    text = render([measured([*COHERENCE, *OTHERS])], [], "md")
    assert "Improved precision" in text
    assert "Prec " not in text
