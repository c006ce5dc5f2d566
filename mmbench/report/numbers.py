"""One number of a report: what was measured on the samples of one source, over training seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean

from ..store import Cell, RowRecord
from .code import metric_code
from .paper import COHERENCE, SHARES, Point, Published
from .statistics import deviation, student

__all__ = ["Number", "Owner", "average", "owner_of", "report_units"]

Owner = tuple[str, str, str]
"""Model, hash and code of a line; empty for the data's own numbers."""
NOBODY: Owner = ("", "", "")
NAN = (math.nan, math.nan)
Interval = tuple[float, float]


@dataclass(frozen=True)
class Number:
    """One point, measured on the samples of one source, over seeds."""

    row: RowRecord
    """The row of the first seed, in the report's units (coherence in percent)."""
    model: str
    """'' for a reference point that belongs to the data alone."""
    hash: str
    code: str
    values: tuple[float, ...]
    """One value a seed; the values that differ in four digits where the number is of the data alone."""
    seeds: tuple[int, ...]
    notes: tuple[str, ...]
    """The distinct warnings of the rows."""
    measured_by: tuple[str, ...] = ()
    """The distinct codes that measured it: more than one should not be averaged."""
    paper: Published | None = None
    sampled: tuple[Interval | None, ...] = ()
    """For each value its 95 % interval over the samples of that seed; None where none was measured."""
    spread: float = math.nan
    """The standard deviation that somebody else printed of a number that is not ours."""

    @cached_property
    def mean(self) -> float:
        return fmean(self.values)

    @cached_property
    def std(self) -> float:
        """Sample standard deviation over seeds (ddof = 1); NaN for a single seed, and for what has no seeds."""
        return deviation(self.values) if len(self.seeds) > 1 else self.spread

    @cached_property
    def interval(self) -> Interval:
        """95 % interval: of the mean over seeds by Student's t, of a share cut to 0 to 100 %; of a single seed over its
        samples; NaN where there is none."""
        if len(self.seeds) > 1:
            low, high = student(self.values)
            return (max(low, 0.0), min(high, 100.0)) if self.row["metric"] in SHARES else (low, high)
        return (self.sampled[0] if self.sampled else None) or NAN

    @property
    def low(self) -> float:
        """Mean of the lower ends of the seeds' own intervals, where each has one; else the mean."""
        ends = [interval[0] for interval in self.sampled if interval]
        return fmean(ends) if len(ends) == len(self.values) else self.mean

    @cached_property
    def by_seed(self) -> dict[int, float]:
        return dict(zip(self.seeds, self.values, strict=False))

    @property
    def difference(self) -> float:
        """Ours minus the paper's; NaN where the paper has none."""
        return self.mean - self.paper.mean if self.paper else math.nan


def owner_of(source: str, line: Owner) -> Owner:
    """Whose number it is: nobody's where the samples are the data's own."""
    return NOBODY if source in ("real", "shuffled") else line


def make(
    key: tuple[str, Owner, Point], rows: Sequence[tuple[Cell, RowRecord]], paper: Mapping[tuple[str, Point], Published]
) -> Number:
    """The number of one source, owner and point, from the cells' rows."""
    source, (model, hash, code), point = key
    rows = sorted(rows, key=lambda item: item[0]["seed"])
    values = {k: float(row["value"]) for k, (_, row) in enumerate(rows)}
    if not model:
        values = {k: values[k] for k in {f"{values[k]:.4g}": k for k in reversed(values)}.values()}
    return Number(
        row=rows[0][1],
        model=model,
        hash=hash,
        code=code,
        values=tuple(values.values()),
        seeds=tuple(cell["seed"] for cell, _ in rows) if model else (),
        notes=tuple(sorted({row["note"] for _, row in rows} - {""})),
        measured_by=tuple(sorted({metric_code(cell, row["plugin"]) for cell, row in rows})),
        paper=paper.get((model, point)) if source == "model" and "missing" not in rows[0][0] else None,
        sampled=tuple(_interval(rows[k][1]) for k in values),
    )


def average(numbers: Sequence[Number], point: Point) -> Number | None:
    """The mean of several points, seed by seed, over the seeds that have all of them; None where none has.

    Its row is the first one's under the name `point`; the samples of the points overlap, so it has no interval of
    samples.
    """
    first, seeds = numbers[0], [s for s in numbers[0].seeds if all(s in n.seeds for n in numbers)]
    if first.model:
        values = tuple(fmean(n.by_seed[seed] for n in numbers) for seed in seeds)
    else:
        values = (fmean(n.mean for n in numbers),)
    if not values:
        return None
    row: RowRecord = {**first.row, "metric": point[0], "task": point[1], "modality": point[2], "interval": None}
    notes = tuple(dict.fromkeys(note for number in numbers for note in number.notes))
    codes = tuple(sorted({code for number in numbers for code in number.measured_by}))
    changed = {"row": row, "values": values, "seeds": tuple(seeds), "sampled": ()}
    return replace(first, **changed, notes=notes, measured_by=codes, paper=None)


def report_units(row: RowRecord) -> RowRecord:
    """Coherence in percent; a task that makes what it is given is a reconstruction."""
    if row["metric"] == COHERENCE and row["unit"] != "%":
        interval = [100 * end for end in row["interval"]] if row["interval"] else None
        row = {**row, "value": 100 * row["value"], "unit": "%", "interval": interval}
    given, _, target = row["task"].partition("->")
    if row["source"] == "model" and given == target:
        return {**row, "source": "reconstruction"}
    return row


def _interval(row: RowRecord) -> Interval | None:
    return (row["interval"][0], row["interval"][1]) if row["interval"] else None
