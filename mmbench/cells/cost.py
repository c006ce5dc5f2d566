"""What a cell took of a machine, as its file says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..model import Model, draw
from ..seeding import generator
from ..store.schema import CostRecord
from ..training import StageRecord, flops_of_all
from .measuring import Measurement
from .memory import Peak

__all__ = ["cost_record", "parameters", "together"]


def cost_record(model: Model, stages: Mapping[str, StageRecord], result: Measurement, peak: Peak) -> CostRecord:
    """The cost of a cell that was trained (or loaded) and measured."""
    return {
        "parameters": parameters(model),
        "gflop": together(record.gflop for record in stages.values()),
        "calls": result.per_sample,
        "gflop_per_sample": _of_a_sample(model),
        "memory": peak.megabytes(),
        "memory_of": peak.of,
    }


def _of_a_sample(model: Model) -> float | None:
    """10^9 floating-point operations of a joint sample, which is drawn for that alone; None where it cannot be: that
    is no reason to lose the cell."""
    try:
        with flops_of_all() as counter:
            draw(model, {}, model.dataset.names, count=1, generator=generator(0, "cost"))
    except Exception:
        return None
    return counter.get_total_flops() / 1e9


def parameters(model: Model) -> int:
    """How many numbers a model's parameters hold, those that are shared counted once."""
    return sum(p.numel() for p in model.parameters())


def together(values: Iterable[float | None]) -> float | None:
    """A sum; None where a part is not known."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)
