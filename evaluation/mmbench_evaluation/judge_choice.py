"""Which network judges an image: the protocol's choice, the modality's, the dataset's, else what fits its size.

The paper judges all images with a LeNet, PolyMNIST's code with a network of its own, and these stay where a dataset
names them. Where it names none, colour images of 28 to 32 pixels are judged by the residual network, which reads drawn
colours better (`benchmarks/judges.py`), and the paper's judge keeps rows of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from torch import nn

from mmbench import plugins
from mmbench.config import Protocol, Schedule
from mmbench.errors import ConfigError, MmbenchError, near
from mmbench.modality import DatasetSpec, Modality

from .judge_networks import LeNet, StridedNet, WideNet
from .judge_residual import ResidualNet

__all__ = ["BUILT_IN", "Chosen", "Network", "briefer", "find", "first", "second", "unknown"]

Network = Callable[[tuple[int, ...], int], nn.Module]
"""(shape of an image, classes) -> a network that maps images to logits."""
BUILT_IN: Mapping[str, Network] = {"lenet": LeNet, "strided": StridedNet, "residual": ResidualNet, "wide": WideNet}
PAPER = "lenet"
SIDES = range(28, 33)
"""Pixels of the colour images that the residual network judges where no judge is named."""


class Chosen(NamedTuple):
    """A judge's network."""

    purpose: str
    """'judge' or 'second judge': it chooses first weights and the order of the tuples."""
    kind: str
    """Its name, or 'module:Class'."""
    build: Network


def first(spec: DatasetSpec, protocol: Protocol, modality: Modality) -> Chosen:
    """The first judge of a modality. Raises as `find` does."""
    kind = protocol.first_judge or modality.judge or spec.judge or _fitting(modality)
    return Chosen("judge", kind, find(kind))


def second(spec: DatasetSpec, protocol: Protocol, modality: Modality) -> Chosen | None:
    """The second judge: the protocol's; else the paper's own, where an image has another first judge; else None."""
    if protocol.second_judge is not None:
        return Chosen("second judge", protocol.second_judge, find(protocol.second_judge))
    paper = spec.judge or PAPER
    images = [m for m in spec.modalities if not m.is_text]
    if all(first(spec, protocol, image).kind == paper for image in images):
        return None
    return Chosen("judge", paper, find(paper))


def unknown(spec: DatasetSpec) -> str:
    """Why a judge that a dataset names cannot be had, in a few words; '' where all can."""
    for kind in dict.fromkeys([spec.judge, *(m.judge for m in spec.modalities)]):
        try:
            find(kind or PAPER)
        except MmbenchError as error:
            return str(error)
    return ""


def find(kind: str) -> Network:
    """A network by its name or 'module:Class'. Raises ConfigError for an unknown name, PluginError for a class that
    cannot be loaded."""
    if kind in BUILT_IN:
        return BUILT_IN[kind]
    if ":" not in kind:
        raise ConfigError(f"there is no judge {kind!r}; {near(kind, BUILT_IN)}; or name the module:Class of a network")
    return plugins.load(plugins.NETWORKS, kind)


def briefer(schedule: Schedule, build: Network) -> Schedule:
    """The schedule of a network that takes a share of the steps (`share`), which are dearer."""
    share = getattr(build, "share", 1.0)
    if share == 1.0:
        return schedule
    steps = None if schedule.steps is None else math.ceil(share * schedule.steps)
    epochs = None if schedule.epochs is None else share * schedule.epochs
    return replace(schedule, steps=steps, epochs=epochs, warmup=math.ceil(share * schedule.warmup))


def _fitting(modality: Modality) -> str:
    colour = len(modality.shape) == 3 and modality.shape[0] == 3
    return "residual" if colour and set(modality.shape[1:]) <= set(SIDES) else PAPER
