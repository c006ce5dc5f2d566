"""Metrics against one setting: the lines of a table by its value, and which of them are on the Pareto front.

A `Series` is one model, its other settings alike, over the values of the setting; it has at least two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..config import canonical
from ..errors import ResultError, near
from .code import stale
from .columns import Column
from .comparison import Group, Line, rank_of
from .given import given
from .layout import main_columns
from .paper import model_title

__all__ = ["Series", "Trade", "efficient", "front", "series", "series_of", "trades"]

Place = tuple[float, float]
"""Quality, which is better the lower it is, and coherence, the higher."""


@dataclass(frozen=True)
class Series:
    """Lines of one model by the value of a setting, ascending."""

    title: str
    """'MVAE', 'MVAE (width=256)'."""
    values: tuple[Any, ...]
    lines: tuple[Line, ...]

    @property
    def numeric(self) -> bool:
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)


@dataclass(frozen=True)
class Trade:
    """A number of quality and the coherence of the same task."""

    quality: Column
    coherence: Column

    def place(self, group: Group, line: Line) -> Place | None:
        """Means over seeds; None where one was not measured."""
        found = [group.measured("model", column, line) for column in (self.quality, self.coherence)]
        numbers = [number.mean for number in found if number]
        return (numbers[0], numbers[1]) if len(numbers) == 2 else None


def series(found: Sequence[Group], setting: str) -> list[tuple[Group, list[Series]]]:
    """The groups whose cells have several values of a setting, 'beta' or 'mvae.beta', 'score.steps'.

    Raises ResultError where none has.
    """
    pairs = [(group, series_of(group, setting)) for group in found]
    kept = [(group, some) for group, some in pairs if some]
    if not kept:
        raise ResultError(_why(found, setting))
    return kept


def trades(group: Group) -> list[Trade]:
    """Each column of quality of the main table with the coherence of its task, else of as many given modalities."""
    columns = main_columns(group)
    higher = [column for column in columns if column.higher_is_better]
    found = []
    for quality in (column for column in columns if column.higher_is_better is False):
        same = [c for c in higher if c.point[1] == quality.point[1]]
        alike = [c for c in higher if ("->" in c.point[1] or "given" in c.point[1]) == ("->" in quality.point[1])]
        found += [Trade(quality, some[0]) for some in (same or alike,) if some]
    return found


def efficient(places: Sequence[Place | None]) -> list[bool]:
    """Which are on the Pareto front: no other is as good in both and better in one."""
    there = [place for place in places if place]
    return [bool(place) and not any(_better(other, place) for other in there) for place in places]


def front(group: Group, trade: Trade) -> list[Place]:
    """The front over all lines of a table, by quality."""
    places = [trade.place(group, line) for line in group.lines]
    return sorted(place for place, on in zip(places, efficient(places), strict=True) if place and on)


def _better(one: Place, other: Place) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other


def series_of(group: Group, setting: str) -> list[Series]:
    """Those of one group."""
    found: dict[tuple[str, ...], list[tuple[Any, Line]]] = {}
    for line in group.lines:
        config, path = given(group.of(line)[0]), setting.removeprefix(f"{line.model}.")
        if path in config:
            others = {f: config[f] for f in group.differing(line) if f != path and not _twin(f, path)}
            key = (line.model, canonical(others), line.code)
            found.setdefault(key, []).append((config[path], line))
    return [
        _series(group, setting, pairs, len({key[1] for key in found if key[0] == model}) > 1)
        for (model, _, _), pairs in found.items()
        if len({canonical(value) for value, _ in pairs}) > 1
    ]


def _series(group: Group, setting: str, pairs: Iterable[tuple[Any, Line]], several: bool) -> Series:
    pairs = sorted(pairs, key=lambda pair: rank_of(pair[0]))
    first, last = pairs[0][1], pairs[-1][1]
    path, config = setting.removeprefix(f"{first.model}."), given(group.of(first)[0])
    others = [f"{f}={canonical(config[f])}" for f in group.differing(first) if f != path and not _twin(f, path)]
    said = [", ".join(others)] if several and others else []
    said += ["stale"] if stale(group.of(last)[0]) else []
    title = model_title(first.model) + (f" ({'; '.join(said)})" if said else "")
    return Series(title, tuple(value for value, _ in pairs), tuple(line for _, line in pairs))


def _twin(field: str, path: str) -> bool:
    """Whether a field is the other of a schedule's steps and epochs."""
    part, _, leaf = path.rpartition(".")
    return leaf in ("steps", "epochs") and field in (f"{part}.steps".lstrip("."), f"{part}.epochs".lstrip("."))


def _why(found: Sequence[Group], setting: str) -> str:
    """Why nothing can be shown against a setting."""
    if setting.startswith("eval."):
        return f"{setting} is how cells are measured, and cells measured in several ways share no table: choose another"
    known = sorted({f for group in found for line in group.lines for f in given(group.of(line)[0])})
    vary = sorted({f for group in found for line in group.lines for f in group.differing(line)})
    plain = [setting, *(setting.removeprefix(f"{line.model}.") for group in found for line in group.lines)]
    if not any(name in known for name in plain):
        return f"no cell has a setting {setting!r}; {near(setting, vary or known)}"
    how = "--missing P, one P after the other," if setting == "missing" else f"--set {setting}=...,..."
    run = f"`mmbench run {how}` makes cells of several"
    others = f"; what differs is {', '.join(vary)}" if vary else ""
    return f"no model has several values of {setting!r} in one table{others}; {run}"
