"""What models took of a machine, over seeds: parameters, operations, times, network calls for a sample, memory.

A cost is a `Number` as a measured one is, of the source 'cost': its task is the stage or the phase, its unit is in the
row. Cells that an older version wrote have no record of operations and memory; what is not known is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, cast

from ..progress import duration, one_line
from ..store import Cell, RowRecord
from ..store.schema import CostRecord, StageRecord
from .comparison import Group, Line
from .numbers import Number

__all__ = [
    "CELL_COSTS",
    "PAGE_COSTS",
    "STAGE_COSTS",
    "Cost",
    "CostLine",
    "cost_lines",
    "cost_notes",
    "cost_numbers",
    "stage_lines",
    "training",
]


NAMED = 12
"""Lines whose training is said in a sentence; of more, the table of costs has it."""
Recorded = tuple[Cell, Mapping[str, float | None]]
"""A cell with the costs that it recorded, by `Cost.metric`; None where it did not."""


@dataclass(frozen=True)
class Cost:
    """One column of a table of costs."""

    heading: str
    """What it shares with its neighbours; '' for nothing."""
    label: str
    metric: str
    """In CSV and JSON."""
    unit: str
    write: Callable[[float], str]


@dataclass(frozen=True)
class CostLine:
    line: Line
    title: str
    stage: str
    """'' for a whole cell."""
    cells: int
    numbers: Mapping[str, Number]
    """By `Cost.metric`; what no cell recorded is absent."""

    def text(self, cost: Cost) -> str:
        """The mean over seeds in print; '–' where it is not known."""
        return cost.write(self.numbers[cost.metric].mean) if cost.metric in self.numbers else "–"


def _count(value: float) -> str:
    """'1,234', '0.0312': whole from 1,000 on, else three digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _time(seconds: float) -> str:
    """'28 ms', '2.4 s', '40 s', '12 min'."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


CELL_COSTS = (
    Cost("", "Parameters", "parameters", "", _count),
    Cost("Training", "Time", "training_seconds", "s", _time),
    Cost("Training", "Steps", "training_steps", "", _count),
    Cost("Training", "GFLOP", "training_gflop", "GFLOP", _count),
    Cost("Generation", "Time, all tasks", "generation_seconds", "s", _time),
    Cost("Generation", "GFLOP per sample", "sample_gflop", "GFLOP", _count),
    Cost("Network calls per sample", "joint", "joint_calls", "", _count),
    Cost("Network calls per sample", "conditional", "conditional_calls", "", _count),
    Cost("Measuring", "Time", "measuring_seconds", "s", _time),
    Cost("Peak memory", "MB", "memory", "MB", _count),
)
PAGE_COSTS = tuple(cost for cost in CELL_COSTS if cost.metric != "measuring_seconds")
"""Those that are printed: they say something of a model."""
STAGE_COSTS = (
    Cost("", "Parameters", "parameters", "", _count),
    Cost("", "Time", "training_seconds", "s", _time),
    Cost("", "Steps", "training_steps", "", _count),
    Cost("", "GFLOP", "training_gflop", "GFLOP", _count),
)


def cost_lines(group: Group) -> list[CostLine]:
    """A line for each line of the group, in its order."""
    found = {line: [(cell, _of_cell(cell)) for cell in group.of(line)] for line in group.lines}
    return [_line(group, line, "", CELL_COSTS, costs) for line, costs in found.items()]


def stage_lines(group: Group) -> list[CostLine]:
    """A line for each stage of each line."""
    return [
        _line(group, line, stage, STAGE_COSTS, found)
        for line in group.lines
        for stage, found in _stages(group.of(line)).items()
    ]


def cost_numbers(group: Group) -> list[Number]:
    """All of them: of the cells, then of their stages."""
    return [number for line in [*cost_lines(group), *stage_lines(group)] for number in line.numbers.values()]


def cost_notes(group: Group) -> list[str]:
    """How to read the tables."""
    notes = ["Means over seeds; times are wall times of the machines that the environment names."]
    notes += [f"Generation: {tasks}." for tasks in _tasks(group)]
    found = [cell["cost"] for cell in group.cells if "cost" in cell]
    if lacking := len(group.cells) - len(found):
        whose = "these cells" if not found else f"{lacking} of the {len(group.cells)} cells"
        notes.append(f"GFLOP, calls and memory are not recorded in {whose}, which an older version wrote.")
    if found:
        notes.append(
            "GFLOP: 10^9 floating-point operations; per sample: of a joint one of all modalities. Network calls per "
            "sample: how often a network of the model computes for one; conditional: the mean over the tasks."
        )
        of = Counter(one_line(cost["memory_of"]) for cost in found if cost["memory"] is not None)
        many = len(of) > 1
        said = "; ".join(f"{what}{f' ({_cells(count)})' if many else ''}" for what, count in of.items())
        notes += [f"Peak memory: {said}."] if said else []
    return notes


def training(group: Group) -> list[str]:
    """'Training: MVAE 1,000 steps, 3,625 GFLOP; MLD 5,400 steps, 6,929 GFLOP.': equal terms at a glance."""
    found = [(line.title, _trained(line)) for line in cost_lines(group)] if len(group.lines) <= NAMED else []
    said = "; ".join(f"{title} {words}" for title, words in found if words)
    return [f"Training: {said}."] if said else []


def _trained(line: CostLine) -> str:
    shown = (("training_steps", "steps"), ("training_gflop", "GFLOP"))
    return ", ".join(f"{_count(line.numbers[name].mean)} {unit}" for name, unit in shown if name in line.numbers)


def _tasks(group: Group) -> list[str]:
    """'all 10 tasks, up to 400 samples each', where every cell has as many."""
    counts = {sum(phase.startswith("generate ") for phase in cell["time"]) for cell in group.cells}
    most = max((number.row["count"] for (source, *_), number in group.numbers.items() if source == "model"), default=0)
    return [f"all {n} tasks, up to {most:,} samples each" for n in counts if n] if len(counts) == 1 else []


def _cells(count: int) -> str:
    return f"{count} cell" if count == 1 else f"{count} cells"


def _line(group: Group, line: Line, stage: str, costs: Sequence[Cost], found: Sequence[Recorded]) -> CostLine:
    numbers = {}
    for cost in costs:
        known = {cell["seed"]: value for cell, values in found if (value := values[cost.metric]) is not None}
        if known:
            numbers[cost.metric] = _number(line, stage, cost, known)
    return CostLine(line, group.title(line), one_line(stage), len(found), numbers)


def _number(line: Line, stage: str, cost: Cost, known: Mapping[int, float]) -> Number:
    row = dict.fromkeys(("plugin", "modality", "judge", "identity", "reference", "note", "data"), "")
    row |= {"metric": cost.metric, "task": stage, "unit": cost.unit, "source": "cost"}
    whole: Any = row | {"higher_is_better": False, "count": None, "interval": None}
    values = tuple(float(value) for value in known.values())
    return Number(cast(RowRecord, whole), *line.owner, values=values, seeds=tuple(known), notes=())


def _of_cell(cell: Cell) -> dict[str, float | None]:
    cost, stages = cell.get("cost"), list(cell["stages"].values())
    return {
        "parameters": cost["parameters"] if cost else None,
        "training_seconds": _sum([stage["seconds"] for stage in stages]),
        "training_steps": _sum([stage["steps"] for stage in stages]),
        "training_gflop": cost["gflop"] if cost else None,
        "generation_seconds": _sum([s for phase, s in cell["time"].items() if phase.startswith("generate ")]),
        "sample_gflop": cost["gflop_per_sample"] if cost else None,
        "joint_calls": _calls(cost, joint=True),
        "conditional_calls": _calls(cost, joint=False),
        "measuring_seconds": _sum([metric["seconds"] for metric in cell["metrics"].values()]),
        "memory": cost["memory"] if cost else None,
    }


def _calls(cost: CostRecord | None, *, joint: bool) -> float | None:
    """Of all networks for a sample; of conditional tasks the mean. A reconstruction is none."""
    tasks = {phase: calls for phase, calls in (cost["calls"] if cost else {}).items() if _made(phase)}
    found = [sum(calls.values()) for phase, calls in tasks.items() if (phase == "joint") == joint]
    return fmean(found) if found else None


def _made(phase: str) -> bool:
    given, _, target = phase.partition("->")
    return given != target


def _stages(cells: Sequence[Cell]) -> dict[str, list[Recorded]]:
    """Stage -> the cells that have it, with its costs."""
    found: dict[str, list[Recorded]] = {}
    for cell in cells:
        for name, stage in cell["stages"].items():
            found.setdefault(name, []).append((cell, _of_stage(stage)))
    return found


def _of_stage(stage: StageRecord) -> dict[str, float | None]:
    return {
        "parameters": stage.get("parameters"),
        "training_seconds": stage["seconds"],
        "training_steps": stage["steps"],
        "training_gflop": stage.get("gflop"),
    }


def _sum(values: Sequence[float]) -> float | None:
    return sum(values) if values else None
