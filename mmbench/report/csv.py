"""The numbers of a report for spreadsheets and data frames: a line for each seed of each number, or for each number."""

from __future__ import annotations

import csv as library
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import ResultError
from .comparison import Group
from .costs import cost_numbers
from .escape import csv_cell
from .numbers import Number
from .options import Options
from .paper import OWN_SCALE
from .table import Entry, tables

__all__ = ["LONG", "WIDE", "csv"]

CELL = (
    *("dataset", "fingerprint", "split", "budget", "protocol", "model", "title", "hash", "settings", "changed"),
    *("code", "stale", "collapsed", "commit"),
    *("source", "metric", "plugin", "task", "modality", "unit", "higher_is_better", "count"),
    *("judge", "identity", "reference", "data", "note"),
)
"""What a number is."""
LONG = (*CELL, "seed", "value", "interval_low", "interval_high")
"""A line for each seed: its value, and the 95 % interval over its samples."""
WIDE = (
    *CELL,
    *("mean", "std", "n", "seeds", "interval_low", "interval_high"),
    *(
        "mark",
        "at_chance",
        "few_classes",
        "difference_to_best",
        "difference_low",
        "difference_high",
        "p_holm",
        "could_have_shown",
    ),
    *("paper_table", "paper_mean", "paper_std", "ours_minus_paper"),
    *("ratio", "rank", "paper_ratio", "paper_rank"),
    *("other_mean", "other_std", "other_n", "ours_minus_other"),
)
"""A line for each number: over seeds, beside the best, beside the paper's. The seeds follow: 'seed 0', ..."""
SOURCES = ("model", "reconstruction", "real", "shuffled")


def csv(found: Iterable[Group], options: Options, *, wide: bool = False) -> str:
    """Texts are never formulas, numbers are as they are, what there is not is empty."""
    found = list(found)
    if options.others is not None and not wide:
        raise ResultError("two folders side by side need a line for each number: write --format csv-wide")
    seeds = sorted({seed for group in found for seed in group.seeds}) if wide else []
    head = [*(WIDE if wide else LONG), *(f"seed {seed}" for seed in seeds)]
    out = io.StringIO()
    writer = library.DictWriter(out, head, restval="", lineterminator="\n")
    writer.writeheader()
    for group in found:
        for record in _wide(group, options) if wide else _long(group, options):
            writer.writerow({name: _cell(value) for name, value in record.items()})
    return out.getvalue()


def _long(group: Group, options: Options) -> Iterator[dict[str, Any]]:
    for source, number in _in_order(group, options):
        record = _record(group, source, number)
        for k, value in enumerate(number.values):
            low, high = (number.sampled[k] or ("", "")) if number.sampled else ("", "")
            seed = number.seeds[k] if number.seeds else ""
            yield record | {"seed": seed, "value": value, "interval_low": low, "interval_high": high}


def _wide(group: Group, options: Options) -> Iterator[dict[str, Any]]:
    entries = _entries(group, options)
    for source, number in _in_order(group, options):
        low, high = number.interval
        record = _record(group, source, number) | {"mean": number.mean, "std": number.std, "n": len(number.values)}
        record |= {"seeds": " ".join(map(str, number.seeds)), "interval_low": low, "interval_high": high}
        record |= {f"seed {seed}": value for seed, value in number.by_seed.items()}
        yield record | _concluded(entries.get(_key(source, number))) | _published(number)


def _in_order(group: Group, options: Options) -> list[tuple[str, Number]]:
    """Models as in the table, then reconstructions, real and shuffled data; points in the order of the columns. With
    everything, costs come last."""
    rank = {line.owner: k for k, line in enumerate(group.lines)}
    points = {column.point: k for k, column in enumerate(group.columns)}

    def place(item: tuple[Any, ...]) -> tuple[Any, ...]:
        source, owner, point = item[0]
        return SOURCES.index(source), rank.get(owner, -1), points.get(point, len(points)), point

    costs = [("cost", number) for number in cost_numbers(group)] if options.all else []
    return [(key[0], n) for key, n in sorted(group.numbers.items(), key=place)] + costs


def _key(source: str, number: Number) -> tuple[str, ...]:
    row = number.row
    return source, number.model, number.hash, number.code, row["metric"], row["task"], row["modality"]


def _entries(group: Group, options: Options) -> dict[tuple[str, ...], Entry]:
    """The entries of the tables, by their numbers."""
    made = tables(group, everything=True, beside=options.beside(group))
    found = (e for table in made for line in table.lines for e in line.entries if e)
    return {_key(entry.number.row["source"], entry.number): entry for entry in found}


def _record(group: Group, source: str, number: Number) -> dict[str, Any]:
    line = next((x for x in group.lines if x.owner == (number.model, number.hash, number.code)), None)
    cells = group.of(line) if line else group.cells
    row: Mapping[str, Any] = number.row
    return {
        "dataset": group.dataset["name"],
        "fingerprint": group.dataset["fingerprint"],
        "split": group.dataset["split"],
        "budget": group.budget,
        "protocol": group.protocol,
        "model": number.model,
        "title": group.title(line) if line else "",
        "hash": number.hash,
        "settings": group.settings(line) if line else "",
        "changed": group.changed(line) if line else "",
        "code": number.code,
        "stale": bool(group.stale(line)) if line else False,
        "collapsed": "; ".join(group.collapsed(line)) if line else "",
        "commit": " ".join(sorted({cell["environment"].get("commit") or "unknown" for cell in cells})),
        **{name: row[name] for name in CELL if name in row},
        "source": source,
        "note": "; ".join(number.notes),
    }


def _concluded(entry: Entry | None) -> dict[str, Any]:
    if entry is None:
        return {}
    record: dict[str, Any] = {"mark": entry.mark, "at_chance": entry.at_chance, "p_holm": entry.p}
    record["few_classes"] = entry.few_classes
    if entry.against:
        low, high = entry.against.interval
        record |= {"difference_to_best": entry.against.mean, "difference_low": low, "difference_high": high}
        record["could_have_shown"] = entry.against.smallest
    if entry.scale:
        record |= {"ratio": entry.scale.ratio, "rank": entry.scale.rank}
        record |= {"paper_ratio": entry.scale.paper_ratio, "paper_rank": entry.scale.paper_rank}
    if other := entry.beside:
        record |= {"other_mean": other.mean, "other_std": other.std, "other_n": len(other.values)}
        record["ours_minus_other"] = entry.number.mean - other.mean
    return record


def _published(number: Number) -> dict[str, Any]:
    paper = number.paper
    if paper is None:
        return {}
    return {
        "paper_table": paper.table,
        "paper_mean": paper.mean,
        "paper_std": paper.std,
        "ours_minus_paper": math.nan if number.row["metric"] in OWN_SCALE else number.difference,
    }


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return csv_cell(value)
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value
