"""The colours of models and seeds on the page: lighter ones on its dark ground."""

from __future__ import annotations

from collections.abc import Iterable

from ..figures.looks import SEEDS

__all__ = ["dark_rules", "themed"]

DARK = "#17171a"
"""The page's dark ground, as page.css has it."""
CONTRAST = 4.5
"""Of a colour with the dark ground, at least (what WCAG asks of text; of graphics it asks 3)."""
STEPS = 20


def themed(colour: str) -> str:
    """A colour '#rrggbb' as the page's style has it: its own where the ground is light."""
    return f"var({_name(colour)}, {colour})"


def dark_rules(colours: Iterable[str]) -> str:
    """The lighter colours of a dark page, as declarations of a style sheet."""
    every = dict.fromkeys([*SEEDS, *colours])
    return " ".join(f"{_name(colour)}: {lifted(colour)};" for colour in every)


def lifted(colour: str) -> str:
    """The colour, with as much white as it needs to be seen on the dark ground."""
    mixes = ([round(part + (255 - part) * step / STEPS) for part in _parts(colour)] for step in range(STEPS + 1))
    return "#" + bytes(next(mixed for mixed in mixes if contrast(mixed, _parts(DARK)) >= CONTRAST)).hex()


def contrast(one: Iterable[int], other: Iterable[int]) -> float:
    """Of two colours (0 to 255), 1 to 21 (WCAG 2.2)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Iterable[int]) -> float:
    linear = [c / 12.92 if (c := part / 255) <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for part in colour]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _parts(colour: str) -> list[int]:
    return list(bytes.fromhex(colour[1:]))


def _name(colour: str) -> str:
    return f"--x-{colour[1:]}"
