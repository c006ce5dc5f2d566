"""What became of the cells of a request."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..store.results import CellKey
from .orders import Report

__all__ = ["Outcome"]


@dataclass
class Outcome:
    """What became of the cells."""

    complete: list[CellKey] = field(default_factory=list)
    extended: list[CellKey] = field(default_factory=list)
    """Cells that were complete and got further metrics or samples."""
    skipped: list[CellKey] = field(default_factory=list)
    stale: list[CellKey] = field(default_factory=list)
    """Cells that other code made, kept as they are."""
    failed: list[tuple[CellKey, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Why models of 'all', or cells, were left out."""
    left_out: list[str] = field(default_factory=list)
    """Why metrics that were asked for by name could not be measured, or others failed."""

    def add(self, key: CellKey, report: Report, *, metrics_by_name: bool) -> None:
        """Note a cell."""
        if report.fate == "failed":
            self.failed.append((key, report.reason))
        else:
            getattr(self, report.fate).append(key)
        told = (name for name in report.left_out if metrics_by_name or name in report.faulty)
        self.left_out += [f"{name}: {report.left_out[name]}" for name in told]
