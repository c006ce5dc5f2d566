"""Which columns the tables of a group have: the main one is the paper's table, everything else stands further down.

A dataset may name its primary columns (`DatasetSpec.primary`); for MNIST-SVHN and CUB they are those of the paper's
Tables 1, 4 and 5, for PolyMNIST those of its field: means over all subsets of a size and all targets. Else they are the
paper's idea: joint and conditional coherence, then one distance for each image. Of three modalities, tasks with the
same target and equally many given modalities are averaged; of more, over all targets. The heading of a run of columns
says what was measured, so that a label below it names the task alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..modality import FEW
from .columns import Column
from .comparison import Group
from .paper import COHERENCES, DISTANCES, SECOND_JUDGE, Point

__all__ = ["absent", "further_columns", "main_columns"]

MANY = 3
"""Modalities from which on tasks are averaged."""
MEAN = "mean"
"""In the place of a judged modality: the mean over all of them, and over all tasks with equally many given."""
APART = 2
"""Modalities whose distances have columns of their own where tasks are averaged over all targets."""


def main_columns(group: Group) -> list[Column]:
    """The primary columns that were measured, in the dataset's order."""
    known = _known(group)
    if named := [known[point] for point in _named(group) if point in known]:
        return _headed(group, named)
    chosen = _coherence(group.columns) + _distances(group)
    return _headed(group, _summarised(group, chosen, apart=_few_targets(chosen)) if _is_many(group) else chosen)


def further_columns(group: Group, everything: bool = False) -> list[tuple[str, list[Column]]]:
    """(title, columns) of what is not primary, a metric each. With many modalities means over tasks, or with
    `everything` every task."""
    main = main_columns(group)
    shown = {column.point for column in main}
    if everything or not _is_many(group):
        columns = [column for column in group.columns if column.point not in shown]
    else:
        shown |= {point for column in main for point in column.over}
        columns = _summarised(group, [c for c in group.columns if c.point not in shown], apart=False)
    runs: dict[str, list[Column]] = {}
    for column in columns:
        runs.setdefault(column.metric, []).append(replace(column, heading=column.alone))
    return [(run[0].heading, run) for run in runs.values()]


def absent(group: Group) -> list[str]:
    """The labels of primary columns that no cell has: 'CLIP-S Joint'."""
    known = _known(group)
    lacking = [point for point in _named(group) if point not in known]
    return [f"{group.names.metric(metric)} {group.names.task_title(task)}" for metric, task, _ in lacking]


def _known(group: Group) -> dict[Point, Column]:
    """The columns that a dataset may name: every one, and the mean of a metric over tasks with equally many given."""
    found = {column.point: column for column in group.columns}
    kinds: dict[tuple[str, int], list[Column]] = {}
    for column in group.columns:
        kinds.setdefault((column.metric, _given(column)), []).append(column)
    means = [_mean(group, (*kind, ""), columns) for kind, columns in kinds.items()]
    return {**{column.point: column for column in means}, **found}


def _is_many(group: Group) -> bool:
    return len(group.names.modalities) >= MANY


def _headed(group: Group, columns: Sequence[Column]) -> list[Column]:
    """Under 'Quality (FMD ↓)', or 'Quality (FMD of M, FID of S ↓)' where each judged modality has one metric."""
    distances = [column for column in columns if column.higher_is_better is False]
    said: dict[str, dict[str, None]] = {}
    for column in distances:
        targets = [point[2] for point in column.over] or [column.point[2]]
        said.setdefault(column.measure, {}).update({group.names.short(target): None for target in targets})
    if len({column.short for column in distances}) < len(distances):
        return list(columns)  # a label has to name its metric
    words = ", ".join(f"{metric} of {', '.join(of)}" for metric, of in said.items()) if len(said) > 1 else "".join(said)
    return [replace(c, heading=f"Quality ({words} ↓)") if c.higher_is_better is False else c for c in columns]


def _summarised(group: Group, columns: Iterable[Column], *, apart: bool) -> list[Column]:
    """A column for each metric and number of given modalities; of few modalities, with `apart`, and for what has no
    better side for each judged modality, too: a mean over unlike targets hides that a model fails one of them."""
    kinds: dict[tuple[str, int, str], list[Column]] = {}
    few = len(group.names.modalities) <= FEW
    for column in columns:
        alone = few or column.higher_is_better is None or (apart and column.higher_is_better is False)
        target = column.point[2] if alone else ""
        kinds.setdefault((column.metric, _given(column), target), []).append(column)
    metrics, names = list(dict.fromkeys(metric for metric, _, _ in kinds)), ["", *group.names.modalities]

    def place(kind: tuple[str, int, str]) -> tuple[int, int, int]:
        return metrics.index(kind[0]), kind[1], names.index(kind[2]) if kind[2] in names else len(names)

    return [
        _mean(group, kind, kinds[kind]) if len(kinds[kind]) > 1 else kinds[kind][0] for kind in sorted(kinds, key=place)
    ]


def _named(group: Group) -> list[tuple[str, str, str]]:
    for cell in group.cells:
        if points := cell["dataset"].get("primary"):
            return [(metric, task, modality) for metric, task, modality in points]
    return []


def _coherence(columns: Sequence[Column]) -> list[Column]:
    """Those of the first kind of coherence that was measured, else of the first metric that is better when higher and
    does not declare that it speaks of something else."""
    found = [c.metric for c in columns if c.is_coherence and c.metric != SECOND_JUDGE]
    kind = next((metric for metric in (*COHERENCES, *found) if metric in found), None)
    return [column for column in columns if column.metric == kind]


def _distances(group: Group) -> list[Column]:
    """For each judged modality those of the first distance that was measured."""
    columns = [c for c in group.columns if c.higher_is_better is False and not _relative(group, c)]
    found = [column.metric for column in columns]
    kinds = {}
    for metric in dict.fromkeys((*DISTANCES, *found)):
        for column in columns:
            if column.metric == metric:
                kinds.setdefault(column.point[2], metric)
    return [column for column in columns if kinds[column.point[2]] == column.metric]


def _relative(group: Group, column: Column) -> bool:
    """Whether a number is relative to a reference autoencoder, and so repeats another."""
    found = (group.number("model", column.point, line) for line in group.lines)
    return bool(next(number for number in found if number).row["reference"])


def _few_targets(columns: Iterable[Column]) -> bool:
    return len({column.point[2] for column in columns if column.higher_is_better is False}) <= APART


def _mean(group: Group, kind: tuple[str, int, str], columns: Sequence[Column]) -> Column:
    """The columns as one, their mean: '1 given → S (mean)', '2 given (mean)', 'Joint (mean)'."""
    metric, given, target = kind
    what = f"{given} given" if given else "Joint"
    label = f"{what} → {group.names.short(target)} (mean)" if target else f"{what} (mean)"
    named = label if columns[0].higher_is_better else f"{label} {group.names.metric(metric)}"
    point = (metric, f"{given} given" if given else "joint", target or MEAN)
    return replace(columns[0], point=point, label=named, short=label, over=tuple(column.point for column in columns))


def _given(column: Column) -> int:
    """How many modalities a column's task is given."""
    given, arrow, _ = column.point[1].partition("->")
    return len(given.split("+")) if arrow else 0
