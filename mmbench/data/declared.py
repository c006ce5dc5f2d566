"""A dataset as its source declares it: what `load` gives is a Dataset, under the name that was asked for."""

from __future__ import annotations

import re
from pathlib import Path

from .. import plugins
from ..errors import DataError
from .dataset import Dataset, DatasetSource

__all__ = ["loaded"]


def loaded(source: DatasetSource, typed: str, root: Path, cache: Path) -> Dataset:
    """The dataset of a source.

    Arguments:
        typed: the word after --dataset: its entry point's name, or 'module:Class'.

    Raises DataError, with what to change, where `load` gives something else, or a dataset of another's name: results
    would lie where nobody looks for them.
    """
    found = source.load(root, cache)
    if not isinstance(found, Dataset):
        kind = type(found).__name__
        raise DataError(f"{typed}: load must return an mmbench.data.dataset.Dataset, and returned a {kind}")
    name = found.spec.name
    if ":" in typed:
        if name in plugins.available(plugins.DATASETS):
            raise DataError(f"{typed}: its spec is called {name!r}, as an installed dataset: give it another name")
    elif not re.fullmatch(rf"{re.escape(typed)}(_partial|_\d+(_partial)?)?", name):
        raise DataError(
            f"the dataset {typed!r} has a spec called {name!r}: give DatasetSpec(name={typed!r}), as its entry point"
        )
    return found
