"""The settings of the protocol that shaped a table's numbers, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..config import canonical, flat
from ..store import DISPLAY_ONLY
from .comparison import Group

__all__ = ["plain", "protocol_said"]

SAID = (*DISPLAY_ONLY, "split", "count", "quality_count", "fid_count")
"""Settings that titles and the numbers of samples say already."""
OF_INCEPTION = ("resize", "rounding")
OF_JUDGES = "judge"
INCEPTION = "inception"
"""In the names of judges and metrics that see through Inception's network."""


def protocol_said(group: Group) -> list[str]:
    """'Protocol: judge.steps=300, seed=0.', without what no number here rests on, and what is not the budget's."""
    used = ", ".join(f"{name}={plain(value)}" for name, value in sorted(_used(group)))
    own = {name: value for name, value in group.cells[0]["overrides"].items() if name.startswith("eval.")}
    said = ", ".join(f"{name.removeprefix('eval.')}={plain(value)}" for name, value in sorted(own.items()))
    departs = f" (not the budget's: {said})" if said else ""
    return [f"Protocol: {used or 'as the budget has it'}{departs}."] if used or said else []


def _used(group: Group) -> Iterator[tuple[str, Any]]:
    judges = {number.row["judge"].lower() for (source, *_), number in group.numbers.items() if source == "model"}
    seen = any(INCEPTION in judge for judge in judges)
    trained = bool(group.dataset["classes"]) and any(INCEPTION not in judge for judge in judges)
    settings = {name: value for name, value in group.cells[0]["protocol"].items() if name not in SAID}
    for name, value in flat(settings).items():
        part = name.partition(".")[0]
        idle = (part in OF_INCEPTION and not seen) or (part == OF_JUDGES and not trained)
        if value is not None and not idle:
            yield name, value


def plain(value: Any) -> str:
    """A setting's value in words: 'none', 'yes', 'cosine', '0.001', '1, 2', '(high 0.25, steps 2)'."""
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    if isinstance(value, dict):
        return f"({', '.join(f'{name} {plain(one)}' for name, one in value.items())})"
    return value if isinstance(value, str) else canonical(value)
