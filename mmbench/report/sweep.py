"""A report against one setting: every number by the setting's value, and the Pareto front."""

from __future__ import annotations

import csv
import io
import json as library
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..config import canonical
from .against import Series, Trade, efficient, series, trades
from .comparison import Group, Line
from .escape import csv_cell, markdown_line, tex_comment, tex_label
from .layout import main_columns
from .markdown import pipes
from .numbers import Number
from .paper import Point, metric_digits
from .points import PAGE
from .tabular import grid, width
from .warnings import warnings
from .words import chosen

__all__ = ["COLUMNS", "FORMS", "Block", "Form", "blocks", "sweep", "sweep_title"]

Form = Literal["md", "csv", "tex", "json"]
FORMS: tuple[Form, ...] = ("md", "csv", "tex", "json")
Page = tuple[Group, Sequence[Series]]
VERSION = 1
"""Of the form of the JSON."""
NUMBERS = ("mean", "std", "n", "interval_low", "interval_high")

COLUMNS = (
    *("dataset", "budget", "protocol", "model", "series", "hash", "setting", "setting_value"),
    *("metric", "task", "modality", "unit", "higher_is_better"),
    *("mean", "std", "n", "interval_low", "interval_high", "front_with"),
)
"""Of the CSV, a line for each number; 'front_with': the tasks of coherence with which it is on the Pareto front."""


@dataclass(frozen=True)
class Block:
    """A table of a group's lines by the setting's value, as text."""

    title: str
    head: list[str]
    lines: list[list[str]]
    first: int
    """Columns that say which line it is."""

    def pick(self, start: int, end: int) -> Block:
        """Some of the columns of numbers."""
        kept = [*range(self.first), *range(start, end)]
        lines = [[line[k] for k in kept] for line in self.lines]
        return Block(self.title, [self.head[k] for k in kept], lines, self.first)


def sweep(found: Sequence[Group], setting: str, form: Form = "md") -> str:
    """The cells that have several values of a setting; ResultError where none have."""
    pages = series(found, setting)
    if form == "csv":
        return _csv(pages, setting)
    if form == "json":
        return _json(pages, setting)
    write = _latex if form == "tex" else _markdown
    parts = (part for group, some in pages for part in write(group, some, setting))
    return "\n\n".join(part for part in parts if part) + "\n"


def sweep_title(group: Group, setting: str) -> str:
    return f"{group.heading}, budget {group.budget}{chosen(group)}: against {setting}"


def blocks(group: Group, some: Sequence[Series], setting: str) -> Iterator[Block]:
    """The main columns, then coherence against quality of each task."""
    columns = main_columns(group) or group.columns
    head = ["Model", setting, "Seeds", *(column.title for column in columns)]
    lines = [
        [title, value, str(len(group.of(line))), *(_text(group.measured("model", c, line)) for c in columns)]
        for title, value, line in _places(group, some)
    ]
    yield Block("Means over seeds [95 % interval; of a single seed over its samples]", head, lines, 3)
    for trade in trades(group):
        yield _front(group, some, setting, trade)


def _places(group: Group, some: Sequence[Series]) -> Iterator[tuple[str, str, Line]]:
    for one in some:
        for value, line in zip(one.values, one.lines, strict=True):
            yield one.title, canonical(value) + (" †" if group.collapsed(line) else ""), line


def _front(group: Group, some: Sequence[Series], setting: str, trade: Trade) -> Block:
    """Coherence against quality, and which lines are on the front among all lines of the group's tables."""
    places = {line: trade.place(group, line) for line in group.lines}
    on = dict(zip(places, efficient(list(places.values())), strict=True))
    pair = (trade.quality, trade.coherence)
    lines = [
        [title, value, *(_mean(group.measured("model", c, line)) for c in pair), "yes" if on[line] else ""]
        for title, value, line in _places(group, some)
        if places[line]
    ]
    head = ["Model", setting, *(column.title for column in pair), "Pareto front"]
    return Block(f"{trade.coherence.title} against {trade.quality.title}", head, lines, 2)


def _markdown(group: Group, some: Sequence[Series], setting: str) -> Iterator[str]:
    yield f"## {markdown_line(sweep_title(group, setting))}"
    yield "\n>\n".join(f"> **Warning:** {markdown_line(line)}" for line in warnings(group, []))
    for block in blocks(group, some, setting):
        yield f"### {markdown_line(block.title)}\n\n{pipes(block.head, block.lines, words=1)}"


def _latex(group: Group, some: Sequence[Series], setting: str) -> Iterator[str]:
    """A float for each table; the widest ones in parts that fit a page."""
    label = "-".join(map(tex_label, (group.dataset["name"], group.budget, group.protocol, "against", setting)))
    yield tex_comment(f"{sweep_title(group, setting)}. Needs the package booktabs.")
    parts = (part for block in blocks(group, some, setting) for part in _pages(block))
    for number, block in enumerate(parts, 1):
        title = f"{sweep_title(group, setting)}. {block.title}."
        yield grid(
            title, f"{label}-{number}", 1, _heads(block), block.lines, warnings(group, []) if number == 1 else []
        )


def _heads(block: Block) -> list[tuple[str, str]]:
    return [("", word) for word in block.head]


def _pages(block: Block) -> Iterator[Block]:
    """With as many columns as a page has room for, beside the model, the setting's value and the seeds."""
    start = block.first
    while start < len(block.head):
        ends = range(start + 1, len(block.head) + 1)
        fits = [end for end in ends if width(_heads(part := block.pick(start, end)), part.lines) <= PAGE]
        end = max(fits, default=start + 1)
        yield block.pick(start, end)
        start = end


def _json(pages: Sequence[Page], setting: str) -> str:
    """The records of the CSV, null where there is none."""
    records = [
        {name: None if value == "" and name in NUMBERS else value for name, value in record.items()}
        for group, some in pages
        for record in _records(group, some, setting)
    ]
    return library.dumps({"form": VERSION, "setting": setting, "numbers": records}, indent=1, allow_nan=False) + "\n"


def _csv(pages: Sequence[Page], setting: str) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
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
