"""mmbench check and data: whether a model keeps the contract, whether the files of a dataset are there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import plugins
from ..errors import PluginError, near
from ..untouched import staying
from .options import AllowPartial, DataRoot
from .terminal import tell

if TYPE_CHECKING:
    from ..data.dataset import DatasetSource

__all__ = ["check", "data_app"]

data_app = typer.Typer(help="Bring the files of a dataset, or check them.", no_args_is_help=True)


def check(
    name: Annotated[str, typer.Argument(metavar="NAME", hidden=True)],
) -> None:
    """Does a model or a metric keep its contract? A line for each check; exit code 1 if one fails.

    NAME is an installed model or metric, or module:Class.
    """
    from ..checks import run_checks, run_metric_checks

    failed = 0
    for result in (run_metric_checks if _is_metric(name) else run_checks)(name):
        tell(result.line())
        failed += not result.ok
    if failed:
        tell(f"{failed} failed")
        raise typer.Exit(1)


def _is_metric(name: str) -> bool:
    """Whether a name is a metric's; else it is a model's. Raises PluginError for an unknown one."""
    from ..metric import Metric

    models, metrics = (plugins.available(group) for group in (plugins.MODELS, plugins.METRICS))
    if ":" in name:
        found = plugins.load(plugins.METRICS, name)
        return isinstance(found, type) and issubclass(found, Metric)
    if name not in models and name not in metrics:
        raise PluginError(f"there is no model or metric {name!r}; {near(name, [*models, *metrics])}")
    return name not in models


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
