"""What a reader must know before he believes a table."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import combinations

from ..store import Cell
from .code import mixed, stale_metrics
from .columns import Column
from .comparison import Group
from .paper import COHERENCE, SECOND_JUDGE, metric_title
from .words import failure

__all__ = ["warnings"]

COLLAPSE = 0.5
"""Joint samples whose label entropy is below this share of the possible are called collapsed."""


def warnings(group: Group, failed: Sequence[Cell]) -> list[str]:
    """What a reader must know before he believes the table."""
    lines = _code(group) + _collapsed_stages(group) + _collapsed(group) + _flips(group) + _left_out(group)
    lines += _notes(group)
    for line in group.lines:
        lost = sorted(set(group.seeds) - {cell["seed"] for cell in group.of(line)})
        if lost:
            lines.append(f"{group.title(line)} lacks seed {', '.join(map(str, lost))}.")
    lines += [failure(cell) for cell in failed]
    if group.budget != "paper" and any(number.paper for number in group.numbers.values()):
        lines.append(f"The paper's numbers are of its full schedule, ours of budget {group.budget}.")
    return lines


def _code(group: Group) -> list[str]:
    """Stale lines, numbers measured by several codes or by other code than today's, and what the table mixes."""
    lines = []
    for line in group.lines:
        if stale := group.stale(line):
            commits = sorted({cell["environment"].get("commit") or "unknown" for cell in group.of(line)})
            lines.append(
                f"{group.title(line)} is stale: other code made it ({'; '.join(stale)}; commit "
                f"{', '.join(commits)}). `mmbench run --stale rerun` computes it anew."
            )
    several = {metric_title(point[0]) for (_, _, point), n in group.numbers.items() if len(n.measured_by) > 1}
    if several:
        lines.append(f"{', '.join(sorted(several))}: seeds of one line were measured by different code.")
    if old := stale_metrics(group.cells):
        titles = ", ".join(map(metric_title, old))
        lines.append(
            f"{titles}: measured by other code than is here now. `mmbench evaluate --again --metrics "
            f"{','.join(old)}` measures anew."
        )
    if parts := mixed(group.cells):
        lines.append(f"The table rests on {', '.join(parts)}: see 'Made by'.")
    return lines


def _collapsed_stages(group: Group) -> list[str]:
    """A line for each model of which a stage has collapsed in some seed; it stays in the mean."""
    return [
        f"† {group.title(line).removesuffix(' †')}: {'; '.join(collapsed)}. It is part of the mean."
        for line in group.lines
        if (collapsed := group.collapsed(line))
    ]


def _collapsed(group: Group) -> list[str]:
    """A line for each model whose joint samples show few of the classes."""
    lines = []
    for line in group.lines:
        found = []
        for column in group.columns:
            number = group.number("model", column.point, line) if "entropy" in column.metric else None
            possible = _possible_entropy(group, column)
            if number and possible and number.mean < COLLAPSE * possible:
                found.append(f"{column.label} {number.mean:.2f} of {possible:.2f}")
        if found:
            who = f"{group.title(line)} collapses ({', '.join(found)} possible)"
            lines.append(f"{who}: its joint coherence is agreement on few classes.")
    return lines


def _possible_entropy(group: Group, column: Column) -> float | None:
    """ln(classes), or log2 for bits; the real data's entropy where the number of classes is not recorded."""
    classes = group.dataset.get("classes", 0)
    if classes > 1 and column.unit in ("", "nats", "bits"):
        return math.log2(classes) if column.unit == "bits" else math.log(classes)
    real = group.number("real", column.point)
    return real.mean if real else None


def _flips(group: Group) -> list[str]:
    """Pairs of models that the second judge puts in the other order: a conclusion that depends on the judge."""
    lines = []
    for column in (c for c in group.columns if c.metric == COHERENCE):
        second = (SECOND_JUDGE, *column.point[1:])
        read = {
            line: (first.mean, other.mean)
            for line in group.lines
            if (first := group.number("model", column.point, line)) and (other := group.number("model", second, line))
        }
        for one, other in combinations(read, 2):
            by_first, by_second = (read[one][k] - read[other][k] for k in (0, 1))
            if by_first * by_second < 0:
                lines.append(
                    f"{column.title}: the second judge puts {group.title(one)} and {group.title(other)} in the other "
                    f"order ({by_first:+.2f} and {by_second:+.2f} points apart): do not conclude from it."
                )
    return lines


def _left_out(group: Group) -> list[str]:
    """A line for each metric that some cells lack."""
    reasons = {name: reason for cell in group.cells for name, reason in cell["left_out"].items()}
    whole = group.dataset["name"].removesuffix("_partial")
    flag = "" if whole == group.dataset["name"] else " --allow-partial"
    return [
        f"{metric_title(name)} is left out: {reason.rstrip('.')}. Then: mmbench evaluate --dataset "
        f"{whole}{flag} --metrics {name}."
        for name, reason in reasons.items()
    ]


def _notes(group: Group) -> list[str]:
    """Each note of a row once, with the columns it is about; notes that differ in their numbers only stand for one."""
    found: dict[str, tuple[set[str], dict[str, None]]] = {}
    for column in group.columns:
        for line in group.lines:
            number = group.number("model", column.point, line)
            for note in number.notes if number else ():
                notes, columns = found.setdefault(re.sub(r"\d+", "#", note), (set(), {}))
                notes.add(note)
                columns[column.title] = None
    lines = []
    for notes, columns in found.values():
        more = f" (and {len(notes) - 1} like it)" if len(notes) > 1 else ""
        lines.append(f"{', '.join(columns)}: {min(notes).rstrip('.')}{more}.")
    return lines
