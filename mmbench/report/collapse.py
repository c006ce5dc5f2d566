"""Samples that show few of the classes: their joint coherence is agreement on those few."""

from __future__ import annotations

import math

from .columns import Column
from .comparison import Group, Line

__all__ = ["few_classes"]

SHARE = 0.5
"""Joint samples whose label entropy is below this share of the possible are called collapsed."""


def few_classes(group: Group, line: Line) -> list[str]:
    """'Entropy(M) 0.50 of 2.30' for each modality whose joint samples show few classes."""
    found = []
    for column in (c for c in group.columns if "entropy" in c.metric):
        number, possible = group.number("model", column.point, line), _possible_entropy(group, column)
        if number and possible and number.mean < SHARE * possible:
            found.append(f"{column.label} {number.mean:.2f} of {possible:.2f}")
    return found


def _possible_entropy(group: Group, column: Column) -> float | None:
    """ln(classes), or log2 for bits; the real data's entropy where the number of classes is not recorded."""
    classes = group.dataset["classes"]
    if classes > 1 and column.unit in ("", "nats", "bits"):
        return math.log2(classes) if column.unit == "bits" else math.log(classes)
    real = group.number("real", column.point)
    return real.mean if real else None
