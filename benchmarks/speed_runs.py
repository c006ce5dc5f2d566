"""The runs of `speed.py` that are kept, one for each kind of machine: `benchmarks/runs/<kind>.json`. No torch here."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from speed_compare import PACE

from mmbench.errors import ResultError
from mmbench.store import write_text

__all__ = ["RUNS", "Machine", "Run", "cores", "load", "place", "processor", "save"]

RUNS = Path(__file__).resolve().parent / "runs"
CPUINFO = Path("/proc/cpuinfo")

Milliseconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A kind of machine: numbers of two kinds are never compared."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    cpu: str
    """The processor's name."""
    cores: int
    threads: int
    """Of torch; with one thread the numbers are time on the CPU, with more they are wall time."""
    bfloat16: str
    """What multiplies bfloat16 natively (`mmbench.precision.native_bfloat16`); '' for nothing."""

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.cpu}, {self.cores} cores, {threads}, {self.bfloat16 or 'no native bf16'}"

    @property
    def kind(self) -> str:
        """Its file's name: 'intel-r-xeon-r-processor-2-cores-1-thread-no-native-bf16'."""
        return re.sub(r"[^a-z0-9_]+", "-", str(self).lower()).strip("-")


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run found, and where."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    machine: Machine
    torch: str
    """Its version."""
    commit: str | None
    """'-dirty' where files were changed; None outside a checkout."""
    numbers: Mapping[str, Milliseconds]


def place(machine: Machine, folder: Path = RUNS) -> Path:
    return folder / f"{machine.kind}.json"


def save(run: Run, folder: Path = RUNS) -> Path:
    """Write a run in the place of its kind; it replaces the one that was there. Times are rounded to 4 digits."""
    folder.mkdir(parents=True, exist_ok=True)
    data = asdict(run) | {"numbers": {name: float(f"{value:.4g}") for name, value in run.numbers.items()}}
    write_text(place(run.machine, folder), json.dumps(data, indent=1) + "\n")
    return place(run.machine, folder)


def load(machine: Machine, folder: Path = RUNS) -> Run | None:
    """The stored run of a kind of machine; None where there is none. Raises ResultError for a file that is no run."""
    path = place(machine, folder)
    try:
        run = TypeAdapter(Run).validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResultError(f"{path} cannot be read ({error.strerror}); mend that, or remove it") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ResultError(f"{path} is no run ({where}: {first['msg'].lower()}); make it anew with --save") from None
    if run.machine != machine:
        raise ResultError(f"{path} is a run of another machine ({run.machine}); make it anew with --save")
    if PACE not in run.numbers:
        raise ResultError(f"{path} lacks the {PACE}, by which runs are compared; make it anew with --save")
    return run


def processor() -> str:
    """The processor's name, as Linux says it; elsewhere what Python knows."""
    try:
        names = re.findall(r"^model name\s*:\s*(.+)$", CPUINFO.read_text(), re.MULTILINE)
    except OSError:
        names = []
    return names[0].strip() if names else platform.processor() or platform.machine() or "unknown processor"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
