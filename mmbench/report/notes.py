"""How to read a main table: the notes below it, in every format."""

from __future__ import annotations

from collections.abc import Iterator

from .comparison import Group
from .layout import absent
from .options import Options
from .paper import MEANINGS, OWN_SCALE, metric_title, model_title, paper_voices
from .published import beside
from .statistics import CONFIDENCE, POWER
from .sure import comparisons, said
from .table import Entry, Table

__all__ = ["footnotes"]

METHODS = {"t": "Student's t", "bootstrap": "bootstrap, which is too narrow for a handful of seeds"}


def footnotes(group: Group, table: Table, options: Options | None = None, second: str = "underlined") -> list[str]:
    """What the numbers and the marks of a main table are, and where the paper speaks with two voices.

    `second` says how the format marks the second best.
    """
    options = options or Options()
    notes = [_legend(table, options), *_averages(table), *_marks(table, second), *_sure(table)]
    notes += [*_paper(table), *_beside(table, options.name), *_quality(group, table)]
    notes += _published(group, table)
    if lacking := absent(group):
        notes.append(f"Not measured: {', '.join(lacking)}.")
    return notes + list(_voices(group, table))


def entries(table: Table) -> list[Entry]:
    return [entry for line in table.lines for entry in line.entries if entry]


def _legend(table: Table, options: Options) -> str:
    found = entries(table)
    if any(len(entry.number.seeds) > 1 for entry in found):
        legend = "Mean ± sample standard deviation over training seeds"
        if options.intervals:
            legend += f", in brackets the {CONFIDENCE:.0%} interval of the mean ({METHODS[options.intervals]})"
    else:
        legend = "One training seed each, so nothing is compared"
    if any(len(e.number.seeds) == 1 and e.number.interval[0] == e.number.interval[0] for e in found):
        legend += f"; of single seeds in brackets the {CONFIDENCE:.0%} interval over its samples"
    return legend.replace("%", " %") + "."


def _averages(table: Table) -> Iterator[str]:
    if any(column.over for column in table.columns):
        yield (
            "'1 given' is the mean over all tasks with one given modality, and so on; `mmbench report --all` "
            "shows every task."
        )


def _marks(table: Table, second: str) -> Iterator[str]:
    found = entries(table)
    if any(entry.mark == "best" for entry in found):
        yield (
            "Bold: the best, and every model that a paired t-test over seeds cannot tell from it (5 %, Holm over this "
            f"table); the next one is {second}. Models of one seed are not compared."
        )
    if any(entry.at_chance for entry in found):
        yield "‡: not above what shuffled tuples reach, or labels by chance; never bold."
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


def _paper(table: Table) -> Iterator[str]:
    found = entries(table)
    if any(entry.paper for entry in found):
        yield "Below our numbers the paper's, and ours minus the paper's in the digits that the paper prints."
    titles = dict.fromkeys(metric_title(e.number.row["metric"]) for e in found if e.number.row["metric"] in OWN_SCALE)
    if titles and any(entry.paper and entry.number.row["metric"] in OWN_SCALE for entry in found):
        yield (
            f"{', '.join(titles)} has the scale of its judge, so differences say nothing: there stand the ratio to the "
            "lowest and the rank among the paper's models in this table, the paper's in parentheses."
        )


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


def _quality(group: Group, table: Table) -> Iterator[str]:
    """'Quality: FMD of M, FID of S.'"""
    judged: dict[str, dict[str, None]] = {}
    for column in table.columns:
        if column.higher_is_better is False:
            targets = [point[2] for point in column.over] or [column.point[2]]
            judged.setdefault(group.names.metric(column.metric), {}).update(
                dict.fromkeys(group.names.short(target) for target in targets)
            )
    if judged:
        yield "Quality: " + "; ".join(f"{metric} of {', '.join(targets)}" for metric, targets in judged.items()) + "."
    yield from (words for metric, words in MEANINGS.items() if any(column.metric == metric for column in table.columns))


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
