"""How to read a main table: the notes below it, in every format."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from .columns import Column
from .comparison import Group
from .costs import training
from .layout import absent
from .meanings import meanings
from .options import Options
from .paper import (
    COHERENCE,
    MOPOE,
    OWN_SCALE,
    PAPER,
    PAPER_TITLE,
    Point,
    metric_title,
    model_title,
    paper_numbers,
    paper_voices,
)
from .published import beside
from .statistics import CONFIDENCE, POWER
from .sure import comparisons, said
from .table import SOURCES, Entry, Table, reference_title

__all__ = ["footnotes", "own_notes"]

METHODS = {"t": "Student's t", "bootstrap": "bootstrap, which is too narrow for a handful of seeds"}
NAMED = 3
"""Tasks of a mean that are named as an example."""


def footnotes(group: Group, table: Table, options: Options | None = None, second: str = "underlined") -> list[str]:
    """What the numbers and the marks of a main table are, and where the paper speaks with two voices.

    `second` says how the format marks the second best.
    """
    options = options or Options()
    notes = [_legend(table, options), *meanings(group, table.columns), *_averages(group, table)]
    notes += [*_marks(table, second), *_references(group, table), *_sure(table)]
    notes += [*_paper(group, table), *_beside(table, options.name), *_published(group, table), *training(group)]
    if lacking := absent(group):
        notes.append(f"Not measured: {', '.join(lacking)}.")
    return notes + list(_voices(group, table))


def own_notes(group: Group, found: Sequence[Table], main: Table) -> list[list[str]]:
    """For each of the further tables what its metrics are, where no table before it says so."""
    said, notes = {column.metric for column in main.columns}, []
    for table in found:
        new = [column for column in table.columns if table.kind == "further" and column.metric not in said]
        notes.append(meanings(group, new))
        said |= {column.metric for column in new}
    return notes


def entries(table: Table) -> list[Entry]:
    return [entry for line in table.lines for entry in line.entries if entry]


def _legend(table: Table, options: Options) -> str:
    found = entries(table)
    several = any(len(entry.number.seeds) > 1 for entry in found)
    if several:
        legend = "Mean ± sample standard deviation over training seeds"
        if options.intervals:
            legend += f", in brackets the {CONFIDENCE:.0%} interval of the mean ({METHODS[options.intervals]})"
    else:
        legend = "One training seed each: no spread over seeds, and no model is marked as best"
    if any(len(e.number.seeds) == 1 and not math.isnan(e.number.interval[0]) for e in found):
        whose = "of single seeds, " if several else ""
        legend += f". [low, high]: {whose}{CONFIDENCE:.0%} interval over the samples, where the metric has one"
    return legend.replace("%", " %") + "."


def _averages(group: Group, table: Table) -> Iterator[str]:
    """'1 given → P (mean): the mean over S → P and N → P, and so on; ...'."""
    means = [column for column in table.columns if column.over]
    if not means:
        return
    chosen, few = means[0], len(means[0].over) <= NAMED
    numbers = f"{len(chosen.over)} numbers{_each(chosen)}"
    over = " and ".join(_task(group, point) for point in chosen.over) if few else numbers
    rest = ", and so on" if len(means) > 1 else ""
    yield f"{chosen.short}: the mean over {over}{rest}; `mmbench report --all` shows each."
    if any(entry.hides for entry in entries(table)):
        yield "(‡): some of the tasks in this mean are not above chance."


def _each(column: Column) -> str:
    given = any("->" in point[1] for point in column.over)
    return ", one for each target of each subset that is given" if given else ""


def _task(group: Group, point: Point) -> str:
    """'S → P', 'Joint(P)'."""
    return next(column.short for column in group.columns if column.point == point)


def _marks(table: Table, second: str) -> Iterator[str]:
    found = entries(table)
    if any(entry.mark == "best" for entry in found):
        yield (
            "Bold: the best, and every model that a paired t-test over seeds cannot tell from it (5 %, Holm over this "
            f"table); the next one is {second}. Models of one seed are not compared."
        )
    if any(entry.at_chance for entry in found):
        yield "‡: not above chance (what shuffled tuples or labels by chance reach); never bold."
    if any(entry.few_classes for entry in found):
        yield "§: agreement on few classes (see the entropy of its labels); never bold."


def _sure(table: Table) -> Iterator[str]:
    """What the seeds could have shown."""
    parts = []
    for column, found in zip(table.columns, comparisons(table), strict=True):
        if text := said(found):
            parts.append(f"{column.title} {text}")
    if parts:
        yield (
            f"Smallest true difference to the best that these seeds find with {POWER:.0%} power: ".replace("%", " %")
            + f"{', '.join(parts)}."
        )


def _references(group: Group, table: Table) -> Iterator[str]:
    """Why real data are not perfect, and what chance is."""
    titles = {line.title for line in table.references}
    real, chance = (reference_title(group, source) for source in SOURCES)
    err = ", below 100 % where they err" if any(column.unit == "%" for column in table.columns) else ""
    if real in titles:
        yield f"{real}: what the same judges say of the data themselves{err}."
    if chance in titles:
        yield f"{chance}: tuples whose modalities are put together at random{_by_chance(group, table)}."


def _by_chance(group: Group, table: Table) -> str:
    """'; 10 classes agree by chance in 10 %, in 1 % where 3 modalities must'."""
    classes, many = group.dataset["classes"], len(group.names.modalities)
    if classes < 2 or not any(column.metric == COHERENCE for column in table.columns):
        return ""
    return f"; one of {classes} labels is right by chance in {100 / classes:.3g} %" + (
        f", all {many} agree in {100 / classes ** (many - 1):.3g} %" if many > 2 else ""
    )


def _paper(group: Group, table: Table) -> Iterator[str]:
    found = [entry for entry in entries(table) if entry.paper]
    if not found:
        yield f"The paper ({PAPER}, {PAPER_TITLE}) has no numbers {_lacking(group)}."
        return
    yield (
        f"Below our numbers those of the paper ({PAPER}, {PAPER_TITLE}), and ours minus the paper's in the digits "
        "that the paper prints."
    )
    if any(entry.number.model == MOPOE for entry in found):
        yield "The paper's tables write MoPoE as MOPOE."
    titles = dict.fromkeys(metric_title(e.number.row["metric"]) for e in found if e.number.row["metric"] in OWN_SCALE)
    if titles:
        yield (
            f"{', '.join(titles)} has the scale of its judge, so differences say nothing: there stand the ratio to the "
            "lowest and the rank among the paper's models in this table, the paper's in parentheses."
        )


def _lacking(group: Group) -> str:
    if group.dataset["split"] != "test":
        return f"on {group.dataset['split']} tuples"
    return "of these models and tasks" if paper_numbers(group.dataset["name"]) else f"on {group.heading}"


def _beside(table: Table, name: str) -> Iterator[str]:
    if any(entry.beside for entry in entries(table)):
        yield f"Below them the numbers of {name}, and ours minus those, with the 95 % interval over the seeds of both."


def _published(group: Group, table: Table) -> Iterator[str]:
    """Whose numbers of other papers stand in the table, how they were measured, and what is doubtful."""
    titles = {line.title for line in table.references}
    found = {number.source: None for number in beside(group) if number.title in titles}
    for source in found:
        said = ". ".join(part for part in (source.title, f"Protocol: {source.protocol}", f"Doubts: {source.doubts}"))
        yield f"[{source.key}] {said}."


def _voices(group: Group, table: Table) -> Iterator[str]:
    """Where the paper prints two numbers for one."""
    models = {line.model for line in group.lines}
    labels = {column.point: column.title for column in table.columns}
    if not any(entry.paper for entry in entries(table)):
        return
    for (model, point), voices in paper_voices(group.dataset["name"]).items():
        if model in models and point in labels and len({voice.mean for voice in voices}) > 1:
            told = " and ".join(f"{voice.printed} in Table {voice.table}" for voice in voices)
            yield f"{model_title(model)} {labels[point]}: the paper prints {told}; the latter is used."
