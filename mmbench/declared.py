"""What a metric declares, and whether its rows keep to it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

from .errors import near
from .metric import Metric, Quantity, Row
from .modality import Task

__all__ = ["GROUPS", "declaration_fault", "declared", "row_fault"]

GROUPS = ("coherence", "quality", "diversity", "likelihood", "representation")
"""What a quantity may speak of."""
GENERATORS = ("collapsed", "shuffled")
"""What a metric may be asked to tell from a perfect generator."""
SLACK = 1e-6
"""What rounding may add to a bound, relative to it."""


def declared(metric: type[Metric]) -> dict[str, Quantity]:
    """The metric's kinds of rows by their names, its own first."""
    own = Quantity(
        bounds=metric.bounds, higher_is_better=metric.higher_is_better, title=metric.title, group=metric.group
    )
    return {metric.name: own, **metric.quantities}


def declaration_fault(metric: type[Metric]) -> str:
    """What is wrong with what a metric declares, and what to write, in one sentence; '' for nothing."""
    return next(_faults(metric), "")


def _faults(metric: type[Metric]) -> Iterator[str]:
    for name, example in {"name": "'sharpness'", "higher_is_better": "True, False or None", "bounds": "(0, 1)"}.items():
        if not hasattr(metric, name):
            yield f"{metric.__name__} must declare {name}, for instance {name} = {example}"
            return
    if not isinstance(metric.name, str) or not metric.name.strip():
        yield f"name must be a word, got {metric.name!r}"
    for name, quantity in declared(metric).items():
        yield from _of_quantity(name, quantity)
    if metric.cost not in ("cheap", "dear"):
        yield f"cost must be 'cheap' or 'dear', got {metric.cost!r}"
    if metric.default and metric.cost == "dear":
        yield "a dear metric cannot be on by default: declare default = False, or make it cheap"
    for word in metric.tells:
        if word not in GENERATORS:
            yield f"tells names a generator {word!r} that is not made; {near(str(word), GENERATORS)}"


def _of_quantity(name: str, quantity: Any) -> Iterator[str]:
    if not isinstance(quantity, Quantity):
        yield f"quantities[{name!r}] must be a mmbench.metric.Quantity, got a {type(quantity).__name__}"
        return
    if not _are_bounds(quantity.bounds):
        yield f"the bounds of {name!r} must be two numbers, the lower one first, got {quantity.bounds!r}"
    if quantity.higher_is_better not in (True, False, None):
        yield f"higher_is_better of {name!r} must be True, False or None, got {quantity.higher_is_better!r}"
    if quantity.group and quantity.group not in GROUPS:
        yield f"there is no group {quantity.group!r} for {name!r}; {near(str(quantity.group), GROUPS)}"


def _are_bounds(bounds: Any) -> bool:
    try:
        low, high = map(float, bounds)
    except (TypeError, ValueError):
        return False
    return low < high  # false for NaN, too


def row_fault(metric: type[Metric], row: Row, modalities: Collection[str]) -> str:
    """What is wrong with a row beside its types, in one sentence; '' for nothing. `modalities` are the dataset's."""
    if not _is_task(row.task, modalities):
        known = ", ".join(modalities)
        return (
            f"{row.metric} of a task {row.task!r} that the data do not have; name it by Task.name: 'joint', or 'a->b', "
            f"'a+b->c' of {known}"
        )
    unknown = [name for name in row.modality.split("+") if name not in modalities]
    if unknown:
        return f"{row.metric} of a modality {unknown[0]!r} that the data do not have; {near(unknown[0], modalities)}"
    quantity = declared(metric).get(row.metric)
    return _strays(row, quantity) if quantity else ""


def _is_task(name: str, modalities: Collection[str]) -> bool:
    """Whether it is joint generation, or given modalities and targets, none of them twice on a side."""
    sides = [side.split("+") for side in name.split("->")]
    whole = len(sides) == 2 and all(len(set(side)) == len(side) and set(side) <= set(modalities) for side in sides)
    return whole or name == Task((), ()).name


def _strays(row: Row, quantity: Quantity) -> str:
    """How a row departs from its quantity."""
    low, high = map(float, quantity.bounds)
    value, where = float(row.value), f"{row.metric} of {row.task} ({row.modality})"
    if not low - _slack(low) <= value <= high + _slack(high):
        return f"{where} is {value:g}, out of the bounds {low:g} to {high:g} that it declares"
    if row.higher_is_better != quantity.higher_is_better:
        return f"{where} says higher_is_better={row.higher_is_better}, and declares {quantity.higher_is_better}"
    return ""


def _slack(bound: float) -> float:
    return SLACK * max(1.0, abs(bound)) if math.isfinite(bound) else 0.0
