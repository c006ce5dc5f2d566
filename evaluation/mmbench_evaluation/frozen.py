"""Networks that the evaluation trains once per dataset, keeps as artefacts and then only reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from mmbench.metric import Bench, Kept
from mmbench.seeding import seeded_init
from mmbench.store.artefacts import Artefact
from mmbench.store.provenance import harness
from mmbench.tensors import Made, once
from mmbench.training import Checkpoints, stored_size

__all__ = ["kept", "to_keep"]

N = TypeVar("N", bound=nn.Module)
Train = Callable[[Checkpoints], tuple[nn.Module, Mapping[str, float]]]
"""(where checkpoints are kept) -> the trained network and facts about it, for instance {"accuracy": 0.98}."""


def kept(
    bench: Bench, kind: str, identity: Mapping[str, Any], build: Callable[[], N], train: Train, title: str
) -> tuple[N, dict[str, float]]:
    """A network and facts about it: the artefact of this kind and identity, which is trained where it is not there.

    Arguments:
        identity: all that decides it beside the data and the harness's training: settings, seed, code.
        build: makes the network; its first weights are replaced.
        title: what is trained, in print: 'judge of mnist'.
    """
    artefact = _artefact(bench, kind, identity)
    checkpoints = Checkpoints(artefact.folder, bench.progress.say)

    def make() -> Made:
        network, facts = train(checkpoints)
        return dict(network.state_dict()), dict(facts)

    tensors, facts = once(artefact, make, f"{title} on {bench.dataset.spec.title}", bench.progress, checkpoints.clear)
    with seeded_init(0):  # the first weights must not be drawn from the global state
        network = build()
    network.load_state_dict(tensors)
    return network.eval(), facts


def to_keep(bench: Bench, kind: str, identity: Mapping[str, Any], build: Callable[[], nn.Module]) -> dict[str, Kept]:
    """How much the artefact of a network, and its training, will take on disk; nothing where it is there."""
    artefact = _artefact(bench, kind, identity)
    if artefact.tensors.is_file():
        return {}
    with seeded_init(0), torch.device("meta"):
        state = build().state_dict()
    return {artefact.name: stored_size(state.values())}


def _artefact(bench: Bench, kind: str, identity: Mapping[str, Any]) -> Artefact:
    identity = {"data": bench.dataset.fingerprint, **identity, "training": harness()["training"]}
    return bench.artefacts.of(kind, identity)
