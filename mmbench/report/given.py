"""What a cell's model was given: its settings, and whether tuples were incomplete in training."""

from __future__ import annotations

from typing import Any

from ..config import flat
from ..store import Cell

__all__ = ["changed", "given", "missing"]


def given(cell: Cell) -> dict[str, Any]:
    """The settings of a cell by their dotted names; 'missing' is 0 where its training tuples were whole."""
    return {"missing": cell.get("missing", 0), **flat(cell["config"])}


def changed(cell: Cell) -> dict[str, Any]:
    """What is not the recipe's: settings, and 'missing' where tuples were incomplete."""
    return {**cell["overrides"], **missing(cell)}


def missing(cell: Cell) -> dict[str, float]:
    """{'missing': 0.2}, the probability with which modalities were dropped; nothing where none were."""
    return {"missing": cell["missing"]} if "missing" in cell else {}
