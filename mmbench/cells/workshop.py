"""What the cells of one request share: the dataset, the benches, the device, the artefacts."""

from __future__ import annotations

import platform
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from .. import plugins
from ..config import Budget, Protocol, digest, to_json
from ..data.dataset import Dataset, DatasetSource
from ..data.declared import loaded
from ..data.named import source_of
from ..errors import ConfigError
from ..metric import Bench, Memory
from ..modality import Modality
from ..networks.fitting import refuse_misfits
from ..progress import Progress
from ..store import results
from ..store.artefacts import Artefacts
from .blaming import blaming
from .references import evaluation_order
from .request import OWN, Request, budget_named
from .terms import equipped, with_modalities

__all__ = ["Workshop", "deciding", "device_name"]


class Workshop:
    """Data and tools of a request, made at first use. Names are checked at once, before any data are loaded."""

    def __init__(self, request: Request, device: torch.device, progress: Progress) -> None:
        self.request, self.device, self.progress = request, device, progress
        for name in set(request.metrics) - {OWN}:
            plugins.find(plugins.METRICS, name)
        with blaming(request.dataset):
            self.source: DatasetSource = source_of(request.dataset)
        _check_views(request, self.source)
        self.source.views = request.views
        self.source.allow_partial, self.source.say = request.allow_partial, progress.say
        self.budget: Budget = request.budget or budget_named(self.source.default_budget)
        self.artefacts = Artefacts(request.runs / "artefacts")
        self._memories: dict[str, Memory] = {}
        self._given: dict[tuple[str, tuple[Modality, ...]], Dataset] = {}

    @property
    def cache(self) -> Path:
        """Downloads, and datasets as they are read quickly."""
        return self.request.runs / "cache"

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset, loaded at first use."""
        with self.progress.phase(f"load {self.request.dataset}", 1, "dataset") as advance:
            with blaming(self.request.dataset):
                dataset = loaded(self.source, self.request.dataset, self.request.data_root, self.cache)
            advance(1)
        return dataset

    @cached_property
    def selection(self) -> Dataset:
        """The dataset on which settings are chosen: trained without the validation tuples, measured on them."""
        return self.dataset.for_selection()

    def of_split(self, split: str) -> Dataset:
        """'test' or 'validation': the dataset whose test tuples are those."""
        return self.selection if split == "validation" else self.dataset

    def given(self, split: str, modalities: tuple[Modality, ...]) -> Dataset:
        """The same with these networks and latents, for models; what measures them has the dataset's own."""
        key = split, modalities
        if key not in self._given:
            self._given[key] = with_modalities(self.of_split(split), modalities)
        return self._given[key]

    @cached_property
    def modalities(self) -> tuple[Modality, ...]:
        """With the networks and latents that were asked for. Raises PluginError where a network does not fit."""
        found = equipped(self.dataset.spec, self.request.networks, self.request.latents)
        refuse_misfits(found)
        return found

    def bench(self, protocol: Protocol) -> Bench:
        """What the metrics of a cell are lent; the cells of one protocol share its memory."""
        dataset = self.of_split(protocol.split)
        return Bench(
            dataset=dataset,
            protocol=protocol,
            device=self.device,
            order=evaluation_order(dataset.test, protocol.seed),
            cache=self.cache,
            artefacts=self.artefacts,
            progress=self.progress,
            weights=self.request.weights,
            memory=self._memories.setdefault(digest(deciding(protocol)), Memory()),
        )


def _check_views(request: Request, source: DatasetSource) -> None:
    """Raise ConfigError where the dataset cannot be had with so many modalities."""
    counts = source.view_counts
    if request.views is None or request.views in counts:
        return
    has = f"has {counts[0]} to {counts[-1]} views" if counts else "always has the same modalities: leave --views out"
    raise ConfigError(f"--views {request.views}: {request.dataset} {has}")


def deciding(protocol: Protocol) -> dict[str, Any]:
    """The protocol's settings that decide a number."""
    return results.deciding(to_json(protocol))


def device_name(device: torch.device) -> str:
    """'cpu: x86_64, 2 threads'."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return f"{device.type}: {name}, {torch.get_num_threads()} threads"
