"""mmbench report: tables and figures of finished cells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import ResultError, near
from .options import Results, Runs, path_option
from .terminal import Terminal, refuse, say

__all__ = ["report"]


def report(
    results: Results = Path("results"),
    dataset: Annotated[str | None, typer.Option("--dataset", help="This dataset only.")] = None,
    format: Annotated[Literal["md", "csv", "tex"], typer.Option("--format", help="Form of the tables.")] = "md",
    out: Annotated[Path | None, path_option("--out", help="Write to this file, not to the terminal.")] = None,
    figures: Annotated[Path | None, path_option("--figures", help="Write the plots into this folder.")] = None,
    runs: Runs = Path("runs"),
) -> None:
    """Print the tables, with the paper's numbers beside ours where dataset and model are the paper's.

    Files that are no cells are named and left out; the exit code is 1 where there are any.
    """
    from .. import store
    from ..report import render

    _check(results, out, figures)
    found = store.gather(results, dataset)
    if dataset and not (found.cells or found.failures or found.bad):
        names = {cell["dataset"]["name"] for cell in store.cells(results)}
        raise ResultError(f"{results} holds no cells of {dataset!r}; {near(dataset, names)}")
    text = render(found.cells, found.failures, format, [bad.reason for bad in found.bad])
    if out is None:
        print(text, end="", flush=True)  # whose words were tamed for its format
    else:
        store.write_text(out, text)
        say(f"wrote {out}")
    if figures is not None:
        from ..report.figures import write_figures

        for path in write_figures(found.cells, runs, figures, Terminal()):
            say(f"wrote {path}")
    if found.bad:
        refuse(found.bad)


def _check(results: Path, out: Path | None, figures: Path | None) -> None:
    """The places that were named, before anything is read or drawn."""
    from .. import store

    if not (exists := store.there(results)) or not results.is_dir():
        what = "is a file" if exists else "does not exist"
        raise ResultError(f"{results} {what}: name the folder of the results, or make it with `mmbench run`")
    if out is not None:
        store.check_file(out)
    if figures is not None:
        store.check_folder(figures)
