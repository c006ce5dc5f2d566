"""Why cells of one dataset, budget and split stand in several tables."""

from __future__ import annotations

from collections.abc import Iterator

from .beside import differences
from .comparison import Group
from .judges import JudgeLine, judge_lines

__all__ = ["apart"]

NAMED = 6
"""Models that are named; of more, their number is said."""
MACHINES = " Another kind of machine trains other ones from the same seed: share the folders of one."


def apart(group: Group) -> list[str]:
    """A line for each other table of the same dataset, budget and split: which models stand there, and why not here."""
    return [_said(group, Group(cells)) for cells in group.others]


def _said(group: Group, other: Group) -> str:
    titles = list(map(other.title, other.lines))
    models = ", ".join(titles) if len(titles) <= NAMED else f"{len(titles)} lines"
    judges = list(_judges(group, other))
    why = "; ".join([*differences(group, other), *judges]) or "judges of some metric"
    return f"Another table of these data holds {models}: it has other {why}.{MACHINES if judges else ''}"


def _judges(group: Group, other: Group) -> Iterator[str]:
    """'judges (M [2a268ef1] here, [d5e7650d] there)'."""
    for word, digits in (("judges", _judge), ("reference autoencoders", _reference)):
        ours, theirs = ({line.modality: digits(line) for line in judge_lines(each)} for each in (group, other))
        found = [
            f"{group.names.short(name)} [{here}] here, [{theirs[name]}] there"
            for name, here in ours.items()
            if here and theirs.get(name) not in (None, "", here)
        ]
        if found:
            yield f"{word} ({', '.join(found)})"


def _judge(line: JudgeLine) -> str:
    return line.identity or line.judge


def _reference(line: JudgeLine) -> str:
    return line.reference
