"""mmbench run and evaluate: compute cells, or measure more of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import ResultError
from .options import Budget, Measuring, Places, path_option, request, shared, words
from .terminal import Terminal, say

if TYPE_CHECKING:
    from ..cells.plan import CellPlan
    from ..engine.local import Engine, Outcome

__all__ = ["evaluate", "run"]


@shared(Places, Measuring)
def run(
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", help="Installed models (mld,mvae), 'all', or module:Class; may be given several times."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Number of seeds: 5 means seeds 0 to 4.")] = 1,
    seed: Annotated[
        list[int] | None,
        typer.Option("--seed", min=0, help="This seed, instead of --seeds; may be given several times."),
    ] = None,
    budget: Annotated[
        Budget | None,
        typer.Option(
            "--budget",
            help="smoke: seconds a cell; laptop: minutes; paper: the published schedule (wants a GPU). "
            "The paper's own datasets default to paper, the others to laptop.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Change a setting: width=256, score.steps=2000, mld.p_joint=0.7 (one model of several), "
            "eval.count=2000 (the protocol), eval.split=validation (to choose settings by). --dry-run shows them all.",
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Compute complete cells anew, from their trained stages where these are kept."),
    ] = False,
    on_collapse: Annotated[
        Literal["keep", "refuse"],
        typer.Option("--on-collapse", help="A collapsed model is measured and marked, or recorded as a failure."),
    ] = "keep",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the cells and their settings, compute none.")
    ] = False,
    out: Annotated[Path | None, path_option("--out", hidden=True, help="Another word for --results.")] = None,
    measuring: Measuring,
    places: Places,
) -> None:
    """Train, generate and evaluate: one cell for each model and seed.

    Cells that are complete are skipped; an interrupted run goes on where it stopped when it is started again. Cells
    that other code made are named and kept; --stale rerun computes them anew.

    \b
    mmbench run                                             MLD on the embedded glyphs
    mmbench run --model mld --model mvae --seeds 5
    mmbench run --model all --dataset mnist_fashion --data-root data
    """
    from ..engine.local import Engine

    places = replace(places, results=out or places.results)
    engine = Engine(
        request(
            places,
            measuring,
            models=words(model) or ("mld",),
            seeds=seed or range(seeds),
            budget=budget,
            settings=tuple(settings or ()),
            again=again,
            on_collapse=on_collapse,
        ),
        Terminal(),
    )
    if dry_run:
        _show_plan(engine, places.results)
    else:
        _finish(engine.run, places.results)


@shared(Places, Measuring)
def evaluate(
    *,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Cells of this model only; may be given several times.")
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option("--seed", min=0, help="Cells of this seed only; may be given several times.")
    ] = None,
    budget: Annotated[Budget | None, typer.Option("--budget", help="Cells of this budget only.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what was measured before.")] = False,
    measuring: Measuring,
    places: Places,
) -> None:
    """Measure more of finished cells, from their trained models or kept samples; nothing is trained.

    A cell that lacks nothing is left as it is, and one that other code made is refused.

    \b
    mmbench evaluate --dataset mnist_svhn --metrics fid
    mmbench evaluate --dataset cub --metrics clip_s --weights-root weights
    mmbench evaluate --dataset glyphs --save-samples 1000 --save-format png
    """
    from ..engine.local import Engine

    asked = request(places, measuring, models=words(model), seeds=seed or (), budget=budget, again=again)
    _finish(Engine(asked, Terminal()).evaluate, places.results)


def _finish(work: Callable[[], Outcome], results: Path) -> None:
    """Do the work of an engine, say what became of the cells, and end with the right exit code."""
    outcome = work()
    counts = {
        "computed": outcome.complete,
        "extended": outcome.extended,
        "complete already": outcome.skipped,
        "stale and kept": outcome.stale,
        "failed": outcome.failed,
        "left out": outcome.broken,
    }
    shown = [
        f"{len(c)} {word}" for word, c in counts.items() if c or word in ("computed", "complete already", "failed")
    ]
    say(f"{', '.join(shown)}. Next: mmbench report --results {results}")
    if outcome.failed or outcome.broken or outcome.left_out:
        raise typer.Exit(1)


def _show_plan(engine: Engine, results: Path) -> None:
    from ..config import to_json

    plans = engine.planner.plan()
    for plan in {plan.key.model: plan for plan in plans}.values():
        settings = {"config": to_json(plan.config), "eval": to_json(plan.protocol)}
        typer.echo(f"{plan.key.model} {json.dumps(settings, indent=2)}")
    for plan in plans:
        typer.echo(f"{plan.key.path(results)}  {_state(plan, results)}")
    if engine.planner.broken:
        raise typer.Exit(1)


def _state(plan: CellPlan, results: Path) -> str:
    """What `run` would find in the place of a cell."""
    from .. import store

    try:
        cell = store.existing(results, plan.key)
    except ResultError:
        return "damaged"
    return "to compute" if cell is None else "stale" if plan.stale(cell) else "complete"
