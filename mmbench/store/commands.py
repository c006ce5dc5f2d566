"""What a user types to compute cells again, whole: a shorter command would be about other cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..config import canonical
from ..progress import pasted
from .schema import Cell

__all__ = ["PARTIAL", "asked_of", "rerun"]

PARTIAL = "_partial"
"""What the name of a dataset ends with of which a part was used (--allow-partial)."""


def rerun(cells: Sequence[Cell]) -> str:
    """'mmbench run --model mld --dataset glyphs --budget laptop --seed 0 --set width=64 --stale rerun': for cells of
    one model under one configuration, at all their seeds."""
    first, seeds = cells[0], sorted({cell["seed"] for cell in cells})
    dataset, views, partial = asked_of(first)
    words = ["--model", first["model"]["typed"], "--dataset", dataset, "--budget", first["budget"]]
    words += ["--views", str(views)] if views is not None else []
    words += ["--allow-partial"] if partial else []
    words += [word for seed in seeds for word in ("--seed", str(seed))]
    words += ["--missing", f"{first['missing']}"] if "missing" in first else []
    words += [word for setting in _settings(first) for word in ("--set", setting)]
    return " ".join(["mmbench run", *map(pasted, words), "--stale rerun"])


def asked_of(cell: Cell) -> tuple[str, int | None, bool]:
    """How a cell's dataset is asked for: the word after --dataset, --views, and whether --allow-partial stood there."""
    record = cell["dataset"]
    name = record["name"]
    return record.get("typed") or name.removesuffix(PARTIAL), record.get("views"), name.endswith(PARTIAL)


def _settings(cell: Cell) -> Iterator[str]:
    """Epochs that are none went with the steps that took their place, and the reverse."""
    for name, value in cell["overrides"].items():
        if value is not None or not name.endswith(("epochs", "steps")):
            yield f"{name}={canonical(value)}"
