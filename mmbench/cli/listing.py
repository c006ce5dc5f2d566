"""mmbench list: what there is, in a line or two each, and whether what it needs is here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from pathlib import Path
from textwrap import TextWrapper
from typing import Annotated

import typer

from .. import plugins
from ..health.described import summary
from ..progress import one_line
from .options import DataRoot, Runs, path_option
from .terminal import columns, tell

__all__ = ["list_"]

BUDGETS = {
    "smoke": "seconds to two minutes a cell on two cores: does it run?",
    "laptop": "minutes a cell on two cores, shortened schedules and fewer samples; the default of most datasets",
    "paper": "the published schedule and sample counts, for a GPU; the default of the paper's own datasets",
}
TITLES = {
    plugins.MODELS: "models (--model)",
    plugins.DATASETS: "datasets (--dataset)",
    plugins.METRICS: "metrics (--metrics)",
}
KINDS = {plugins.DATASETS: "dataset", plugins.METRICS: "metric"}
"""Of those that need files."""
NARROW = 50
"""On a terminal of fewer columns, words stand below their name."""


def list_(
    models: Annotated[bool, typer.Option("--models", help="Models only.")] = False,
    datasets: Annotated[bool, typer.Option("--datasets", help="Datasets only: is their data here?")] = False,
    metrics: Annotated[bool, typer.Option("--metrics", help="Metrics only: are their weights here?")] = False,
    budgets: Annotated[bool, typer.Option("--budgets", help="Budgets only.")] = False,
    networks: Annotated[bool, typer.Option("--networks", help="The encoders and decoders that models share.")] = False,
    extras: Annotated[bool, typer.Option("--extras", help="Optional packages only: which are installed?")] = False,
    data_root: DataRoot = Path("data"),
    weights: Annotated[
        Path | None,
        path_option("--weights-root", envvar="MMBENCH_WEIGHTS", help="Folder of pretrained weights for metrics."),
    ] = None,
    runs: Runs = Path("runs"),
) -> None:
    """List models, datasets, metrics and budgets: what each is, who brought it, whether its data or weights are here.

    Files are looked for and not read: 'mmbench data verify' and 'mmbench doctor' read them.

    \b
    mmbench list
    mmbench list --datasets --data-root data
    mmbench list --metrics --weights-root weights
    """
    from ..health.presence import facts

    every = not (models or datasets or metrics or budgets or networks or extras)
    asked = {plugins.MODELS: models, plugins.DATASETS: datasets, plugins.METRICS: metrics}
    found = {group: plugins.available(group) for group, wanted in asked.items() if wanted or every}
    things = [f"{KINDS[group]}:{name}" for group, names in found.items() if group in KINDS for name in names]
    known = facts([*things, *["networks:"] * networks], data_root, weights, runs / "cache")
    for group, own in found.items():
        _plugins(TITLES[group], own, known if group in KINDS else repeat([]))
    if budgets or every:
        _section("budgets (--budget)", ((name, [words]) for name, words in BUDGETS.items()))
    if extras or every:
        _section("extras (pip install 'mmbench[NAME]')", _extras())
    if networks:
        lines = (line.partition(": ") for line in next(known))
        _section("networks (Modality.network)", ((name, [words]) for name, _, words in lines), 14)


def _plugins(title: str, found: Mapping[str, plugins.Plugin], known: Iterator[list[str]]) -> None:
    lines = ((p.name, [summary(p), *next(known), f"{p.value}, {p.source}"]) for p in found.values())
    _section(title, lines, max(map(len, found), default=0))


def _extras() -> Iterator[tuple[str, list[str]]]:
    from ..health.versions import extras

    for name, missing in extras().items():
        yield name, [f"lacks {', '.join(missing)}" if missing else "installed"]


def _section(title: str, things: Iterable[tuple[str, list[str]]], longest: int = 0) -> None:
    """A heading, and below it each thing by its name and its lines, as soon as it is known."""
    width = columns()
    tell(title)
    for name, lines in things:
        for line in _laid_out(name, [one_line(line) for line in lines if line], max(longest, 12), width):
            tell(line)


def _laid_out(name: str, lines: list[str], longest: int, width: int | None) -> Iterator[str]:
    """'  name  words' with further words below the first; nothing is cut, and no word broken."""
    below = width is not None and width < max(NARROW, longest + 50)
    indent, first = ("    ", "") if below else (" " * (longest + 4), f"  {name:<{longest}}  ")
    if below or not lines:
        yield f"  {name}"
    for line in lines:
        wrap = TextWrapper(width or sys.maxsize, initial_indent=first or indent, subsequent_indent=indent,
                           break_long_words=False, break_on_hyphens=False)  # fmt: skip
        yield from wrap.wrap(line)
        first = ""
