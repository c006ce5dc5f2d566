"""Numbers of other papers (results/published), each with its source, protocol and doubts.

A number stands in a table or figure only beside cells of exactly that dataset that were measured as it was: its split,
all its modalities, the budget 'paper' and every test tuple. One whose task is not known for certain ('conditional',
without the number of given modalities) stands nowhere but in its file.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..store import RowRecord
from .columns import Column
from .comparison import Group
from .numbers import Number
from .paper import Point, folder

__all__ = ["Elsewhere", "Source", "beside", "elsewhere", "numbers", "sources"]


@dataclass(frozen=True)
class Source:
    """A paper, or whoever quotes it."""

    key: str
    title: str
    split: str
    budget: str
    """The budget of ours that trains as long as they did."""
    count: str
    """Test tuples that were measured; '' for all of them."""
    modalities: str
    protocol: str
    doubts: str


@dataclass(frozen=True)
class Elsewhere:
    """One published number."""

    source: Source
    model: str
    """As it is printed."""
    point: Point
    mean: float
    std: float
    """NaN where none is printed."""
    digits: int

    @property
    def title(self) -> str:
        return f"{self.model}, published [{self.source.key}]"


@cache
def sources() -> dict[str, Source]:
    return {record["source"]: Source(*record.values()) for record in _read(folder("published") / "sources.csv")}


@cache
def elsewhere(dataset: str) -> tuple[Elsewhere, ...]:
    """The numbers published for exactly this dataset; none for any other, one drawn in its likeness included."""
    path = folder("published") / f"{dataset}.csv"
    if not dataset.isidentifier() or dataset == "sources" or not path.is_file():
        return ()
    return tuple(map(_number, _read(path)))


def beside(group: Group) -> list[Elsewhere]:
    """Those that a group of cells may be compared with."""
    return [number for number in elsewhere(group.dataset["name"]) if _same_protocol(group, number.source)]


def numbers(found: Sequence[Elsewhere], columns: Sequence[Column]) -> dict[str, list[tuple[Number, int] | None]]:
    """Title -> for each column the number and its digits, None where none was published; without empty lines."""
    lines: dict[str, list[tuple[Number, int] | None]] = {}
    for title in dict.fromkeys(number.title for number in found):
        by_point = {number.point: number for number in found if number.title == title}
        line = [_in(column, by_point.get(column.point)) for column in columns]
        if any(line):
            lines[title] = line
    return lines


def _in(column: Column, number: Elsewhere | None) -> tuple[Number, int] | None:
    """In the place of a number of ours."""
    if number is None:
        return None
    metric, task, modality = number.point
    row: RowRecord = {
        "metric": metric,
        "plugin": metric,
        "task": task,
        "modality": modality,
        "value": number.mean,
        "count": 0,
        "judge": "",
        "identity": "",
        "reference": "",
        "higher_is_better": column.higher_is_better,
        "unit": column.unit,
        "interval": None,
        "note": "",
        "data": number.source.title,
        "source": "model",
    }
    notes = (number.source.doubts,) if number.source.doubts else ()
    made = Number(row, "", "", "", (number.mean,), (), notes, spread=number.std)
    return made, number.digits


def _same_protocol(group: Group, source: Source) -> bool:
    data, count = group.dataset, group.cells[0]["protocol"].get("count")
    same = (data["split"], group.budget, set(group.names.modalities))
    every = count is None or count == data["test"]
    counted = every if not source.count else str(count) == source.count
    return counted and same == (source.split, source.budget, set(source.modalities.split("+")))


def _number(record: dict[str, str]) -> Elsewhere:
    mean, std = record["mean"], record["std"]
    point = (record["metric"], record["task"], record["modality"])
    digits = len(mean.partition(".")[2])
    source = sources()[record["source"]]
    return Elsewhere(source, record["model"], point, float(mean), float(std) if std else math.nan, digits)


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
