"""One group of comparable cells as a section of the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path

from ...progress import Advance, Progress
from ...store import Cell
from ..claims import claims, claims_title, unjudged
from ..comparison import Group, Line
from ..figures.curves import training_curves, training_words
from ..figures.kept import load_samples
from ..figures.looks import Look, looks
from ..figures.plates import Kept
from ..figures.spread import seed_spread, spread_words
from ..figures.trade_off import trade_off, trade_off_words
from ..table import tables as report_tables
from ..warnings import warnings
from ..words import about, chosen, footnotes
from . import tables
from .parts import Folded, Part, Section, Verdict
from .pictures import grids, narrow, plot

__all__ = ["section", "steps"]

PARTS = 9
"""Of a section."""
CURVES = 24
"""Models whose training is drawn; a page of hundreds would be slow to make and to open."""


def section(
    group: Group, failed: Sequence[Cell], number: int, runs: Path, progress: Progress, advance: Advance
) -> Section:
    """Everything that there is to show of a group; `progress` is told which samples are missing, `advance` of each of
    the group's `steps`."""
    ident = f"group-{number}"
    found = looks(group)
    make: list[Callable[[], Part]] = [
        lambda: _numbers(group, ident),
        lambda: _trade_off(group, ident),
        lambda: _claims(group),
        lambda: _samples(group, ident, load_samples(group, runs, progress)),
        lambda: _seeds(group, ident),
        lambda: _training(group, ident, advance),
        lambda: _judged(group, ident),
        lambda: _costs(group, ident, list(found.values())),
        lambda: _settings(group, ident),
    ]
    parts = []
    for one in make:
        parts.append(one())
        advance(1)
    title = f"{group.heading}, budget {group.budget}{chosen(group)}"
    seeds = f"{len(group.seeds)} {_word('seed', len(group.seeds))} (number {', '.join(map(str, group.seeds))})"
    lead = f"{len(group.lines)} {_word('model', len(group.lines))}, {seeds}; "
    lead += f"{len(group.cells)} {_word('cell', len(group.cells))}, one for each model and seed. {about(group)[0]}"
    names = [group.title(line) for line in group.lines]
    shown = [part for part in parts if not part.empty]
    return Section(ident, title, lead, names, list(found.values()), warnings(group, failed), shown)


def steps(group: Group) -> int:
    """The parts of a group's section, each curve of its training for one."""
    return PARTS + min(CURVES, len(group.lines))


def _word(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _names(group: Group) -> str:
    return ", ".join(group.title(line) for line in group.lines)


def _numbers(group: Group, ident: str) -> Part:
    """The main table in its pieces, its notes, then further tables."""
    main = report_tables(group, main=True)[0]
    found = tables.main(group, ident, list(looks(group).values()))
    ends = accumulate(sum(head.numeric for head in table.heads) - 1 for table in found)
    first = sum(end <= len(main.columns) for end in ends)
    return Part("numbers", "Results", footnotes(group, main), found, max(first, 1))


def _trade_off(group: Group, ident: str) -> Part:
    alt = f"Coherence against quality of {_names(group)}; the tables have the numbers"
    drawn = plot(partial(trade_off, group), f"{ident}-trade-off-plot", alt, trade_off_words(group))
    return Part("trade-off", "Coherence against quality", plots=[drawn] if drawn else [])


def _claims(group: Group) -> Part:
    found = claims(group)
    judged = [Verdict.of(claim) for claim in found if not claim.lacking]
    return Part("claims", claims_title(group) if found else "", unjudged(group, found), claims=judged)


def _samples(group: Group, ident: str, kept: Mapping[Line, Kept]) -> Part:
    """Joint generation and what is made of one modality; the rest is folded."""
    found = grids(group, ident, kept)
    rest = [grid for task, grid in found if not _plain(task)]
    folded = [Folded("Reconstructions, and several modalities given", grids=rest)] if rest else []
    shown = [grid for task, grid in found if _plain(task)]
    return Part("samples", "Samples", grids=shown, folded=folded)


def _plain(task: str) -> bool:
    given, _, target = task.partition("->")
    return "+" not in given and given != target


def _seeds(group: Group, ident: str) -> Part:
    if len(group.seeds) < 2:
        return Part("seeds", "Seeds")  # the tables have these numbers
    alt = f"Every seed's numbers of {_names(group)}; the table below has them"
    drawn = plot(partial(seed_spread, group), f"{ident}-seeds-plot", alt, spread_words(group))
    folded = [Folded("Each seed's numbers", tables=tables.seeds(group, ident, list(looks(group).values())))]
    return Part("seeds", "Seeds", plots=[drawn] if drawn else [], folded=folded)


def _training(group: Group, ident: str, advance: Advance) -> Part:
    folded = []
    for k, line in enumerate(group.lines[:CURVES]):
        alt = f"Training of {group.title(line)}: losses over the optimiser's steps"
        words = training_words(group, line)
        if drawn := narrow(partial(training_curves, group, line), f"{ident}-training-{k}", alt, words):
            folded.append(Folded(group.title(line), plots=[drawn], line=k))
        advance(1)
    more = len(group.lines) - CURVES
    words = [f"Those of {more} more models: `mmbench report --figures FOLDER` draws them."] if more > 0 else []
    return Part("training", "Training curves", words, folded=folded)


def _judged(group: Group, ident: str) -> Part:
    data, own = tables.references(group, ident), tables.reconstructions(group, ident, list(looks(group).values()))
    folded = [Folded("Real data and shuffled tuples", tables=[data])] if data else []
    folded += [Folded("Reconstructions: each modality from itself", tables=own)] if own else []
    return Part("judges", "Judges and reference points", tables=[tables.judges(group, ident)], folded=folded)


def _costs(group: Group, ident: str, look: Sequence[Look]) -> Part:
    stages = Folded("Training of each stage", tables=[tables.stages(group, ident, look)])
    return Part("costs", "Cost", tables=[tables.costs(group, ident, look)], folded=[stages])


def _settings(group: Group, ident: str) -> Part:
    folded = [
        Folded("Settings of the models", tables=[tables.settings(group, ident)]),
        Folded("Environment", tables=[replace(tables.environment(group, ident), copied=False)]),
    ]
    return Part("settings", "Settings and environment", about(group), folded=folded)
