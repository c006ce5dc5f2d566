"""A report against one setting as a page: its tables and figures, which load nothing and run no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata, resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ...progress import one_line
from ..against import Series, series
from ..comparison import Group
from ..figures.against import against, fronts
from ..sweep import Block, blocks, sweep_title
from ..warnings import warnings
from .page import commands
from .parts import Plot
from .pictures import plot

__all__ = ["against_page"]

CURVES = "Means over seeds with their 95 % interval (of a single seed: over its samples), by the setting's value."
FRONT = "Better lies up and to the left. Each point is a value of the setting; dashed: the Pareto front of all lines."


@dataclass(frozen=True)
class Swept:
    """One group of comparable cells against the setting."""

    ident: str
    title: str
    warnings: Sequence[str]
    tables: Sequence[Block]
    plots: Sequence[Plot]


def against_page(found: Sequence[Group], setting: str) -> str:
    """The whole page; ResultError where no cells have several values of the setting."""
    shown = [_swept(group, some, setting, number) for number, (group, some) in enumerate(series(found, setting))]
    style = resources.files("mmbench.report.html").joinpath("page.css").read_text(encoding="utf-8")
    made = Environment(
        loader=PackageLoader("mmbench.report.html", ""), autoescape=True, undefined=StrictUndefined, finalize=_plain
    )
    made.filters["commands"] = commands
    return made.get_template("against.html").render(
        title=f"mmbench report against {setting}",
        groups=shown,
        style=Markup(style),
        version=metadata.version("mmbench"),
    )


def _swept(group: Group, some: Sequence[Series], setting: str, number: int) -> Swept:
    title, ident = sweep_title(group, setting), f"group-{number}"
    drawn = [
        plot(
            partial(against, group, some, setting), f"{ident}-curves", f"{title}; the tables have the numbers", CURVES
        ),
        plot(partial(fronts, group, some, setting), f"{ident}-front", f"Coherence against quality. {title}", FRONT),
    ]
    return Swept(ident, title, warnings(group, []), list(blocks(group, some, setting)), [one for one in drawn if one])


def _plain(value: Any) -> Any:
    """Whatever is printed stands on one line and controls nothing; our own pieces of HTML stay as they are."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value
