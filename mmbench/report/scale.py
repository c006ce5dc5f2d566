"""Numbers in their judge's own scale beside the paper's: ratios and ranks survive another judge, differences do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .columns import Column
from .comparison import Group, Line
from .paper import OWN_SCALE

__all__ = ["Scale", "own_lines", "scales"]


@dataclass(frozen=True)
class Scale:
    """A model among those that the paper prints too, each under its recipe's own configuration."""

    ratio: float
    """Times the lowest of them."""
    rank: int
    """1: the lowest."""
    paper_ratio: float
    paper_rank: int


def scales(group: Group, column: Column) -> dict[Line, Scale]:
    """Line -> its ratio and rank; empty where the metric's scale is not its judge's, or fewer than two models can be
    compared."""
    if column.metric not in OWN_SCALE:
        return {}
    numbers = {line: group.measured("model", column, line) for line in own_lines(group).values()}
    known = {line: (n.mean, n.paper.mean) for line, n in numbers.items() if n and n.paper}
    ours, theirs = ({line: pair[k] for line, pair in known.items()} for k in (0, 1))
    if len(known) < 2 or min(*ours.values(), *theirs.values()) <= 0:
        return {}
    return {line: Scale(*_placed(ours, line), *_placed(theirs, line)) for line in known}


def own_lines(group: Group) -> dict[str, Line]:
    """Model -> its line of the recipe's own configuration, made by today's code where there is one; a model of several
    such lines has none."""
    found = {}
    for model in dict.fromkeys(line.model for line in group.lines):
        lines = [line for line in group.lines if line.model == model]
        own = [line for line in lines if not group.changed(line)] or (lines if len(lines) == 1 else [])
        fresh = [line for line in own if not group.stale(line)] or own
        if len(fresh) == 1:
            found[model] = fresh[0]
    return found


def _placed(values: Mapping[Line, float], line: Line) -> tuple[float, int]:
    return values[line] / min(values.values()), 1 + sum(value < values[line] for value in values.values())
