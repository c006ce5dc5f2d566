"""A table as lines of text in the style of a format, cut into pieces that fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .columns import Column
from .comparison import Group, Line, Number
from .paper import metric_digits

__all__ = ["LATEX", "MARKDOWN", "Sheet", "Style", "sheets"]

WIDTH = 118
"""Characters that a line of a Markdown table may take; wider tables are cut into several."""


@dataclass(frozen=True)
class Style:
    """How a format writes a number."""

    plus_minus: str
    bold: tuple[str, str]
    minus: str
    missing: str
    most: int | None
    """Columns of numbers in one table; None where the width of the text decides."""

    def value(self, mean: float, std: float, digits: int, *, best: bool = False) -> str:
        spread = "" if math.isnan(std) else f"{self.plus_minus}{std:.{digits}f}"
        text = f"{mean:.{digits}f}{spread}"
        return f"{self.bold[0]}{text}{self.bold[1]}" if best else text

    def difference(self, value: float, digits: int) -> str:
        return f"{value:+.{digits}f}".replace("-", self.minus)


MARKDOWN = Style(" ± ", ("**", "**"), "−", "–", None)
LATEX = Style(r" $\pm$ ", (r"\textbf{", "}"), "$-$", "--", 10)


@dataclass(frozen=True)
class Sheet:
    """A table as text: lines of a name, the number of seeds, and one text for each column."""

    title: str
    columns: list[Column]
    models: list[list[str]]
    references: list[list[str]]

    @property
    def lines(self) -> list[list[str]]:
        return self.models + self.references

    def pick(self, title: str, chosen: Sequence[int], missing: str) -> Sheet:
        """The same lines with some of the columns; lines left empty go."""
        parts: list[list[list[str]]] = []
        for lines in (self.models, self.references):
            picked = [[*line[:2], *(line[2 + k] for k in chosen)] for line in lines]
            parts.append([x for x in picked if x[1] or any(text not in ("", missing) for text in x[2:])])
        return Sheet(title, [self.columns[k] for k in chosen], *parts)


def sheets(group: Group, style: Style) -> list[Sheet]:
    """The tables to print, none of them too wide."""
    main, own = _main_sheet(group, style), _reconstructions(group, style)
    pieces = [main.pick(title, chosen, style.missing) for title, chosen in _pieces(main, style)]
    if own.columns:
        pieces += [own.pick(own.title, part, style.missing) for part in _cut(own, style, range(len(own.columns)))]
    return pieces


def _main_sheet(group: Group, style: Style) -> Sheet:
    """What the models generate, with the paper's numbers below ours, and the data's own reference points."""
    sheet = Sheet("", group.columns, [], [])
    for line in group.lines:
        numbers = [group.number("model", column.point, line) for column in group.columns]
        sheet.models.append(_model_line(group, "model", group.columns, line, style))
        if any(n and n.paper for n in numbers):
            sheet.models.append(["· paper", "", *(_paper(n, style) for n in numbers)])
            sheet.models.append(["· difference", "", *(_difference(n, style) for n in numbers)])
    for source, title in (("real", "Real data"), ("shuffled", "Shuffled tuples")):
        numbers = [group.number(source, column.point) for column in group.columns]
        sheet.references.append([title, "", *(_plain(n, style) for n in numbers)])
    return sheet


def _reconstructions(group: Group, style: Style) -> Sheet:
    """What each model makes of a modality that it is given: the bound that its decoders set."""
    columns = group.columns_of("reconstruction")
    lines = [_model_line(group, "reconstruction", columns, line, style) for line in group.lines]
    return Sheet("Reconstructions (reference points)", columns, lines, [])


def _model_line(group: Group, source: str, columns: list[Column], line: Line, style: Style) -> list[str]:
    seeds = len(group.of(line))
    return [group.title(line), str(seeds), *(_ours(group, source, c, line, seeds, style) for c in columns)]


def _ours(group: Group, source: str, column: Column, line: Line, seeds: int, style: Style) -> str:
    number = group.number(source, column.point, line)
    if number is None:
        return style.missing
    digits = metric_digits(column.metric)
    best = source == "model" and round(number.mean, digits) == _best(group, column)
    fewer = f" (n={len(number.values)})" if len(number.values) != seeds else ""
    return style.value(number.mean, number.std, digits, best=best) + fewer


def _paper(number: Number | None, style: Style) -> str:
    if number is None or number.paper is None:
        return ""
    return style.value(number.paper.mean, number.paper.std, metric_digits(number.row["metric"]))


def _difference(number: Number | None, style: Style) -> str:
    if number is None or number.paper is None:
        return ""
    return style.difference(number.difference, metric_digits(number.row["metric"]))


def _plain(number: Number | None, style: Style) -> str:
    return style.value(number.mean, number.std, metric_digits(number.row["metric"])) if number else style.missing


def _best(group: Group, column: Column) -> float | None:
    """The best of the models' means, as printed, where there are two to compare and one direction is better."""
    numbers = [group.number("model", column.point, line) for line in group.lines]
    means = [round(number.mean, metric_digits(column.metric)) for number in numbers if number]
    if column.higher_is_better is None or len(means) < 2:
        return None
    return max(means) if column.higher_is_better else min(means)


def _pieces(sheet: Sheet, style: Style) -> list[tuple[str, list[int]]]:
    """(title, columns) of each printed table: cut by heading and by width, neighbours together where they fit."""
    runs: dict[str, list[int]] = {}
    for k, column in enumerate(sheet.columns):
        runs.setdefault(column.heading, []).append(k)
    pieces: list[tuple[str, list[int]]] = []
    for heading, columns in runs.items():
        parts = _cut(sheet, style, columns)
        for number, part in enumerate(parts, 1):
            if pieces and len(parts) == 1 and _fits(sheet, style, pieces[-1][1] + part):
                pieces[-1] = (f"{pieces[-1][0]}, {heading}", pieces[-1][1] + part)
            else:
                title = f"{heading}, {number} of {len(parts)}" if len(parts) > 1 else heading
                pieces.append((title, part))
    return pieces


def _cut(sheet: Sheet, style: Style, columns: Sequence[int]) -> list[list[int]]:
    """`columns` in the fewest runs of nearly equal length that fit, or in single columns."""
    for count in range(1, len(columns) + 1):
        cuts = [round(k * len(columns) / count) for k in range(count + 1)]
        parts = [list(columns[a:b]) for a, b in pairwise(cuts)]
        if all(_fits(sheet, style, part) for part in parts):
            return parts
    return [[k] for k in columns]


def _fits(sheet: Sheet, style: Style, columns: Sequence[int]) -> bool:
    if style.most is not None:
        return len(columns) <= style.most
    names = max(len("*Reference points*"), *(len(line[0]) for line in sheet.lines))
    widths = (max(len(sheet.columns[k].label), *(len(line[2 + k]) for line in sheet.lines)) for k in columns)
    return len("|  | Seeds   |") + names + sum(width + len("  |") for width in widths) <= WIDTH
