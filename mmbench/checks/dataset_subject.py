"""A dataset as its source gives it: loaded twice, the second time after other draws from the global random state."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..config import Protocol, Schedule
from ..data.dataset import Dataset, DatasetSource
from ..data.named import source_of
from ..errors import ConfigError, DataError
from ..metric import Bench
from ..modality import DatasetSpec
from ..progress import Progress
from ..seeding import generator
from ..store.artefacts import Artefacts
from .randomness import changed_states, random_states

__all__ = ["DatasetSubject", "First"]

FEW = 64
"""Tuples that judges and models are tried on."""


@dataclass
class First:
    """What the first load gave."""

    data: Dataset | None = None
    error: BaseException | None = None
    touched: list[str] = field(default_factory=list)
    """What it changed of the process: "torch's threads", ..."""


@dataclass
class DatasetSubject:
    """A dataset plugin.

    Arguments:
        dataset: its name, 'module:Class', a file that describes it, or its class.
        root: the data root.
    """

    dataset: str | type[DatasetSource]
    root: Path = Path("data")

    @property
    def typed(self) -> str:
        """The word after --dataset."""
        return self.dataset if isinstance(self.dataset, str) else f"{self.dataset.__module__}:{self.dataset.__name__}"

    @cached_property
    def cls(self) -> type[DatasetSource]:
        return type(self._source()) if isinstance(self.dataset, str) else self.dataset

    @cached_property
    def first(self) -> First:
        found = First()
        with _watched(found.touched):
            try:
                found.data = self._load()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a stranger's source may raise anything
                found.error = error
        return found

    @property
    def data(self) -> Dataset:
        assert self.first.data is not None
        return self.first.data

    @property
    def spec(self) -> DatasetSpec:
        return self.data.spec

    @property
    def broken(self) -> str:
        """The rule that its data break, as they are loaded; '' for another error, or none."""
        error = self.first.error
        return error.rule if isinstance(error, DataError) else "spec" if isinstance(error, ConfigError) else ""

    def again(self) -> str:
        """The fingerprint of a second load, from other random states."""
        with _watched([], seed=2):
            return self._load().fingerprint

    @cached_property
    def few(self) -> Dataset:
        """A part of it, quickly trained on; its items are all there."""
        train, test = self.data.train, self.data.test
        return replace(self.data, train=train.take(train.spread(FEW)), test=test.take(test.spread(FEW)), held_out=None)

    @contextmanager
    def bench(self) -> Iterator[Bench]:
        """What metrics are lent, with judges that are trained for two steps."""
        few = self.few
        with tempfile.TemporaryDirectory() as folder:
            yield Bench(
                dataset=few,
                protocol=Protocol(judge=Schedule(steps=2, batch_size=16, lr=1e-3), quality_count=len(few.test)),
                device=torch.device("cpu"),
                order=torch.randperm(len(few.test), generator=generator(0, "evaluation order")),
                cache=Path(folder) / "cache",
                artefacts=Artefacts(Path(folder) / "artefacts"),
                progress=Progress(),
            )

    def _source(self) -> DatasetSource:
        return source_of(self.dataset) if isinstance(self.dataset, str) else self.dataset()

    def _load(self) -> Any:
        """From a cache of its own: what is drawn is drawn again."""
        source = self._source()
        source.allow_partial = True
        with tempfile.TemporaryDirectory() as folder:
            return source.load(self.root, Path(folder))


@contextmanager
def _watched(touched: list[str], seed: int = 1) -> Iterator[None]:
    """Notes what is changed inside, from random states of a seed, and puts it back."""
    before = _process()
    _seed(seed)
    states = random_states()
    try:
        yield
    finally:
        touched += [f"the global random state of {name}" for name in changed_states(states)]
        touched += [name for name, value in _process().items() if value != before[name]]
        torch.set_num_threads(before["torch's threads"])
        torch.set_default_dtype(before["torch's default type"])
        torch.set_grad_enabled(before["torch's gradients"])
        os.chdir(before["the working directory"])


def _seed(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def _process() -> dict[str, Any]:
    return {
        "torch's threads": torch.get_num_threads(),
        "torch's default type": torch.get_default_dtype(),
        "torch's gradients": torch.is_grad_enabled(),
        "torch's determinism": torch.are_deterministic_algorithms_enabled(),
        "the working directory": os.getcwd(),
    }
