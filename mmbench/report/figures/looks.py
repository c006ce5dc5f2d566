"""One colour and one marker for each model, for ever: whoever stands beside it in a figure, and wherever it stands.

Known models have theirs in a table (colours after Okabe and Ito, which the colour-blind tell apart). A stranger's
follow from a hash of its name: colours between the known ones, markers that no known model has.
"""

from __future__ import annotations

import colorsys
import csv
import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from ..comparison import Group, Line

__all__ = ["KNOWN", "Look", "look_of", "looks", "seed_look"]

Fill = Literal["full", "left", "right", "top", "bottom"]
Stroke = Literal["-", "--", ":", "-."]


@dataclass(frozen=True)
class Look:
    """How a line of a table is drawn."""

    colour: str
    """'#rrggbb'."""
    marker: str
    fill: Fill = "full"
    """Half-filled markers tell several configurations of one model apart."""

    @property
    def size(self) -> float:
        """In points: a star and a plus look smaller than other markers of their size."""
        return {"*": 7.5, "P": 5.2, "X": 5.2}.get(self.marker, 4.6)


def _known() -> dict[str, Look]:
    text = resources.files("mmbench.report.figures").joinpath("looks.csv").read_text(encoding="utf-8")
    return {row["model"]: Look(row["colour"], row["marker"]) for row in csv.DictReader(text.splitlines())}


KNOWN = _known()
"""Model -> its look, from looks.csv. A line of that file is never changed, only added."""
MARKERS = ("p", "h", ">", "d", "8", "H")
"""Of strangers."""
HUES = 24
FILLS: tuple[Fill, ...] = ("full", "left", "right", "top", "bottom")
SEEDS = ("#0072b2", "#d55e00", "#029e73", "#cc78bc", "#56b4e9", "#de8f05", "#8a8a8a", "#8c6d1f", "#b5446e", "#2f4b7c")
STROKES: tuple[Stroke, ...] = ("-", "--", ":", "-.")


def look_of(model: str) -> Look:
    """The look of a model under its recipe's settings."""
    if model in KNOWN:
        return KNOWN[model]
    number = int.from_bytes(hashlib.sha256(model.encode(errors="surrogatepass")).digest()[:8], "big")
    hue, rest = number % HUES, number // HUES
    light, marker = (0.36, 0.5)[rest % 2], MARKERS[rest // 2 % len(MARKERS)]
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb((hue + 0.5) / HUES, light, 0.6))
    return Look(f"#{red:02x}{green:02x}{blue:02x}", marker)


def looks(group: Group) -> dict[Line, Look]:
    """The look of each line of a table: its model's, half filled where another line has the same, the recipe's own
    configuration before others."""
    found: dict[Line, Look] = {}
    for line in sorted(group.lines, key=lambda line: (bool(group.changed(line)), bool(group.stale(line)))):
        plain = look_of(line.model)
        alike = [Look(plain.colour, plain.marker, fill) for fill in FILLS]
        found[line] = next((look for look in alike if look not in found.values()), alike[-1])
    return {line: found[line] for line in group.lines}


def seed_look(seed: int) -> tuple[str, Stroke]:
    """Colour and stroke of a training seed's curve."""
    return SEEDS[seed % len(SEEDS)], STROKES[seed // len(SEEDS) % len(STROKES)]
