"""Who judged what: for each modality its judges, with their accuracies, weights and what they measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..progress import one_line
from ..store import RowRecord
from .comparison import Group

__all__ = ["JudgeLine", "judge_lines", "judges_said"]

EXACT = "exact"
"""The judge of what needs none."""
LETTERS = "compared letter for letter"
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class JudgeLine:
    """One judge of one modality; of several modalities together where it cannot be told apart."""

    modality: str
    """'pen', 'image+caption'."""
    judge: str
    """'lenet 99.6 %': with its accuracy on real test data, where it has one."""
    identity: str
    """Hex digits of its weights; '' where it has none."""
    reference: str
    """Hex digits of the reference autoencoder that its numbers are relative to; '' where there is none."""
    metrics: tuple[str, ...]
    """In print."""

    @property
    def said(self) -> str:
        return LETTERS if self.judge == EXACT else self.judge


def judge_lines(group: Group) -> list[JudgeLine]:
    """In the order of the modalities; a judge of several appears with each."""
    found: dict[Key, dict[str, None]] = {}
    for column in group.columns:
        row = next(n.row for line in group.lines if (n := group.number("model", column.point, line)))
        for key in _parts(row):
            found.setdefault(key, {})[group.names.metric(column.metric)] = None
    names = group.names.modalities
    order = sorted(found, key=lambda key: [names.index(m) if m in names else len(names) for m in key[0].split("+")])
    return [
        JudgeLine(modality, one_line(judge), one_line(identity), one_line(reference), tuple(metrics))
        for (modality, judge, identity, reference), metrics in ((key, found[key]) for key in order)
    ]


def _parts(row: RowRecord) -> Iterator[Key]:
    """(modality, judge, identity, reference) of each judge of a number: 'a + b' of x+y is a's of x and b's of y."""
    modalities, judges = row["modality"].split("+"), row["judge"].split(" + ")
    digits = row["identity"].split("+") if row["identity"] else [""] * len(judges)
    if len(modalities) == len(judges) == len(digits):
        for modality, judge, identity in zip(modalities, judges, digits, strict=True):
            yield modality, judge, identity, row["reference"]
    else:
        yield row["modality"], row["judge"], row["identity"], row["reference"]


def judges_said(group: Group) -> list[str]:
    """'Judges: P lenet 99.6 % [9d0d86c8]; N compared letter for letter.', and the reference autoencoders."""
    lines = judge_lines(group)
    found: dict[str, dict[tuple[str, str], list[str]]] = {}
    for line in lines:
        found.setdefault(line.modality, {}).setdefault((line.said, line.identity), []).extend(line.metrics)
    said = "; ".join(f"{group.names.short(name)} {_own(judges)}" for name, judges in found.items())
    rated = " (in %: right on real test data)" if any("%" in line.judge for line in lines) else ""
    over = dict.fromkeys(f"{group.names.short(x.modality)} [{x.reference}]" for x in lines if x.reference)
    more = [f"Reference autoencoders: {', '.join(over)}."] if over else []
    return [f"Judges{rated}: {said}.", *more] if said else []


def _own(judges: dict[tuple[str, str], list[str]]) -> str:
    """Of one modality: with what each measured, where they are several."""
    parts = []
    for (name, identity), metrics in judges.items():
        what = f" ({', '.join(dict.fromkeys(metrics))})" if len(judges) > 1 else ""
        parts.append(name + (f" [{identity}]" if identity else "") + what)
    return ", ".join(parts)
