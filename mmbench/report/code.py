"""Which code made the cells of a table: whether it is the code that is here now, and where cells come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from ..config import digest
from ..store import Cell
from ..store.provenance import changed, code_of_module, harness

__all__ = ["code_of", "metric_code", "mixed", "provenance", "stale", "stale_metrics"]


def code_of(cell: Cell) -> str:
    """8 hex digits of the code that made a cell's model and trained it."""
    return _of(tuple(sorted(cell["code"]["model"].items())), cell["code"]["harness"]["training"])


@cache
def _of(model: tuple[tuple[str, str], ...], training: str) -> str:
    return digest([dict(model), training], 8)


def stale(cell: Cell) -> list[str]:
    """How that code differs from what is installed now: 'mmbench_mld a1b2c3d4e5 -> 0f1e2d3c4b'; none where it does not,
    and where the code is not here to be compared."""
    made = {**cell["code"]["model"], "training": cell["code"]["harness"]["training"]}
    return changed(made, _now(made))


def stale_metrics(cells: Iterable[Cell]) -> list[str]:
    """The metrics that other code measured, in any of the cells."""
    found: dict[str, None] = {}
    for cell in cells:
        for name, record in cell["metrics"].items():
            if changed(record["code"], _now(record["code"])):
                found[name] = None
    return list(found)


def metric_code(cell: Cell, plugin: str) -> str:
    """6 hex digits of the code that measured one metric of a cell; '' where that is not known."""
    record = cell["metrics"].get(plugin)
    return _short(tuple(sorted(record["code"].items()))) if record else ""


@cache
def _short(code: tuple[tuple[str, str], ...]) -> str:
    return digest(dict(code), 6)


def provenance(cells: Sequence[Cell]) -> str:
    """'commits 1a2b3c (10 cells) and 4d5e6f (1 cell); mmbench 0.1.0; torch 2.14.1; cpu: x86_64; 2026-11-22'."""
    parts = [_counted("commit", [cell["environment"].get("commit") or "unknown" for cell in cells])]
    parts += [
        " and ".join(f"{word}{value}" for value in _values(cells, field))
        for word, field in (("mmbench ", "mmbench"), ("torch ", "torch"), ("", "device"))
    ]
    days = sorted({cell["environment"].get("finished", "")[:10] for cell in cells} - {""})
    parts.append(" to ".join(dict.fromkeys((days[0], days[-1]))) if days else "")
    return "; ".join(part for part in parts if part)


def mixed(cells: Sequence[Cell]) -> list[str]:
    """What a table rests on that should be one: 'several commits', 'several versions of torch', ..."""
    words = {"commit": "commits", "mmbench": "versions of mmbench", "torch": "versions of torch", "device": "devices"}
    found = [f"several {word}" for field, word in words.items() if len(_values(cells, field)) > 1]
    return found + (["checkouts with changed files"] if any(map(_dirty, cells)) else [])


def _dirty(cell: Cell) -> bool:
    return (cell["environment"].get("commit") or "").endswith("-dirty")


def _values(cells: Iterable[Cell], field: str) -> list[str]:
    return sorted({str(cell["environment"].get(field) or "unknown") for cell in cells})


def _counted(word: str, values: Sequence[str]) -> str:
    """'commits a (2 cells) and b (1 cell)', or 'commit a'."""
    counts = {value: values.count(value) for value in sorted(set(values))}
    if len(counts) == 1:
        return f"{word} {next(iter(counts))}"
    return f"{word}s " + " and ".join(f"{value} ({n} cell{'s' * (n != 1)})" for value, n in counts.items())


def _now(recorded: Mapping[str, str]) -> dict[str, str]:
    """Today's identities of the same parts."""
    ours = harness()
    return {name: ours[name] if name in ours else code_of_module(name) for name in recorded}
