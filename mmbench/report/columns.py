"""The columns of a table: what is measured, and how metrics, tasks and modalities are called in print."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..store import DatasetRecord, RowRecord

__all__ = ["Column", "Names", "Point", "metric_title", "model_rank", "model_title"]

PAPER_MODELS = {
    "mvae": "MVAE",
    "mmvae": "MMVAE",
    "mopoe": "MOPOE",
    "nexus": "NEXUS",
    "mvtcae": "MVTCAE",
    "mld": "MLD",
    "mld_star": "MLD*",
}
"""The word typed after --model -> its name in print, in the order of the paper's tables."""
METRICS = {
    "coherence": "Coherence",
    "coherence_second": "Coherence by the second judge",
    "label_entropy": "Label entropy",
    "fmd": "FMD",
    "fmd_ratio": "FMD ratio",
    "fid": "FID",
    "clip_s": "CLIP-S",
    "clip_cosine": "CLIP cosine",
}
"""Metric -> its name in print."""

Point = tuple[str, str, str]
"""What is measured: metric, task, judged modality."""


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

    @property
    def metric(self) -> str:
        return self.point[0]

    @property
    def title(self) -> str:
        """The label without its heading's help: 'Coherence M → S', 'Joint(M) FMD'."""
        return f"{self.heading.split(' (')[0]} {self.label}" if self.higher_is_better else self.label


@dataclass(frozen=True)
class Names:
    """How a dataset's modalities and tasks are called in print."""

    dataset: DatasetRecord

    def long(self, modality: str) -> str:
        """A modality's name in print."""
        return self.dataset.get("titles", {}).get(modality, modality)

    @cached_property
    def initials(self) -> dict[str, str]:
        """Modality -> its initial, or its name in print where two share an initial."""
        names = self.dataset["modalities"]
        short = {name: name[0].upper() for name in names}
        return short if len(set(short.values())) == len(names) else {name: self.long(name) for name in names}

    def short(self, modalities: str) -> str:
        """'P+N' for 'pen+name'."""
        return "+".join(self.initials.get(name, name) for name in modalities.split("+"))

    def task_title(self, task: str) -> str:
        """'Joint', 'M → S', 'P+N → S'."""
        given, arrow, target = task.partition("->")
        return f"{self.short(given)} → {self.short(target)}" if arrow else task.capitalize()

    def column(self, row: RowRecord) -> Column:
        """The column that a row's number stands in."""
        metric, task, modality = point = (row["metric"], row["task"], row["modality"])
        label, title, better = self.task_title(task), metric_title(metric), row["higher_is_better"]
        if "->" not in task and set(modality.split("+")) != set(self.dataset["modalities"]):
            label += f"({self.short(modality)})"
        if better is False:
            return Column(point, "Quality (↓)", f"{label} {title}", better, row["unit"])
        if better is None:
            last = title.split()[-1]
            label = f"{label} {last}" if "->" in task else f"{last.capitalize()}({self.short(modality)})"
        inside = " ".join(word for word in (row["unit"], "↑" if better else "") if word)
        return Column(point, f"{title} ({inside})" if inside else title, label, better, row["unit"])

    def place(self, column: Column) -> tuple[Any, ...]:
        """The columns' order: coherence, then what is only described, then quality; joint first."""
        metric, task, modality = column.point
        given = task.partition("->")[0].split("+") if "->" in task else []
        order = {True: 0, None: 1, False: 2}[column.higher_is_better]
        main = (metric != "coherence", column.heading)
        return order, main, len(given), self._indices(given), self._indices(modality.split("+")), metric

    def _indices(self, names: list[str]) -> list[int]:
        known = self.dataset["modalities"]
        return [known.index(name) if name in known else len(known) for name in names]


def model_title(model: str) -> str:
    """A model's name in print."""
    return PAPER_MODELS.get(model, model)


def metric_title(metric: str) -> str:
    """A metric's name in print."""
    return METRICS.get(metric, metric.replace("_", " ").capitalize())


def model_rank(model: str) -> int:
    """Place in the paper's tables; models that are not the paper's come after."""
    order = list(PAPER_MODELS)
    return order.index(model) if model in order else len(order)
