"""From what was computed to the record of a cell, as `store.schema` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch

from .. import plugins
from ..config import to_json
from ..declared import declared
from ..metric import Metric
from ..store import provenance
from ..store.bounds import fitting
from ..store.schema import SCHEMA, Cell, Environment, MetricRecord
from ..training import StageRecord
from .data_record import dataset_record
from .measuring import Measurement
from .plan import CellPlan
from .workshop import device_name

__all__ = ["cell_record", "metric_records"]


def metric_records(metrics: Mapping[str, type[Metric]], seconds: Mapping[str, float]) -> dict[str, MetricRecord]:
    """Who measured, with which code, and what its rows are called."""
    return {
        name: {  # type: ignore[misc]
            **_declared(metric),
            "distribution": plugins.find(plugins.METRICS, name).source,
            "seconds": seconds.get(name, 0.0),
            "commit": provenance.commit(),
            "code": {
                **provenance.code_of_class(metric),
                "measuring": provenance.harness()["measuring"],
            },
        }
        for name, metric in metrics.items()
    }


def _declared(metric: type[Metric]) -> Any:
    """The titles and groups that a metric declares."""
    quantities = {
        name: {"title": quantity.title, "group": quantity.group}
        for name, quantity in declared(metric).items()
        if quantity.title or quantity.group
    }
    return {"quantities": quantities} if quantities else {}


def cell_record(
    plan: CellPlan,
    device: torch.device,
    *,
    stages: Mapping[str, StageRecord] | None = None,
    result: Measurement | None = None,
    metrics: Mapping[str, type[Metric]] | None = None,
    left_out: Mapping[str, str] | None = None,
    samples: str | None = None,
    reason: str | None = None,
) -> Cell:
    """The record of a complete cell, or of a failed one where a reason is given."""
    result, stages = result or Measurement(), stages or {}
    training = sum(record.seconds for record in stages.values())
    return {  # type: ignore[return-value]
        "schema": SCHEMA,
        "dataset": dataset_record(plan.dataset, plan.protocol.split, *plan.asked),
        "model": {
            "name": plan.key.model,
            "typed": plan.typed,
            "class": f"{plan.cls.__module__}:{plan.cls.__qualname__}",
            "distribution": plan.source,
        },
        "budget": plan.key.budget,
        "hash": plan.key.hash,
        "seed": plan.key.seed,
        "config": to_json(plan.config),
        "protocol": to_json(plan.protocol),
        "overrides": dict(plan.overrides),
        "code": plan.code,
        "status": "failed" if reason else "complete",
        "reason": fitting(reason) if reason else None,
        "metrics": metric_records(metrics or {}, result.metric_seconds),
        "left_out": dict(left_out or {}),
        "rows": _rows(result.rows),
        "stages": {name: asdict(record) for name, record in stages.items()},  # type: ignore[typeddict-item]
        "time": {"train": training, "evaluate": sum(result.seconds.values()), **result.seconds},
        "calls": result.calls,
        "environment": environment(device),
        "samples": samples,
        **({"missing": plan.missing} if plan.missing else {}),
    }


def _rows(rows: Sequence[dict[str, Any]]) -> Any:
    return [dict(row) for row in rows]


def environment(device: torch.device) -> Environment:
    """Versions, device, commit and time, for the cell's file."""
    import platform

    versions = provenance.versions("torch", "mmbench")
    return {
        "python": versions["python"],
        "torch": torch.__version__,
        "mmbench": versions.get("mmbench", "not installed"),
        "platform": platform.platform(),
        "device": device_name(device),
        "commit": provenance.commit(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
