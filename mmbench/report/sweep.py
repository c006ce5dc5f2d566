"""A report against one setting, as Markdown or CSV: every number by the setting's value, and the Pareto front."""

from __future__ import annotations

import csv as library
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from ..config import canonical
from .against import Series, Trade, efficient, series, trades
from .comparison import Group, Line
from .escape import csv_cell, markdown_line
from .layout import main_columns
from .markdown import pipes
from .numbers import Number
from .paper import Point, metric_digits
from .words import chosen

__all__ = ["COLUMNS", "sweep"]

COLUMNS = (
    *("dataset", "budget", "protocol", "model", "series", "hash", "setting", "setting_value"),
    *("metric", "task", "modality", "unit", "higher_is_better"),
    *("mean", "std", "n", "interval_low", "interval_high", "front_with"),
)
"""Of the CSV, a line for each number; 'front_with': the tasks of coherence with which it is on the Pareto front."""


def sweep(found: Sequence[Group], setting: str, form: Literal["md", "csv"] = "md") -> str:
    """The cells that have several values of a setting; ResultError where none have."""
    pages = series(found, setting)
    if form == "csv":
        return _csv(pages, setting)
    return "\n\n".join(block for group, some in pages for block in _blocks(group, some, setting)) + "\n"


def _blocks(group: Group, some: Sequence[Series], setting: str) -> Iterator[str]:
    columns = main_columns(group)
    yield f"## {markdown_line(group.heading)}, budget {markdown_line(group.budget)}{chosen(group)}: against {setting}"
    head = ["Model", setting, "Seeds", *(column.title for column in columns)]
    lines = [
        [
            one.title,
            canonical(value),
            str(len(group.of(line))),
            *(_text(group.measured("model", c, line)) for c in columns),
        ]
        for one in some
        for value, line in zip(one.values, one.lines, strict=True)
    ]
    yield f"### Means over seeds [95 % interval]\n\n{pipes(head, lines, words=1)}"
    for trade in trades(group):
        yield _front(group, some, setting, trade)


def _front(group: Group, some: Sequence[Series], setting: str, trade: Trade) -> str:
    """Coherence against quality, and which lines are on the front among all lines of the group's tables."""
    places = {line: trade.place(group, line) for line in group.lines}
    on = dict(zip(places, efficient(list(places.values())), strict=True))
    pair = (trade.quality, trade.coherence)
    lines = [
        [
            one.title,
            canonical(value),
            *(_mean(group.measured("model", c, line)) for c in pair),
            "yes" if on[line] else "",
        ]
        for one in some
        for value, line in zip(one.values, one.lines, strict=True)
        if places[line]
    ]
    head = ["Model", setting, *(column.title for column in pair), "Pareto front"]
    title = f"### {markdown_line(trade.coherence.title)} against {markdown_line(trade.quality.title)}"
    return f"{title}\n\n{pipes(head, lines, words=1)}"


def _csv(pages: Sequence[tuple[Group, Sequence[Series]]], setting: str) -> str:
    out = io.StringIO()
    writer = library.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for group, some in pages:
        for record in _records(group, some, setting):
            writer.writerow({name: csv_cell(v) if isinstance(v, str) else v for name, v in record.items()})
    return out.getvalue()


def _records(group: Group, some: Sequence[Series], setting: str) -> Iterator[dict[str, Any]]:
    fronts = _fronts(group)
    for one in some:
        for value, line in zip(one.values, one.lines, strict=True):
            for column in group.columns:
                number = group.measured("model", column, line)
                if number:
                    yield {
                        "dataset": group.dataset["name"],
                        "budget": group.budget,
                        "protocol": group.protocol,
                        "model": line.model,
                        "series": one.title,
                        "hash": line.hash,
                        "setting": setting,
                        "setting_value": canonical(value),
                        **dict(zip(("metric", "task", "modality"), column.point, strict=True)),
                        "unit": column.unit,
                        "higher_is_better": column.higher_is_better,
                        **_spread(number),
                        "front_with": " ".join(fronts.get((line, column.point), ())),
                    }


def _fronts(group: Group) -> dict[tuple[Line, Point], list[str]]:
    """(line, column of quality) -> the tasks of coherence with which it is on the front."""
    found: dict[tuple[Line, Point], list[str]] = {}
    for trade in trades(group):
        on = efficient([trade.place(group, line) for line in group.lines])
        for line, there in zip(group.lines, on, strict=True):
            if there:
                found.setdefault((line, trade.quality.point), []).append(trade.coherence.point[1])
    return found


def _spread(number: Number) -> dict[str, Any]:
    low, high = number.interval
    values = {"mean": number.mean, "std": number.std, "interval_low": low, "interval_high": high}
    return {name: "" if math.isnan(v) else v for name, v in values.items()} | {"n": len(number.values)}


def _text(number: Number | None) -> str:
    """'48.78 [47.10, 50.46]'."""
    if number is None:
        return "–"
    low, high = number.interval
    digits = metric_digits(number.row["metric"])
    return _mean(number) + ("" if math.isnan(low) else f" [{low:.{digits}f}, {high:.{digits}f}]")


def _mean(number: Number | None) -> str:
    return "–" if number is None else f"{number.mean:.{metric_digits(number.row['metric'])}f}"
