"""The numbers of a report in tidy form: one line for each number."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from .comparison import Group, Number
from .escape import csv_cell

__all__ = ["TIDY", "csv", "tidy"]

TIDY = (
    *("dataset", "fingerprint", "split", "budget", "protocol", "model", "hash", "settings", "changed"),
    *("code", "stale", "collapsed", "commit"),
    *("source", "metric", "plugin", "task", "modality", "unit", "higher_is_better", "count"),
    *("judge", "identity", "reference", "data", "note"),
    *("mean", "std", "n", "seeds", "interval_low", "interval_high"),
    *("paper_table", "paper_mean", "paper_std", "difference"),
)


def csv(found: Iterable[Group]) -> str:
    """The table of `tidy` as a file for spreadsheets: its texts are never formulas, its numbers are as they are."""
    table = tidy(found)
    for name in table.columns:
        table[name] = [csv_cell(value) if isinstance(value, str) else value for value in table[name]]
    return table.to_csv(index=False, lineterminator="\n")


def tidy(found: Iterable[Group]) -> pd.DataFrame:
    """One line for each number, columns `TIDY`: ours over seeds, the paper's, the difference."""
    lines = [_record(group, source, n) for group in found for source, n in _in_order(group)]
    table = pd.DataFrame(lines, columns=list(TIDY))
    table["paper_table"] = table["paper_table"].astype("Int64")
    return table


def _in_order(group: Group) -> list[tuple[str, Number]]:
    """Models as in the table, then reconstructions, real and shuffled data; points in the order of the columns."""
    sources = ["model", "reconstruction", "real", "shuffled"]
    rank = {(line.model, line.hash, line.code): k for k, line in enumerate(group.lines)}
    points = [column.point for column in group.columns]

    def place(item: tuple[Any, ...]) -> tuple[Any, ...]:
        source, owner, point = item[0]
        at = points.index(point) if point in points else len(points)
        return sources.index(source), rank.get(owner, -1), at, point

    return [(key[0], n) for key, n in sorted(group.numbers.items(), key=place)]


def _record(group: Group, source: str, number: Number) -> dict[str, Any]:
    owner = (number.model, number.hash, number.code)
    line = next((x for x in group.lines if (x.model, x.hash, x.code) == owner), None)
    row, paper = number.row, number.paper
    cells = group.of(line) if line else group.cells
    return {
        "dataset": group.dataset["name"],
        "fingerprint": group.dataset["fingerprint"],
        "budget": group.budget,
        "protocol": group.protocol,
        "model": number.model,
        "hash": number.hash,
        "settings": group.settings(line) if line else "",
        "changed": group.changed(line) if line else "",
        "split": group.dataset["split"],
        "code": number.code,
        "stale": bool(group.stale(line)) if line else False,
        "collapsed": "; ".join(group.collapsed(line)) if line else "",
        "commit": " ".join(sorted({cell["environment"].get("commit") or "unknown" for cell in cells})),
        **{name: row[name] for name in TIDY if name in row},
        "source": source,
        "note": "; ".join(number.notes),
        "interval_low": number.interval[0],
        "interval_high": number.interval[1],
        "mean": number.mean,
        "std": number.std,
        "n": len(number.values),
        "seeds": " ".join(map(str, number.seeds)),
        "paper_table": paper.table if paper else None,
        "paper_mean": paper.mean if paper else math.nan,
        "paper_std": paper.std if paper else math.nan,
        "difference": number.difference,
    }
