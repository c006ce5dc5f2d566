"""mmbench run and evaluate: compute cells, or measure more of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .. import plugins
from ..errors import MmbenchError
from ..progress import pasted
from .options import Budget, Chosen, Measuring, Places, Workers, numbers, path_option, request, seconds, shared, words
from .terminal import Terminal, say, tell

if TYPE_CHECKING:
    from ..cells.request import Request
    from ..config import Precision
    from ..engine.engine import Engine
    from ..engine.outcome import Outcome

__all__ = ["evaluate", "run"]

PRECISIONS: Mapping[str, Precision] = {"auto": "auto", "fp32": "float32", "bf16": "bfloat16"}


@shared(Places, Measuring, Workers)
def run(
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAMES",
            help="Installed models (mld,mvae), 'all', or module:Class; may be given several times.",
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, metavar="N", help="Number of seeds: 5 means seeds 0 to 4.")
    ] = 1,
    seed: Annotated[
        list[str] | None,
        typer.Option("--seed", metavar="K", help="These seeds, instead of --seeds: 0,3; may be given several times."),
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
            "eval.count=2000 (the protocol), eval.split=validation (to choose settings by). --dry-run shows them all. "
            "Several values, beta=0.1,0.5,1, make cells of each; of several settings, of every combination.",
        ),
    ] = None,
    zipped: Annotated[
        bool,
        typer.Option("--zip", help="Of several settings the first values together, then the second ones, ..."),
    ] = False,
    network: Annotated[
        list[str] | None,
        typer.Option(
            "--network",
            metavar="MODALITY=NAME",
            help="Encoder and decoder of a modality, of all models alike: one of 'mmbench list --networks', or "
            "module:NAME. Such cells have tables of their own.",
        ),
    ] = None,
    latent: Annotated[
        list[str] | None,
        typer.Option(
            "--latent", metavar="MODALITY=N", help="Size of a modality's own latent (MLD, NEXUS), of all models alike."
        ),
    ] = None,
    missing: Annotated[
        float,
        typer.Option(
            "--missing",
            metavar="P",
            help="Train on incomplete tuples: each modality of a training tuple is dropped with probability P, by the "
            "seed, for all models alike; at least one stays. Models that need whole tuples say so.",
        ),
    ] = 0.0,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"] | None,
        typer.Option(
            "--precision",
            help="Of all models alike: fp32; bf16 (mixed); auto, bf16 where the device has it natively. The shorter "
            "budgets say auto where bf16 was compared (benchmarks/NOTES.md).",
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
        bool, typer.Option("--dry-run", help="Show the cells, their settings, and what they will take; compute none.")
    ] = False,
    out: Annotated[Path | None, path_option("--out", hidden=True, help="Another word for --results.")] = None,
    measuring: Measuring,
    places: Places,
    workers: Workers,
) -> None:
    """Train, generate and evaluate: one cell for each model and seed.

    Cells that are complete are skipped; an interrupted run goes on where it stopped when it is started again. Cells
    that other code made are named and kept; --stale rerun computes them anew.

    \b
    mmbench run                                             MLD on the embedded glyphs
    mmbench run --model mld --model mvae --seeds 5
    mmbench run --model all --dataset mnist_fashion,glyphs --data-root data
    mmbench run --model mvae --set beta=0.1,0.5,1 --seeds 3
    """
    named = {
        "models": words(model) or ("mld",),
        "seeds": numbers("--seed", seed) or range(seeds),
        "budget": budget,
        "precision": PRECISIONS[precision] if precision else None,
        "settings": tuple(settings or ()),
        "zip": zipped,
        "networks": words(network),
        "latents": words(latent),
        "missing": missing,
        "again": again,
        "on_collapse": on_collapse,
    }

    def compute(places: Places) -> bool:
        with _engine(request(places, measuring, **named), workers) as engine:
            return _show_plan(engine, places.results) if dry_run else _finished(engine.run(), places.results)

    _on_each_dataset(replace(places, results=out or places.results), compute)


@shared(Places, Measuring, Workers)
def evaluate(
    *,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAMES", help="Cells of these models only: mld,mvae; or several times."),
    ] = None,
    seed: Annotated[
        list[str] | None,
        typer.Option("--seed", metavar="K", help="Cells of these seeds only: 0,1; or several times."),
    ] = None,
    budget: Annotated[Budget | None, typer.Option("--budget", help="Cells of this budget only.")] = None,
    settings: Chosen = None,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what was measured before.")] = False,
    measuring: Measuring,
    places: Places,
    workers: Workers,
) -> None:
    """Measure more of finished cells, from their trained models or kept samples; nothing is trained.

    A cell that lacks nothing is left as it is, and one that other code made is refused.

    \b
    mmbench evaluate --dataset mnist_svhn --metrics fid
    mmbench evaluate --dataset cub --metrics clip_s --weights-root weights
    mmbench evaluate --dataset glyphs --save-samples 1000 --save-format png
    """
    chosen = {"models": words(model), "seeds": numbers("--seed", seed), "budget": budget, "again": again}

    def measure(places: Places) -> bool:
        asked = request(places, measuring, settings=tuple(settings or ()), **chosen)
        with _engine(asked, workers) as engine:
            return _finished(engine.evaluate(), places.results)

    _on_each_dataset(places, measure)


def _on_each_dataset(places: Places, do: Callable[[Places], bool]) -> None:
    """One dataset after the other, whose names are looked at first; what stops one is told, and does not stop the
    next. Ends with exit code 1 where all is not well."""
    names = words([places.dataset]) or (places.dataset,)
    for name in names if len(names) > 1 else ():
        if not name.endswith(".toml"):
            plugins.find(plugins.DATASETS, name)
    well = [_done(replace(places, dataset=name), do, alone=len(names) == 1) for name in names]
    if not all(well):
        raise typer.Exit(1)


def _done(places: Places, do: Callable[[Places], bool], *, alone: bool) -> bool:
    try:
        return do(places)
    except MmbenchError as error:
        if alone:
            raise
        say(f"mmbench: {places.dataset}: {error}")
        return False


@contextmanager
def _engine(asked: Request, workers: Workers) -> Iterator[Engine]:
    """The engine and its crew, who have saved what they could when this ends, however it ends."""
    from ..engine.crews import crew
    from ..engine.engine import Engine

    terminal, limit = Terminal(), seconds(workers.timeout) if workers.timeout else None
    who = crew(
        asked,
        terminal,
        on=workers.on,
        jobs=workers.jobs,
        threads=workers.threads,
        gpus=workers.gpus,
        timeout=limit,
    )
    try:
        yield Engine(asked, terminal, who)
    finally:
        who.stop()


def _finished(outcome: Outcome, results: Path) -> bool:
    """Say what became of the cells, and whether all is well."""
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
    say(f"{', '.join(shown)}. Next: mmbench report --results {pasted(results)}")
    return not (outcome.failed or outcome.broken or outcome.left_out)


def _show_plan(engine: Engine, results: Path) -> bool:
    """Print the settings and cells, and whether all could be planned."""
    cells = engine.plan()
    for cell in {cell.key.model: cell for cell in reversed(cells)}.values():
        tell(f"{cell.key.model} {json.dumps(json.loads(cell.settings), indent=2)}")
    for cell in cells:
        tell("  ".join([str(cell.key.path(results)), cell.state, *cell.varied]))
    if foreseen := engine.foresee(cells):
        say(foreseen)
    return not engine.broken
