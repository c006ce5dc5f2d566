"""The trained models of a runs folder, for scripts that ask them something; Markdown of what they answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import cast

from mmbench.cells.cell import CellWork
from mmbench.cells.plan import CellPlan, Planner
from mmbench.cells.request import Request
from mmbench.config import Budget
from mmbench.engine.hand import Hand
from mmbench.metric import Bench
from mmbench.model import Model
from mmbench.progress import Progress

__all__ = ["table", "trained"]


def trained(
    models: Sequence[str], dataset: str, budget: str, seeds: int, data_root: Path, runs: Path,
    settings: Sequence[str] = (),
) -> Iterator[tuple[CellPlan, Model, Bench]]:  # fmt: skip
    """The model of each cell and what it is measured with; raises StorageError where a stage is not in `runs`."""
    request = Request(
        models=tuple(models), dataset=dataset, seeds=range(seeds), budget=cast(Budget, budget), data_root=data_root,
        results=runs, runs=runs, settings=list(settings),
    )  # fmt: skip
    shop = Hand(request, Progress()).shop
    for plan in Planner(shop).plan():
        model, _ = CellWork(plan, shop, may_train=False).trained()
        yield plan, model.eval(), shop.bench(plan.protocol)


def table(corner: str, found: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Line -> column -> a value for each seed, as Markdown: mean and sample standard deviation; '–' where none is."""
    columns = list(dict.fromkeys(column for line in found.values() for column in line))
    lines = [[corner, *columns], [":--", *["--:"] * len(columns)]]
    lines += [[name, *(_words(line.get(column, ())) for column in columns)] for name, line in found.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _words(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
