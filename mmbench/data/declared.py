"""A dataset as its source declares it: what `load` gives is a Dataset, under the name that was asked for."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import torch

from .. import plugins
from ..errors import DataError
from ..modality import DatasetSpec
from ..untouched import untouched
from .agreement import check_apart, check_pairing
from .dataset import Dataset, DatasetSource

__all__ = ["check_name", "check_texts", "given", "loaded"]


def loaded(source: DatasetSource, typed: str, root: Path, cache: Path) -> Dataset:
    """The dataset of a source.

    Arguments:
        typed: the word after --dataset: its entry point's name, or 'module:Class'.

    Raises DataError, with what to change, where `load` gives something else, or a dataset of another's name: results
    would lie where nobody looks for them; where its splits overlap, or its tuples' modalities disagree.
    """
    found = given(source, typed, root, cache)
    check_name(found.spec, typed)
    check_texts(found.spec)
    check_apart(found)
    check_pairing(found)
    return found


def given(source: DatasetSource, typed: str, root: Path, cache: Path) -> Dataset:
    """What `load` returns; the process stays as it was, and what is printed meanwhile goes to the standard error.
    Raises DataError where it is no dataset."""
    with untouched(), _settled(), redirect_stdout(sys.stderr):
        found = source.load(root, cache)
    if not isinstance(found, Dataset):
        kind = f"the class {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"
        raise DataError(f"{typed}: load must return an mmbench.data.dataset.Dataset, and returned {kind}")
    return found


@contextmanager
def _settled() -> Iterator[None]:
    """torch's threads and the working directory stay what they are."""
    threads, folder = torch.get_num_threads(), os.getcwd()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        os.chdir(folder)


def check_name(spec: DatasetSpec, typed: str) -> None:
    """Raises DataError where a spec's name is not what was typed, or is another's."""
    name = spec.name
    if ":" in typed or typed.endswith(".toml"):
        if name in plugins.available(plugins.DATASETS):
            raise DataError(f"{typed}: its spec is called {name!r}, as an installed dataset: give it another name")
    elif not re.fullmatch(rf"{re.escape(typed)}(_partial|_\d+(_partial)?)?", name):
        raise DataError(
            f"the dataset {typed!r} has a spec called {name!r}: give DatasetSpec(name={typed!r}), as its entry point"
        )


def check_texts(spec: DatasetSpec) -> None:
    """Raise DataError where the texts that say the classes cannot be read back."""
    for modality in spec.modalities:
        texts = modality.classes
        if len(set(texts)) < len(texts):
            raise DataError(f"{spec.name}: two classes have one text of {modality.name}: {', '.join(sorted(texts))}")
        if texts and len(texts) != spec.classes:
            raise DataError(f"{spec.name}: {modality.name} has texts for {len(texts)} of {spec.classes} classes")
