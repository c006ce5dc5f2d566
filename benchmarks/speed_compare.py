"""Two runs of `speed.py` compared: what got slower than 10 %, and by how much the machine itself did. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["BOUND", "PACE", "Line", "Numbers", "compare", "pace", "slower", "table", "verdict_on_machine"]

Numbers = Mapping[str, float]
"""Name -> milliseconds."""
PACE = "matrix product 1000x512x512, float32"
"""The number that stands for the machine's own speed; every run has it."""
BOUND = 0.10
"""What is slower by more than this share is marked."""
NOTEWORTHY = 0.05
"""A machine that differs by less is as fast as it was."""


@dataclass(frozen=True)
class Line:
    """One number in both runs, in milliseconds; None where a run lacks it."""

    name: str
    stored: float | None
    now: float | None
    pace: float
    """The machine's own ratio, see `pace`."""

    @property
    def ratio(self) -> float | None:
        """now / stored: above 1 is slower."""
        return None if self.stored is None or self.now is None else self.now / self.stored

    @property
    def own(self) -> float | None:
        """The ratio with the machine's own divided out: what the code has to answer for."""
        return None if self.ratio is None else self.ratio / self.pace

    @property
    def mark(self) -> str:
        """'slower' or 'faster' beyond the bound by `own`; 'new', 'missing'; '' for as before."""
        if self.stored is None:
            return "new"
        if self.own is None:
            return "missing"
        return "slower" if self.own > 1 + BOUND else "faster" if self.own < 1 / (1 + BOUND) else ""


def pace(stored: Numbers, now: Numbers) -> float:
    """How many times as long this run's matrix product took: 1.2 for a machine that is 20 % slower than it was."""
    return now[PACE] / stored[PACE]


def compare(stored: Numbers, now: Numbers) -> list[Line]:
    """A line for each number but the machine's own: this run's in their order, then those that it lacks."""
    names = [name for name in dict.fromkeys((*now, *stored)) if name != PACE]
    return [Line(name, stored.get(name), now.get(name), pace(stored, now)) for name in names]


def slower(lines: Sequence[Line]) -> list[str]:
    """Names of what got slower than the bound."""
    return [line.name for line in lines if line.mark == "slower"]


def verdict_on_machine(ratio: float) -> str:
    """One sentence of the machine, for its own ratio."""
    if abs(ratio - 1) < NOTEWORTHY:
        return "The machine itself is as fast as in the stored run."
    if ratio > 1:
        return f"The machine itself is {100 * (ratio - 1):.0f} % slower in this run, which is divided out of 'own'."
    return f"The machine itself is {100 * (1 - ratio):.0f} % faster in this run, which is divided out of 'own'."


def table(lines: Sequence[Line]) -> str:
    """name, stored, now (ms), their ratio, the ratio with the machine's divided out, and a mark."""
    width = max(len(line.name) for line in lines)
    rows = [f"{'ms':<{width}}{'stored':>11}{'now':>11}{'ratio':>8}{'own':>7}"]
    for line in lines:
        times, ratios = (_cell(line.stored, 11), _cell(line.now, 11)), (_cell(line.ratio, 8), _cell(line.own, 7))
        rows.append(f"{line.name:<{width}}{''.join(times)}{''.join(ratios)}  {line.mark}".rstrip())
    return "\n".join(rows)


def _cell(value: float | None, width: int) -> str:
    return f"{'-' if value is None else format(value, '.2f'):>{width}}"
