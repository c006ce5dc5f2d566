"""Networks that the evaluation trains once per dataset, keeps as artefacts and then only reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

from mmbench.metric import Bench
from mmbench.seeding import seeded_init
from mmbench.store.provenance import harness
from mmbench.tensors import Made, once
from mmbench.training import Checkpoints

__all__ = ["kept"]

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
    artefact = bench.artefacts.of(
        kind, {"data": bench.dataset.fingerprint, **identity, "training": harness()["training"]}
    )
    checkpoints = Checkpoints(artefact.folder, bench.progress.say)

    def make() -> Made:
        network, facts = train(checkpoints)
        return dict(network.state_dict()), dict(facts)

    tensors, facts = once(artefact, make, f"{title} on {bench.dataset.spec.title}", bench.progress, checkpoints.clear)
    with seeded_init(0):  # the first weights must not be drawn from the global state
        network = build()
    network.load_state_dict(tensors)
    return network.eval(), facts
