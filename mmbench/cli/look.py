"""mmbench check and data: whether a model keeps the contract, whether the files of a dataset are there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import plugins
from ..untouched import staying
from .options import AllowPartial, DataRoot
from .terminal import tell

if TYPE_CHECKING:
    from ..data.dataset import DatasetSource

__all__ = ["check", "data_app"]

data_app = typer.Typer(help="Bring the files of a dataset, or check them.", no_args_is_help=True)


def check(
    model: Annotated[str, typer.Argument(metavar="MODEL", hidden=True)],
) -> None:
    """Does a model keep the contract? A line for each check; exit code 1 if one fails.

    MODEL is an installed model, or module:Class.
    """
    from ..checks import run_checks

    plugins.find(plugins.MODELS, model)
    failed = 0
    for result in run_checks(model):
        tell(result.line())
        failed += not result.ok
    if failed:
        tell(f"{failed} failed")
        raise typer.Exit(1)


@data_app.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="DATASET", hidden=True)],
    data_root: DataRoot = Path("data"),
) -> None:
    """Bring a dataset's files to the data root and verify them; 'mmbench list --datasets' names them."""
    with _source(name) as source:
        tell(source.fetch(data_root))


@data_app.command()
def verify(
    name: Annotated[str, typer.Argument(metavar="DATASET", hidden=True)],
    data_root: DataRoot = Path("data"),
    allow_partial: AllowPartial = False,
) -> None:
    """Check a dataset's files; 'mmbench list --datasets' names them."""
    with _source(name) as source:
        source.allow_partial = allow_partial
        tell(source.verify(data_root))


@contextmanager
def _source(name: str) -> Iterator[DatasetSource]:
    """A dataset's source; whatever it raises inside is one sentence."""
    from ..cells.blaming import blaming
    from ..data.dataset import DatasetSource

    source: type[DatasetSource] = plugins.load(plugins.DATASETS, name, DatasetSource)
    with blaming(name), staying():
        yield source()
