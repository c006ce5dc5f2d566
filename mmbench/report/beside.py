"""Two folders of results side by side: two versions of the code, a colleague's folder.

Before a number stands beside another, data, split, modalities, budget, protocol and the judge's weights must be the
same; what is not is said in a sentence and left out. Lines are the same model under the same configuration (their
hash); where only one line of a model is its recipe's own on either side, these two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..config import flat
from ..progress import one_line
from ..store import DISPLAY_ONLY, DatasetRecord, RowRecord
from .columns import Column
from .comparison import Group, Line
from .numbers import Number
from .paper import metric_title
from .scale import own_lines

__all__ = ["Beside", "beside", "differences"]


@dataclass(frozen=True)
class Beside:
    """The other results' part of one table."""

    name: str
    """Of the other folder, in print."""
    groups: Sequence[Group] = ()
    """Those that may stand beside it."""
    pairs: Mapping[Line, Sequence[tuple[Group, Line]]] = field(default_factory=dict)
    """A line of ours -> the lines of the others."""
    foreign: frozenset[tuple[str, str]] = frozenset()
    """Metrics and modalities that another judge judged there."""
    said: tuple[str, ...] = ()
    """What could not be compared, and why."""

    def number(self, column: Column, line: Line) -> Number | None:
        """The other results' number."""
        points = column.over or (column.point,)
        if any((metric, modality) in self.foreign for metric, _, modality in points):
            return None
        found = (group.measured("model", column, other) for group, other in self.pairs.get(line, ()))
        return next((number for number in found if number), None)


def beside(group: Group, others: Sequence[Group], name: str) -> Beside:
    """What of the others may stand beside a group."""
    alike = [other for other in others if _place(other) == _place(group)]
    if not alike:
        data, budget, split = _place(group)
        return Beside(name, said=(f"{name} holds no cells of {data} at budget {budget} on {split} tuples.",))
    same = [other for other in alike if not any(differences(group, other))]
    if not same:
        why = "; ".join(differences(group, alike[0]))
        return Beside(name, said=(f"{name} is not compared, since it has other {why}.",))
    foreign = _foreign(group, same)
    judged = (f"{metric_title(metric)}({group.names.short(modality)})" for metric, modality in foreign)
    said = [f"{name}: {what} has another judge there and is not compared." for what in judged]
    pairs = {line: list(_partners(group, line, same)) for line in group.lines}
    alone = [group.title(line) for line, found in pairs.items() if not found]
    said += [f"{name} has no line of {', '.join(alone)}."] if alone else []
    said += _stale(name, pairs)
    return Beside(name, same, pairs, frozenset(foreign), tuple(said))


def _place(group: Group) -> tuple[str, str, str]:
    return group.dataset["name"], group.budget, group.dataset["split"]


def differences(one: Group, other: Group) -> Iterator[str]:
    """What must be the same and is not: 'data (fingerprint a1b2 here, c3d4 there)'."""
    if one.dataset["fingerprint"] != other.dataset["fingerprint"]:
        yield f"data (fingerprint {one.dataset['fingerprint']} here, {other.dataset['fingerprint']} there)"
    if one.dataset["modalities"] != other.dataset["modalities"]:
        yield f"settings of the modalities ({_first(_modalities(one.dataset), _modalities(other.dataset))})"
    if one.protocol != other.protocol:
        yield f"settings of the protocol ({_first(_protocol(one), _protocol(other))})"


def _modalities(data: DatasetRecord) -> dict[str, object]:
    return flat({m["name"]: dict(m) for m in data["modalities"]})


def _protocol(group: Group) -> dict[str, object]:
    return flat({k: v for k, v in group.cells[0]["protocol"].items() if k not in DISPLAY_ONLY})


def _first(one: Mapping[str, object], other: Mapping[str, object]) -> str:
    """The first setting that differs: 'count=100 here, 500 there'."""
    name = next(name for name in {**one, **other} if one.get(name) != other.get(name))
    return one_line(f"{name}={one.get(name)} here, {other.get(name)} there")


def _foreign(group: Group, others: Sequence[Group]) -> list[tuple[str, str]]:
    """Metrics and modalities whose judges or reference autoencoders are not the same."""
    ours, found = _judges(group), {}
    for other in others:
        for key, judge in _judges(other).items():
            if ours.get(key, judge) != judge:
                found[key] = None
    return list(found)


def _judges(group: Group) -> dict[tuple[str, str], tuple[str, str]]:
    """(metric, modality) -> identity of its judge (its name where it has none) and of the reference autoencoder."""
    rows: list[RowRecord] = [number.row for (source, _, _), number in group.numbers.items() if source == "model"]
    return {(row["metric"], row["modality"]): (row["identity"] or row["judge"], row["reference"]) for row in rows}


def _partners(group: Group, line: Line, others: Sequence[Group]) -> Iterator[tuple[Group, Line]]:
    """The lines that stand beside one: fresh ones first."""
    own = own_lines(group).get(line.model) == line and not group.changed(line)
    for other in others:
        same = [x for x in other.lines if (x.model, x.hash) == (line.model, line.hash)]
        theirs = own_lines(other).get(line.model) if own else None
        found = same or ([theirs] if theirs and not other.changed(theirs) else [])
        yield from ((other, x) for x in sorted(found, key=lambda x: (bool(other.stale(x)), x)))


def _stale(name: str, pairs: Mapping[Line, Sequence[tuple[Group, Line]]]) -> list[str]:
    """That the other results were made by other code than is here."""
    old = {group.title(line): None for found in pairs.values() for group, line in found[:1] if group.stale(line)}
    return [f"{name}: {', '.join(old)} was made by other code than is installed here."] if old else []
