"""Whether the files of datasets are there and the weights of metrics, and what else is worth knowing of them before a
run. Asked in a process of its own (`child`): `python -m mmbench.health.presence ROOT WEIGHTS CACHE KIND:NAME...`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from .. import plugins
from ..errors import MmbenchError, deed
from ..progress import pasted
from .child import TOO_LONG, answer, asked
from .described import first_sentence

__all__ = ["LIMIT", "facts"]

LIMIT = 60.0
"""Seconds for one thing; the first takes those of all imports."""


def facts(things: Sequence[str], root: Path, weights: Path | None, cache: Path) -> Iterator[list[str]]:
    """Of each thing what is worth knowing, a few lines.

    Arguments:
        things: 'dataset:NAME', 'metric:NAME', or 'networks:' for a line about each architecture.
        root: of the data.
        weights: the user's folder of weights.
        cache: where downloads are kept.
    """
    for _, found in asked(__name__, [str(root), str(weights or ""), str(cache)], things, LIMIT):
        yield found if isinstance(found, list) else [_silent(found)]


def _silent(code: int | None) -> str:
    if code is None:
        return "not known here: no process could be begun to look"
    why = f"it took more than {LIMIT:.0f} s" if code == TOO_LONG else f"its import ended Python with code {code}"
    return f"not known: {why}"


def _look(thing: str, root: Path, weights: Path | None, cache: Path) -> list[str]:
    kind, _, name = thing.partition(":")
    try:
        return {"dataset": _dataset, "metric": _metric, "networks": _networks}[kind](name, root, weights, cache)
    except MmbenchError as error:
        return [str(error)]
    except Exception as error:  # a stranger's plugin may raise anything
        return [f"it {deed(error)}; tell its author"]


def _dataset(name: str, root: Path, *_: object) -> list[str]:
    from ..data.dataset import DatasetSource

    source: type[DatasetSource] = plugins.load(plugins.DATASETS, name, DatasetSource)
    lack, verify = source().lacks(root), f"`mmbench data verify {name} --data-root {pasted(root)}`"
    state = {"": f"its files are there ({verify} reads them)", None: f"whether its files are there: {verify}"}
    drawn = "needs no files" if source.verify is DatasetSource.verify else ""
    return [f"--budget {source.default_budget} where none is named", drawn or state.get(lack, lack or "")]


def _metric(name: str, _: Path, weights: Path | None, cache: Path) -> list[str]:
    from ..metric import Metric

    metric: type[Metric] = plugins.load(plugins.METRICS, name, Metric)
    better = {True: "higher is better", False: "lower is better", None: "described, not judged"}
    unit = f", in {metric.unit}" if metric.unit else ""
    lack = metric.lacks(weights, cache)
    return [better[metric.higher_is_better] + unit, lack or "can be measured here"]


def _networks(*_: object) -> list[str]:
    from ..networks import BUILT_IN, Architecture, load
    from ..networks.fitting import reference

    def said(part: object) -> str:
        return first_sentence(part.__doc__ or "")

    def told(name: str) -> str:
        try:
            found: Architecture = load(name)
        except MmbenchError as error:
            return f"{name}: {error}"
        return f"{name}: {said(found.encoder)}; back: {said(found.decoder)}; {reference(name)}"

    return [told(name) for name in dict.fromkeys([*BUILT_IN, *plugins.available(plugins.NETWORKS)])]


if __name__ == "__main__":
    where = (Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2] else None, Path(sys.argv[3]))
    answer(sys.argv[4:], lambda thing: _look(thing, *where))
