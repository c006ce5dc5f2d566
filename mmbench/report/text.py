"""A table as lines of text in the style of a format."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from .numbers import Number
from .statistics import Method, bootstrap, paired
from .table import Entry, Table, TableLine

__all__ = ["LATEX", "MARKDOWN", "PLAIN", "Row", "Style", "rows"]

Kind = Literal["ours", "paper", "difference", "rank", "beside", "reference"]


@dataclass(frozen=True)
class Style:
    """How a format writes a number."""

    plus_minus: str
    best: tuple[str, str]
    second: tuple[str, str]
    minus: str
    times: str
    missing: str
    chance: str
    """After a number that is not above chance."""
    few: str
    """After a joint coherence that is agreement on few classes."""
    hides: str
    """After a mean over tasks of which some are not above chance."""

    def value(self, mean: float, std: float, digits: int) -> str:
        spread = "" if math.isnan(std) else f"{self.plus_minus}{std:.{digits}f}"
        return f"{self.signed(f'{mean:.{digits}f}')}{spread}"

    def interval(self, low: float, high: float, digits: int) -> str:
        return "" if math.isnan(low) else self.signed(f" [{low:.{digits}f}, {high:.{digits}f}]")

    def difference(self, value: float, digits: int) -> str:
        """With its sign; none where it is 0 as printed."""
        if math.isnan(value):
            return ""
        return self.signed(f"{value:+.{digits}f}") if round(value, digits) else f"{0:.{digits}f}"

    def signed(self, text: str) -> str:
        return text.replace("-", self.minus)


MARKDOWN = Style(" ± ", ("**", "**"), ("_", "_"), "−", "×", "–", " ‡", " §", " (‡)")
LATEX = Style(
    r"\,$\pm$\,", (r"\textbf{", "}"), (r"\underline{", "}"), "$-$", r"$\times$", "--", r"\,\ddag", r"\,\S", r"\,(\ddag)"
)
PLAIN = Style("±", ("", ""), ("", ""), "−", "×", "–", " ‡", " §", " (‡)")


@dataclass(frozen=True)
class Row:
    """One line of text."""

    kind: Kind
    name: str
    seeds: str
    texts: tuple[str, ...]


def rows(table: Table, style: Style, *, intervals: Method | None = None, beside: str = "") -> Iterator[Row]:
    """The lines of the models, each with what is compared with it below it, then the reference points.

    Arguments:
        intervals: 95 % intervals of means over seeds as well, by this method; those of single seeds always stand there.
        beside: what the results that are compared are called.
    """
    for line in table.lines:
        seeds = str(line.seeds)
        yield Row("ours", line.title, seeds, tuple(_ours(entry, style, intervals) for entry in line.entries))
        yield from _below(line, style, beside)
    for line in table.references:
        yield Row("reference", line.title, "", tuple(_ours(entry, style, None) for entry in line.entries))


def _below(line: TableLine, style: Style, beside: str) -> Iterator[Row]:
    """The paper's numbers and the other results', and how ours differ."""
    kinds: list[tuple[Kind, str, Callable[[Entry, Style], str]]] = [
        ("paper", "· paper", _paper),
        ("difference", "· ours − paper", _difference),
        ("rank", "· rank (paper)", _rank),
        ("beside", f"· {beside}", _beside),
        ("difference", f"· ours − {beside}", _apart),
    ]
    for kind, name, write in kinds:
        texts = tuple(write(entry, style) if entry else "" for entry in line.entries)
        if any(texts):
            yield Row(kind, name, "", texts)


def _ours(entry: Entry | None, style: Style, intervals: Method | None) -> str:
    if entry is None:
        return style.missing
    number, (before, after) = entry.number, _marks(entry, style)
    text = before + style.value(number.mean, number.std, entry.digits) + after
    if intervals or len(number.seeds) == 1:
        resampled = intervals == "bootstrap" and len(number.seeds) > 1
        text += style.interval(*(bootstrap(number.values) if resampled else number.interval), entry.digits)
    text += (style.few if entry.few_classes else "") + (style.chance if entry.at_chance else "")
    text += style.hides if entry.hides else ""
    return text + (f" (n={len(number.values)})" if entry.fewer else "")


def _marks(entry: Entry, style: Style) -> tuple[str, str]:
    return {"best": style.best, "second": style.second}.get(entry.mark, ("", ""))


def _paper(entry: Entry, style: Style) -> str:
    return entry.paper.printed.replace(" ± ", style.plus_minus) if entry.paper else ""


def _difference(entry: Entry, style: Style) -> str:
    """Ours minus the paper's in the digits that the paper prints; of what has its judge's scale, the ratios."""
    if entry.scale:
        return f"{style.times}{_significant(entry.scale.ratio)} ({_significant(entry.scale.paper_ratio)})"
    return style.difference(entry.difference, entry.paper.digits) if entry.paper else ""


def _significant(value: float) -> str:
    """Three digits: '3.30', '14.5', '120'."""
    return f"{value:#.3g}".rstrip(".") if value < 1000 else f"{value:.0f}"


def _rank(entry: Entry, style: Style) -> str:
    return f"{entry.scale.rank} ({entry.scale.paper_rank})" if entry.scale else ""


def _beside(entry: Entry, style: Style) -> str:
    other = entry.beside
    return _counted(other, style.value(other.mean, other.std, entry.digits), entry.number) if other else ""


def _apart(entry: Entry, style: Style) -> str:
    other = entry.beside
    if other is None:
        return ""
    low, high = paired(entry.number.by_seed, other.by_seed).interval
    difference = style.difference(entry.number.mean - other.mean, entry.digits)
    return difference + style.interval(low, high, entry.digits)


def _counted(number: Number, text: str, beside: Number) -> str:
    """With the number of seeds where it is another."""
    return text if len(number.values) == len(beside.values) else f"{text} (n={len(number.values)})"
