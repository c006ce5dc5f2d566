"""mmbench check and data: whether a model keeps the contract, whether the files of a dataset are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import plugins
from ..errors import ConfigError, PluginError, near
from ..untouched import staying
from .options import AllowPartial, DataRoot
from .terminal import tell

if TYPE_CHECKING:
    from ..checks import CheckResult
    from ..data.dataset import DatasetSource

__all__ = ["check", "data_app"]

data_app = typer.Typer(help="Bring the files of a dataset, or check them.", no_args_is_help=True)


def check(
    name: Annotated[str, typer.Argument(metavar="NAME", hidden=True)] = "",
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="DATASET", help="Check this dataset; with a model's NAME, the model on it."),
    ] = None,
    data_root: DataRoot = Path("data"),
) -> None:
    """Does a model, a metric, a network or a dataset keep its contract? A line for each check; exit code 1 if one
    fails. Those that could say nothing after a failure are counted.

    NAME is an installed model, metric or network, or module:Class.

    \b
    mmbench check mvae                          a model, on toys
    mmbench check --dataset my_data:MyDataset   a dataset
    mmbench check mvae --dataset glyphs         a model on a dataset: built, trained for two steps, sampled
    """
    failed, waiting = 0, Counter[str]()
    for result in _results(name, dataset, data_root):
        if result.waits_for:
            waiting[result.waits_for] += 1
        else:
            tell(result.line())
        failed += not result.ok
    for cause, count in waiting.items():
        tell(f"{count} check{'s' * (count > 1)} not run because {cause!r} failed")
    if failed:
        tell(f"{failed} failed")
        raise typer.Exit(1)


def _results(name: str, dataset: str | None, root: Path) -> Iterable[CheckResult]:
    """What is to be checked. Raises ConfigError where nothing is named, or a metric or network on a dataset."""
    from ..checks import check_network, run_checks, run_dataset_checks, run_metric_checks, run_real_checks

    if not name and not dataset:
        raise ConfigError("there is nothing to check: name a model, a metric or a network, or --dataset NAME")
    if not name:
        return run_dataset_checks(str(dataset), root)
    group = _group(name)
    if not dataset:
        checks = {plugins.MODELS: run_checks, plugins.METRICS: run_metric_checks, plugins.NETWORKS: check_network}
        return checks[group](name)
    if group != plugins.MODELS:
        raise ConfigError(f"{name} is no model: leave out --dataset, metrics and networks are checked on toys")
    return run_real_checks(name, dataset, root)


def _group(name: str) -> str:
    """The group that a name belongs to. Raises PluginError for an unknown one."""
    from ..metric import Metric
    from ..networks import BUILT_IN, Architecture

    if ":" in name:
        found = plugins.load(plugins.METRICS, name)
        if isinstance(found, Architecture):
            return plugins.NETWORKS
        return plugins.METRICS if isinstance(found, type) and issubclass(found, Metric) else plugins.MODELS
    groups = (plugins.MODELS, plugins.METRICS, plugins.NETWORKS)
    known = {group: list(plugins.available(group)) for group in groups}
    known[plugins.NETWORKS] += BUILT_IN
    for group, names in known.items():
        if name in names:
            return group
    models, metrics, networks = known.values()
    raise PluginError(f"there is no model, metric or network {name!r}; {near(name, [*models, *metrics, *networks])}")


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
    from ..data.named import source_of

    with blaming(name), staying():
        yield source_of(name)
