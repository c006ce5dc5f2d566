"""mmbench report: tables and figures of finished cells."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import ConfigError, ResultError
from .options import Results, Runs, numbers, path_option, shared, words
from .terminal import Terminal, refuse, say

if TYPE_CHECKING:
    from ..report import Options
    from ..report.selection import Selection
    from ..store import Found

__all__ = ["report"]

Words = list[str] | None
SEVERAL = "a,b; may be given several times."


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a report is about, and how much of it."""

    dataset: Annotated[Words, typer.Option("--dataset", metavar="NAMES", help=f"These datasets only: {SEVERAL}")] = None
    model: Annotated[Words, typer.Option("--model", metavar="NAMES", help="These models only.")] = None
    metric: Annotated[Words, typer.Option("--metric", metavar="NAMES", help="These metrics only: coherence,fid.")] = (
        None
    )
    task: Annotated[Words, typer.Option("--task", metavar="NAMES", help="These tasks only: joint, 'mnist->svhn'.")] = (
        None
    )
    budget: Annotated[Words, typer.Option("--budget", metavar="NAMES", help="These budgets only.")] = None
    seed: Annotated[Words, typer.Option("--seed", metavar="NUMBERS", help="These seeds only: 0,1,2.")] = None
    recipes: Annotated[
        bool, typer.Option("--recipes", help="Cells of the recipes' own settings only, none that --set changed.")
    ] = False
    compare: Annotated[
        Path | None, path_option("--compare", help="Another folder of results, whose numbers stand beside these.")
    ] = None
    main: Annotated[bool, typer.Option("--main", help="The main tables only.")] = False
    all: Annotated[bool, typer.Option("--all", help="Every task of three modalities or more, not means alone.")] = False
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="SETTING",
            help="Numbers by the value of a setting, with the seeds' intervals, and the Pareto front of coherence and "
            "quality: beta, score.steps. Not as csv-wide; --figures draws them.",
        ),
    ] = None
    intervals: Annotated[
        Literal["t", "bootstrap"] | None,
        typer.Option("--intervals", help="95 % intervals of means over seeds as well: t is the better for few seeds."),
    ] = None

    def selection(self) -> Selection:
        from ..report.selection import Selection

        names = {name: words(getattr(self, name)) for name in ("dataset", "model", "metric", "task", "budget")}
        return Selection(**names, seed=numbers("--seed", self.seed), recipes=self.recipes)


@shared(Shown)
def report(
    results: Results = Path("results"),
    format: Annotated[
        Literal["md", "csv", "csv-wide", "tex", "json", "html"],
        typer.Option(
            "--format",
            help="Form of the tables; csv: a line for each seed, csv-wide: for each number; html: one page with "
            "tables, figures and samples.",
        ),
    ] = "md",
    out: Annotated[Path | None, path_option("--out", help="Write to this file, not to the terminal.")] = None,
    figures: Annotated[
        Path | None, path_option("--figures", help="Write the plots into this folder, as PNG, SVG and PDF.")
    ] = None,
    width: Annotated[
        Literal["column", "page"], typer.Option("--width", help="Of the plots, as a paper prints them.")
    ] = "page",
    runs: Runs = Path("runs"),
    *,
    shown: Shown,
) -> None:
    """Print the tables, with the paper's numbers beside ours where dataset and model are the paper's.

    Files that are no cells are named and left out; the exit code is 1 where there are any.
    """
    from .. import store
    from ..report import render

    _check(results, out, figures, shown.compare)
    found = _read(results, shown.selection(), histories=figures is not None or format == "html")
    _refuse_empty(found, shown)
    options, other = _options(shown, results)
    bad = [*found.bad, *other.bad]
    if shown.against is not None:
        text = _against(found, shown, format)
    elif format == "html":
        from ..report.html import page

        text = page(found, runs, Terminal())
    else:
        text = render(found.cells, found.failures, format, [file.reason for file in bad], options, Terminal())
    if out is None:
        print(text, end="", flush=True)  # whose words were tamed for its format
    else:
        store.write_text(out, text)
        say(f"wrote {out}")
    if figures is not None:
        from ..report.figures import write_figures

        for path in write_figures(found.cells, runs, figures, Terminal(), width=width, setting=shown.against or ""):
            say(f"wrote {path}")
    if bad:
        refuse(bad)


def _refuse_empty(found: Found, shown: Shown) -> None:
    """Raises ConfigError where main tables alone are asked for, of numbers that stand in none."""
    from ..report.comparison import groups
    from ..report.layout import main_columns

    if shown.main and shown.metric and found.cells and not any(main_columns(group) for group in groups(found.cells)):
        raise ConfigError(f"{', '.join(shown.metric)}: in no main table; leave out --main")


def _read(results: Path, selection: Selection, histories: bool) -> Found:
    """The chosen cells of a folder; only figures need their histories."""
    from .. import store

    alone = selection.dataset[0] if len(selection.dataset) == 1 else None
    with _spared():
        found = store.gather(results, alone, histories=histories)
        if alone and not (found.cells or found.failures or found.bad):
            found = store.gather(results, histories=histories)  # to say which datasets there are
    return selection.of(found, results) if found.cells or found.failures else found


def _against(found: Found, shown: Shown, format: str) -> str:
    """The report against a setting. Raises ConfigError for a form that it has not."""
    from ..report.comparison import groups
    from ..report.sweep import FORMS, Form, sweep

    if shown.compare is not None:
        raise ConfigError("--against shows one folder: leave out --compare")
    pages, setting = groups(found.cells), str(shown.against)
    if format == "html":
        from ..report.html.against import against_page

        return against_page(pages, setting)
    form: Form | None = next((form for form in FORMS if form == format), None)
    if form is None:
        raise ConfigError(f"--against is printed as {', '.join(FORMS)} or html, not as {format}: choose one of these")
    return sweep(pages, setting, form)


@contextmanager
def _spared() -> Iterator[None]:
    """What is made inside are many small objects, none of them in a circle: no look for garbage is taken meanwhile, nor
    at them later, when figures, which are in circles, have to go in time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _options(shown: Shown, results: Path) -> tuple[Options, Found]:
    """What is printed, and the other folder's cells; the other folder need not have what ours has."""
    from .. import store
    from ..report import Options
    from ..report.comparison import groups

    options = Options(main=shown.main, all=shown.all, intervals=shown.intervals)
    if shown.compare is None:
        return options, store.Found()
    other = store.gather(shown.compare, histories=False)
    if not other.cells and not other.bad:
        raise ResultError(f"{shown.compare} holds no finished cells: name another folder of results")
    seeds = shown.selection().seed
    name = shown.compare.name if shown.compare.name not in ("", results.name) else str(shown.compare)
    cells = [cell for cell in other.cells if not seeds or cell["seed"] in seeds]
    return replace(options, others=groups(cells), name=name), other


def _check(results: Path, out: Path | None, figures: Path | None, compare: Path | None) -> None:
    """The places that were named, before anything is read or drawn."""
    from .. import store

    for folder in filter(None, (results, compare)):
        if not (exists := store.there(folder)) or not folder.is_dir():
            what = "is a file" if exists else "does not exist"
            raise ResultError(f"{folder} {what}: name the folder of the results, or make it with `mmbench run`")
    if out is not None:
        store.check_file(out)
    if figures is not None:
        store.check_folder(figures)
