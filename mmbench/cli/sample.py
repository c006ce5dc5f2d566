"""mmbench sample: what a finished cell's model makes of what a user gives."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from ..progress import one_line
from ..untouched import staying
from .options import Budget, Chosen, Places, path_option, request, shared, words
from .terminal import Terminal, say, tell

__all__ = ["sample"]

PICTURED = 1000
"""Samples that are drawn at most: one picture shows them all. `mmbench evaluate --save-samples` keeps more on disk."""


@shared(Places)
def sample(
    *,
    out: Annotated[
        Path, path_option("--out", help="The picture to write: a PNG, or what its ending names (pdf, svg, jpg, ...).")
    ],
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="A model with a finished cell.")] = "mld",
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--given",
            metavar="MODALITY=VALUE",
            help="A text or an image file; may be given several times. What is transparent in an image lies on black "
            "where the modality has one channel, on white otherwise.",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="MODALITY",
            help="What to generate, where not all that is not given: a,b; may be given several times.",
        ),
    ] = None,
    count: Annotated[
        int,
        typer.Option(
            "--count",
            min=1,
            max=PICTURED,
            metavar="N",
            help="Samples; the picture shows them all. For more, see 'mmbench evaluate --save-samples'.",
        ),
    ] = 8,
    noise: Annotated[int, typer.Option("--noise-seed", min=0, metavar="K", help="Another seed, other samples.")] = 0,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, metavar="K", help="Of this training seed's cell.")
    ] = None,
    budget: Annotated[Budget | None, typer.Option("--budget", help="Of a cell of this budget.")] = None,
    settings: Chosen = None,
    places: Places,
) -> None:
    """Generate from a finished cell's model, given anything or nothing; draw a picture, print texts.

    \b
    mmbench sample --out joint.png
    mmbench sample --dataset glyphs --given name=seven --out sevens.png
    mmbench sample --dataset cub --given caption="a small yellow bird with black wings" --out birds.png
    mmbench sample --dataset mnist_svhn --given mnist=digit.png --count 20 --out svhn.png
    """
    from ..engine.engine import Engine
    from ..report.figures import given_grid, picture_format, save
    from ..store import check_file

    check_file(out)
    picture_format(out)
    _check_apart(out, given or ())
    _check_once(given or ())
    seeds, chosen = () if seed is None else (seed,), tuple(settings or ())
    asked = request(places, models=(model,), seeds=seeds, budget=budget, settings=chosen)
    with staying():
        sampled = Engine(asked, Terminal()).sample(tuple(given or ()), words(target), count, noise)
    title = f"{sampled.key.model} on {sampled.key.dataset}, seed {sampled.key.seed}, budget {sampled.key.budget}"
    say(f"wrote {save(given_grid(sampled.given, sampled.made, title), out)}")
    for name, values in sampled.made.items():
        if values.dtype.kind == "U":
            tell("\n".join(f"{name}: {one_line(text)}" for text in values.tolist()))


def _check_once(given: Sequence[str]) -> None:
    """Raise ConfigError where a modality is given twice: one of the two would not be heeded."""
    names = [setting.partition("=")[0] for setting in given]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise ConfigError(f"{twice} is given {names.count(twice)} times: give it once, a sample has one {twice}")


def _check_apart(out: Path, given: Sequence[str]) -> None:
    """Raise ConfigError where the picture would be written over an image that is given."""
    for setting in given:
        value = os.path.expanduser(setting.partition("=")[2])
        if os.path.isfile(value) and os.path.exists(out) and os.path.samefile(value, out):
            raise ConfigError(f"--out {out} is the file of --given {setting}: name another file for the picture")
