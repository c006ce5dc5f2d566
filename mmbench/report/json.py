"""A report as JSON: the tables as `table` describes them, numbers in full, null where there is none."""

from __future__ import annotations

import json as library
import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from ..store import Cell
from .claims import claims
from .columns import Column
from .comparison import Group
from .costs import CELL_COSTS, STAGE_COSTS, CostLine, cost_lines, stage_lines
from .numbers import Number
from .options import Options
from .table import Entry, Table, TableLine, tables
from .warnings import warnings
from .words import about, footnotes, own_notes

__all__ = ["json"]

VERSION = 1
"""Of this form."""


def json(
    pages: Sequence[tuple[Group, Sequence[Cell]]], orphans: Sequence[str], bad: Sequence[str], options: Options
) -> str:
    """Everything of a report; `orphans` are failures that belong to none of the tables."""
    found = [_group(group, failed, options) for group, failed in pages]
    whole = {"form": VERSION, "groups": found, "failed": list(orphans), "bad_files": list(bad)}
    return library.dumps(whole, indent=1, allow_nan=False) + "\n"


def _group(group: Group, failed: Sequence[Cell], options: Options) -> dict[str, Any]:
    other = options.beside(group)
    found = tables(group, main=options.main, everything=options.all, beside=other)
    return {
        "dataset": group.dataset["name"],
        "title": group.heading,
        "fingerprint": group.dataset["fingerprint"],
        "split": group.dataset["split"],
        "budget": group.budget,
        "protocol": group.protocol,
        "about": about(group),
        "warnings": [*warnings(group, failed), *(other.said if other else ())],
        "notes": footnotes(group, found[0], options),
        "tables": list(map(partial(_table, group), found, own_notes(group, found, found[0]))),
        "claims": [asdict(claim) for claim in claims(group)],
        "costs": [_cost(line) for line in [*cost_lines(group), *stage_lines(group)]],
    }


def _cost(line: CostLine) -> dict[str, Any]:
    """Of a line, or of one of its stages; the units are those of `costs`."""
    record = {"title": line.title, "model": line.line.model, "hash": line.line.hash, "code": line.line.code}
    units = {cost.metric: cost.unit for cost in (*CELL_COSTS, *STAGE_COSTS)}
    found = {name: {"unit": units[name], **_plain(number)} for name, number in line.numbers.items()}
    return record | {"stage": line.stage or None, "of": found}


def _table(group: Group, table: Table, notes: list[str]) -> dict[str, Any]:
    return {
        "kind": table.kind,
        "title": table.title,
        "notes": notes,
        "columns": [_column(column) for column in table.columns],
        "lines": [_line(group, line) for line in table.lines],
        "references": [_line(group, line) for line in table.references],
    }


def _column(column: Column) -> dict[str, Any]:
    names = ("heading", "label", "unit", "higher_is_better")
    points = [list(point) for point in column.over or (column.point,)]
    return {name: getattr(column, name) for name in names} | {"metric": column.metric, "mean_of": points}


def _line(group: Group, line: TableLine) -> dict[str, Any]:
    record: dict[str, Any] = {"title": line.title, "seeds": line.seeds}
    if line.line:
        record |= {"model": line.line.model, "hash": line.line.hash, "code": line.line.code}
        record |= {"stale": bool(group.stale(line.line)), "changed": group.changed(line.line)}
    return record | {"entries": [_entry(entry) if entry else None for entry in line.entries]}


def _entry(entry: Entry) -> dict[str, Any]:
    number = entry.number
    return {
        "mean": number.mean,
        "std": _known(number.std),
        "interval": _pair(number.interval),
        "by_seed": {str(seed): value for seed, value in number.by_seed.items()},
        "mark": entry.mark,
        "at_chance": entry.at_chance,
        "few_classes": entry.few_classes,
        "tasks_at_chance": entry.hides,
        "beside_best": _against(entry),
        "paper": {"printed": entry.paper.printed, "table": entry.paper.table} if entry.paper else None,
        "ours_minus_paper": _known(entry.difference),
        "ratio_and_rank": asdict(entry.scale) if entry.scale else None,
        "beside": _beside(entry.beside),
        "notes": list(number.notes),
    }


def _beside(number: Number | None) -> dict[str, Any] | None:
    """Other results' number."""
    return None if number is None else _plain(number)


def _plain(number: Number) -> dict[str, Any]:
    return {"mean": number.mean, "std": _known(number.std), "by_seed": {str(k): v for k, v in number.by_seed.items()}}


def _against(entry: Entry) -> dict[str, Any] | None:
    if entry.against is None:
        return None
    against = entry.against
    differences = dict(zip(map(str, against.seeds), against.differences, strict=True))
    record = {"differences": differences, "mean": _known(against.mean), "interval": _pair(against.interval)}
    return record | {"p_holm": _known(entry.p), "could_have_shown": _known(against.smallest)}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _pair(interval: tuple[float, float]) -> list[float] | None:
    return None if math.isnan(interval[0]) else list(interval)
