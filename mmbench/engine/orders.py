"""What a worker is asked for and what it answers: plain data, which cross to another process or machine as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .. import errors
from ..cells.request import Request
from ..errors import MmbenchError
from ..store.results import CellKey

__all__ = ["Answer", "Fate", "Order", "PlannedCell", "Report", "Start", "logs", "place"]

Fate = Literal["complete", "extended", "skipped", "stale", "failed", "busy", "crashed", "hung"]
"""What became of a cell; 'busy': another process is at it; 'crashed': its worker died, perhaps of it; 'hung': its
worker was ended since it took too long."""


@dataclass(frozen=True, kw_only=True)
class PlannedCell:
    """A cell that is to be computed, as those need to know it who do not compute it."""

    key: CellKey
    who: str
    """'mld seed 0'."""
    typed: str
    """The word typed after --model."""
    state: str
    """What was found in its place: 'to compute', 'complete', 'stale' or 'damaged'."""
    settings: str
    """Its configuration and protocol, as JSON."""
    varied: tuple[str, ...] = ()
    """What sets it apart from the request's other cells of its model: 'beta=0.5'."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of a cell."""

    fate: Fate
    reason: str = ""
    """Why it failed, or who is at it."""
    seconds: float = 0.0
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Metrics that could not be measured, with the reason."""
    faulty: tuple[str, ...] = ()
    """Those of them that failed, which is an error whether they were asked for by name or not."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One thing to do.

    'check' a model and its settings, before any data are loaded; 'plan' its cells; name the 'stored' cells of the
    request; say what the planned ones will 'weigh' on the disk, or what they will take in all ('foresee'); 'compute' a
    cell, or 'measure' more of it; record that it has to 'fail'.
    """

    kind: Literal["check", "plan", "stored", "weigh", "foresee", "compute", "measure", "fail"]
    model: str = ""
    """Of 'check' and 'plan': the word typed after --model."""
    cell: PlannedCell | None = None
    """Of the others."""
    reason: str = ""
    """Of 'fail'."""
    jobs: int = 1
    """Of 'weigh' and 'foresee': cells at once."""

    @property
    def who(self) -> str:
        """Whom it is about, in print."""
        return self.cell.who if self.cell else self.model


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of an order."""

    cells: tuple[PlannedCell, ...] = ()
    broken: tuple[str, ...] = ()
    """Why models or cells were left out."""
    report: Report | None = None
    said: str = ""
    """For the user: a sentence, or several on a line each."""
    error: tuple[str, str] | None = None
    """Kind and sentence of an error that ends the run."""

    def checked(self) -> Answer:
        """Itself; raises the error, if there is one."""
        if self.error is None:
            return self
        kind = getattr(errors, self.error[0], MmbenchError)
        raise kind(self.error[1])


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a worker of another process is told first."""

    request: Request
    path: tuple[str, ...]
    """Where modules are looked for."""
    threads: int | None = None
    """Of torch; None for its own choice."""


def place(key: CellKey) -> Path:
    """'<dataset>/<model>/<budget>-<hash>/seed-<k>'."""
    return key.folder / f"seed-{key.seed}"


def logs(runs: Path, key: CellKey) -> Path:
    """What a cell's process printed."""
    return runs / "logs" / f"{place(key)}.log"
