"""The colours of models and seeds on the page: lighter ones on its dark ground."""

from __future__ import annotations

from collections.abc import Iterable

from ..figures.looks import SEEDS

__all__ = ["dark_rules", "themed"]

DARK = "#17171a"
"""The page's dark ground, as page.css has it."""
CONTRAST = 5.0
"""Of a colour with the dark ground, at least (WCAG asks 3 of graphics, and 4.5 of text)."""
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
    parts = _parts(colour)
    for step in range(STEPS + 1):
        mixed = [round(part + (255 - part) * step / STEPS) for part in parts]
        if contrast(mixed, _parts(DARK)) >= CONTRAST:
            break
    return "#{:02x}{:02x}{:02x}".format(*mixed)


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
