"""What a reader must know before he believes a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations

from ..store import Cell
from ..store.commands import rerun
from .apart import apart
from .code import mixed, stale_metrics
from .collapse import few_classes
from .columns import Column
from .comparison import Group, Line
from .gaps import Gap, gap
from .hidden import hidden
from .paper import COHERENCE, SECOND_JUDGE, metric_title
from .table import SOURCES, reference_title
from .words import failure

__all__ = ["warnings"]

NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
SKILL = re.compile(r"(seed \d+: stage .+ has collapsed: skill )(.+)( on validation tuples, .+)")
"""A stage's reason: what is the same of all its skills, and one of them."""
SHOWN = 5
"""Like lines; of more, their number is said."""
NAMED = 8
"""Models, and columns, that are named beside a note."""
BUDGETS = {
    "smoke": "Budget smoke is a shortened training and few samples, to see that all runs: not for publication.",
    "laptop": "Budget laptop is a shortened training: the order of models may be another under budget paper.",
}
"""What is to be known of a shorter budget."""


def warnings(group: Group, failed: Sequence[Cell]) -> list[str]:
    """What a reader must know before he believes the table."""
    lines = [BUDGETS[group.budget]] if group.budget in BUDGETS else []
    lines += apart(group) + _code(group) + _collapsed_stages(group) + _collapsed(group) + hidden(group) + _flips(group)
    lines += _left_out(group) + _references(group) + _notes(group)
    lines += _seeds(group)
    lines += [failure(cell) for cell in failed]
    if group.budget != "paper" and any(number.paper for number in group.numbers.values()):
        lines.append(f"The paper's numbers are of its full schedule, ours of budget {group.budget}.")
    return lines


def _seeds(group: Group) -> list[str]:
    """A line for the models that lack the same seeds."""
    lacking: dict[tuple[int, ...], list[str]] = {}
    for line in group.lines:
        if lost := sorted(set(group.seeds) - {cell["seed"] for cell in group.of(line)}):
            lacking.setdefault(tuple(lost), []).append(group.title(line))
    return [
        f"{', '.join(titles)} {'lacks' if len(titles) == 1 else 'lack'} seed {', '.join(map(str, lost))}."
        for lost, titles in lacking.items()
    ]


def _stale(group: Group) -> list[str]:
    """A line for the models that the same other code made, with what computes each of them anew."""
    made: dict[tuple[str, ...], list[Line]] = {}
    for line in group.lines:
        if stale := group.stale(line):
            commits = sorted({cell["environment"].get("commit") or "unknown" for cell in group.of(line)})
            made.setdefault((*stale, f"commit {', '.join(commits)}"), []).append(line)
    return [
        f"{', '.join(map(group.title, lines))}: other code made {'it' if len(lines) == 1 else 'them'} "
        f"({'; '.join(reasons)}). {', '.join(f'`{rerun(group.of(line))}`' for line in lines)} "
        f"{'computes it' if len(lines) == 1 else 'compute them'} anew."
        for reasons, lines in made.items()
    ]


def _code(group: Group) -> list[str]:
    """Stale lines, numbers measured by several codes or by other code than today's, and what the table mixes."""
    lines = _stale(group)
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
        f"† {group.title(line).removesuffix(' †')}: {'; '.join(_by_stage(collapsed))}. It is part of the mean."
        for line in group.lines
        if (collapsed := group.collapsed(line))
    ]


def _by_stage(collapsed: Sequence[str]) -> list[str]:
    """Of reasons that differ in the skill alone one, with every skill: 'seed 0: stage 'elbo' has collapsed: skill m0
    0.01, m1 0.02 on validation tuples, 0.05 needed'."""
    skills: dict[tuple[str, str], list[str]] = {}
    for reason in collapsed:
        found = SKILL.fullmatch(reason)
        before, skill, after = found.groups() if found else (reason, "", "")
        skills.setdefault((before, after), []).append(skill)
    return [f"{before}{', '.join(found)}{after}" for (before, after), found in skills.items()]


def _collapsed(group: Group) -> list[str]:
    """A line for each model whose joint samples show few of the classes."""
    return [
        f"{group.title(line)} collapses ({', '.join(found)} possible): its joint coherence is agreement on few classes."
        for line in group.lines
        if (found := few_classes(group, line))
    ]


def _flips(group: Group) -> list[str]:
    """Pairs of models that the second judge puts in the other order: a conclusion that depends on the judge."""
    lines = []
    for column in (c for c in group.columns if c.metric == COHERENCE):
        for one, other, first, second in _flipped(group, column):
            lines.append(
                f"{column.title}: the second judge puts {group.title(one)} and {group.title(other)} in the other "
                f"order ({first.said} and {second.said} points apart): do not conclude from it."
            )
    return _first(lines, "The second judge puts {} more pairs of models in the other order.")


def _first(lines: Sequence[str], more: str) -> list[str]:
    """Of many like lines the first ones, and how many there are more."""
    rest = len(lines) - SHOWN
    return [*lines[:SHOWN], *([more.format(rest)] if rest > 0 else [])]


def _flipped(group: Group, column: Column) -> Iterator[tuple[Line, Line, Gap, Gap]]:
    """Pairs whose order both judges are sure of, and of which they say the opposite."""
    point = (SECOND_JUDGE, *column.point[1:])
    read = {
        line: (first, other)
        for line in group.lines
        if (first := group.number("model", column.point, line)) and (other := group.number("model", point, line))
    }
    for one, other in combinations(read, 2):
        first, second = ((read[one][k], read[other][k]) for k in (0, 1))
        if (first[0].mean - first[1].mean) * (second[0].mean - second[1].mean) < 0:
            gaps = gap(*first), gap(*second)
            if all(found.side for found in gaps):
                yield one, other, *gaps


def _left_out(group: Group) -> list[str]:
    """A line for each metric that some cells lack, with what to type where that can help: not where it has nothing to
    measure on these data, or gave no number."""
    reasons = {name: reason for cell in group.cells for name, reason in cell["left_out"].items()}
    whole = group.dataset["name"].removesuffix("_partial")
    flag = "" if whole == group.dataset["name"] else " --allow-partial"
    lines = []
    for name, reason in reasons.items():
        vain = reason.startswith(("it measures nothing on ", "it gave no number on "))
        then = "" if vain else f" Then: `mmbench evaluate --dataset {whole}{flag} --metrics {name}`."
        lines.append(f"{metric_title(name)} is left out: {reason.rstrip('.')}.{then}")
    return lines


def _references(group: Group) -> list[str]:
    """Reference points that were measured more than once and came out differently."""
    lines = []
    for source in SOURCES:
        for column in group.columns_of(source):
            number = group.number(source, column.point)
            if number and len(number.values) > 1:
                ends = f"{min(number.values):.4g} to {max(number.values):.4g}"
                title = reference_title(group, source)
                lines.append(f"{title}: {column.title} differs between cells, {ends}; their mean is shown.")
    return _first(lines, "{} more reference points differ between cells; their means are shown.")


def _notes(group: Group) -> list[str]:
    """Each note of a row once, with the columns and the models it is about; of notes that differ in their numbers only
    the range of these, and each model's own: '3 to 366 of 400 samples are of no class (MVAE 98 to 366, MLD 3)'."""
    found: dict[str, tuple[dict[Line, set[str]], dict[Column, None]]] = {}
    for column in group.columns:
        for line in group.lines:
            number = group.number("model", column.point, line)
            for note in number.notes if number else ():
                notes, columns = found.setdefault(NUMBER.sub("#", note), ({}, {}))
                notes.setdefault(line, set()).add(note)
                columns[column] = None
    return [f"{_where(list(columns))}: {_noted(group, notes)}." for notes, columns in found.values()]


def _where(columns: Sequence[Column]) -> str:
    """'Joint(S) FID, M → S FID'; of many their metrics: 'FMD (75 numbers)'."""
    if len(columns) <= NAMED:
        return ", ".join(column.title for column in columns)
    counts = Counter(column.measure for column in columns)
    return ", ".join(f"{metric} ({count} numbers)" for metric, count in counts.items())


def _noted(group: Group, notes: Mapping[Line, set[str]]) -> str:
    """'biased: 500 samples (MVAE)', '13 to 215 of 400 samples are of no class (MVAE 215, MLD 13)'."""
    every = sorted({note for own in notes.values() for note in own})
    said, varying = _merged(every)
    if len(notes) == len(group.lines) > SHOWN and not varying:
        return f"{said.rstrip('.')} (all models)"
    lines = sorted(notes, key=lambda line: -_most(notes[line], varying))
    own = [" ".join([group.title(line), *_own(notes[line], varying)]) for line in lines]
    more = [f"{len(own) - NAMED} more"] if len(own) > NAMED else []
    return f"{said.rstrip('.')} ({', '.join(own[:NAMED] + more)})"


def _merged(notes: Sequence[str]) -> tuple[str, list[int]]:
    """Texts that differ in their numbers as one, with the range of each number, and which numbers vary."""
    columns = list(zip(*(NUMBER.findall(note) for note in notes), strict=True))
    ranges = iter(map(_range, columns))
    varying = [k for k, column in enumerate(columns) if len(set(column)) > 1]
    return NUMBER.sub(lambda _: next(ranges), notes[0]), varying


def _own(notes: Collection[str], varying: Sequence[int]) -> list[str]:
    """A model's numbers, of those that vary."""
    return [" and ".join(_range([NUMBER.findall(note)[k] for note in notes]) for k in varying)] if varying else []


def _most(notes: Collection[str], varying: Sequence[int]) -> float:
    """The largest of a model's first varying number."""
    return max(_value(NUMBER.findall(note)[varying[0]]) for note in notes) if varying else 0.0


def _range(numbers: Sequence[str]) -> str:
    """'176 to 366', each as it was written."""
    ordered = sorted(numbers, key=_value)
    return " to ".join(dict.fromkeys((ordered[0], ordered[-1])))


def _value(number: str) -> float:
    return float(number.replace(",", ""))
