"""The columns of a table: what is measured, and how metrics, tasks and modalities are called in print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..progress import one_line
from ..store import DatasetRecord, RowRecord
from ..store.schema import QuantityRecord
from .paper import COHERENCE, TOWARDS_REAL, Point, metric_title

__all__ = ["Column", "Names"]

SHORT = 12
"""Letters of a name that may stand in a column's label."""
REAL = "closer to real is better"


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    point: Point
    heading: str
    """'Coherence (% ↑)', 'Quality (↓)'."""
    label: str
    """'Joint', 'M → S', 'Entropy(M)', 'Joint(M) FMD'."""
    higher_is_better: bool | None
    unit: str
    short: str = ""
    """The label below its heading, where that says the metric: 'Joint(M)', 'M → S'."""
    over: tuple[Point, ...] = ()
    """The points that it is the mean of; () where it is one point."""
    group: str = ""
    """What its metric declares that it speaks of; '' where nothing is said."""
    measure: str = ""
    """The metric's name in print."""

    @property
    def metric(self) -> str:
        return self.point[0]

    @property
    def is_coherence(self) -> bool:
        """Whether it may stand among the coherence of a table."""
        return bool(self.higher_is_better) and self.group in ("", COHERENCE)

    @property
    def alone(self) -> str:
        """The heading of columns of its metric alone: 'FMD ratio (↓)', 'Label entropy (nats, closer to real is
        better)'."""
        words = {True: "↑", False: "↓", None: REAL if self.metric in TOWARDS_REAL else ""}[self.higher_is_better]
        gap = ", " if words == REAL else " "
        inside = gap.join(word for word in (self.unit, words) if word)
        return f"{self.measure} ({inside})" if inside else self.measure

    @property
    def title(self) -> str:
        """The label without its heading's help: 'Coherence M → S', 'Joint(M) FMD'."""
        return f"{self.heading.split(' (')[0]} {self.label}" if self.higher_is_better else self.label


@dataclass(frozen=True)
class Names:
    """How a dataset's modalities and tasks are called in print."""

    dataset: DatasetRecord
    declared: Mapping[str, QuantityRecord] = field(default_factory=dict)
    """Metric -> what its plugin declares of it."""

    def metric(self, name: str) -> str:
        """A metric's name in print: the report's own, else what its plugin declares."""
        title = self.declared[name]["title"] if name in self.declared else ""
        return one_line(metric_title(name, title))

    def long(self, modality: str) -> str:
        """A modality's name in print."""
        return one_line(next((m["title"] for m in self.dataset["modalities"] if m["name"] == modality), modality))

    @cached_property
    def modalities(self) -> list[str]:
        """The names, in the dataset's order."""
        return [m["name"] for m in self.dataset["modalities"]]

    @cached_property
    def initials(self) -> dict[str, str]:
        """Modality -> its initial; where two share one its name in print, or X1, X2, ... where these are long."""
        names = self.modalities
        short = {name: name[0].upper() for name in names}
        if len(set(short.values())) == len(names):
            return short
        long = {name: self.long(name) for name in names}
        few = len(set(long.values())) == len(names) and max(map(len, long.values())) <= SHORT
        return long if few else {name: f"X{k}" for k, name in enumerate(names, 1)}

    def short(self, modalities: str) -> str:
        """'P+N' for 'pen+name'."""
        return one_line("+".join(self.initials.get(name, name) for name in modalities.split("+")))

    def task_title(self, task: str) -> str:
        """'Joint', 'M → S', 'P+N → S'."""
        given, arrow, target = task.partition("->")
        return f"{self.short(given)} → {self.short(target)}" if arrow else one_line(task.capitalize())

    def _label(self, task: str, modality: str) -> str:
        """The task's title; where several modalities are generated from what is given, of the judged one alone."""
        given, arrow, targets = task.partition("->")
        several = arrow and modality != targets and modality in targets.split("+")
        return self.task_title(f"{given}->{modality}" if several else task)

    def column(self, row: RowRecord) -> Column:
        """The column that a row's number stands in."""
        metric, task, modality = point = (row["metric"], row["task"], row["modality"])
        label, title, unit = self._label(task, modality), self.metric(metric), one_line(row["unit"])
        better = row["higher_is_better"]
        group = self.declared[metric]["group"] if metric in self.declared else ""
        if "->" not in task and set(modality.split("+")) != set(self.modalities):
            label += f"({self.short(modality)})"
        made = Column(point, "Quality (↓)", f"{label} {title}", better, unit, label, group=group, measure=title)
        if better is False:
            return made
        if better is None:
            last = title.split()[-1]
            label = f"{label} {last}" if "->" in task else f"{last.capitalize()}({self.short(modality)})"
        return replace(made, heading=made.alone, label=label, short=label)

    def place(self, column: Column) -> tuple[Any, ...]:
        """The columns' order: coherence, then what is only described, then quality, then other metrics; joint first."""
        metric, task, modality = column.point
        given = task.partition("->")[0].split("+") if "->" in task else []
        order = {True: 0 if column.is_coherence else 3, None: 1, False: 2}[column.higher_is_better]
        main = (metric != COHERENCE, column.heading)
        return order, main, len(given), self._indices(given), self._indices(modality.split("+")), metric

    def _indices(self, names: list[str]) -> list[int]:
        known = self.modalities
        return [known.index(name) if name in known else len(known) for name in names]
