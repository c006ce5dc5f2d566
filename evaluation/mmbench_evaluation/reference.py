"""One fixed autoencoder per image modality, the same for all models: a measure of scale for the FMD.

FMD has the scale of its judge, so only ratios survive a change of the judge. `fmd_ratio` is the FMD of the samples
divided by the FMD of this autoencoder's reconstructions of the real test images: 1 is as good as they are. It has the
suite's networks and the deterministic autoencoder's loss, batch and learning rate (Bounoua et al., Appendix C.1), and
as many steps as the judges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mmbench.config import Schedule, to_json
from mmbench.likelihoods import COLLAPSED, decoded, nll, reconstruction_skill
from mmbench.metric import Bench, Kept
from mmbench.modality import Modality
from mmbench.networks import Networks
from mmbench.store.provenance import code_of_class
from mmbench.tensors import checksum
from mmbench.training import Checkpoints, fit

from .frozen import kept, to_keep
from .precision import full_precision

__all__ = ["Autoencoder", "ReferenceAutoencoder", "reference_autoencoder", "reference_keeps", "train_autoencoder"]

KIND = "reference autoencoder"
BATCH = 1000
CHECKED = 2000
"""Test tuples on which the skill is measured."""


class Autoencoder(nn.Module):
    """The suite's encoder with one head, and its decoder: images (B, C, H, W) -> what the likelihood needs."""

    def __init__(self, modality: Modality) -> None:
        super().__init__()
        networks = Networks()
        self.encoder = networks.encoder(modality, modality.latent, heads=1)
        self.decoder = networks.decoder(modality, modality.latent)

    def forward(self, x: Tensor) -> Tensor:
        (z,) = self.encoder(x)
        return self.decoder(z)


@dataclass(frozen=True)
class ReferenceAutoencoder:
    """The trained autoencoder of one modality."""

    network: Autoencoder
    modality: Modality
    skill: float
    """`reconstruction_skill` on real test images: 1 is perfect."""
    identity: str
    """Checksum of its weights."""

    @property
    def collapsed(self) -> bool:
        return not self.skill >= COLLAPSED

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> reconstructions in [0, 1], on the CPU."""
        device = next(self.network.parameters()).device
        with full_precision(device):
            return torch.cat([decoded(self.modality, self.network(part.to(device))).cpu() for part in x.split(BATCH)])


def reference_autoencoder(bench: Bench, modality: str) -> ReferenceAutoencoder:
    """The reference autoencoder of an image modality: remembered in `bench.memory`, else kept, else trained."""

    whole = bench.whole

    def make() -> ReferenceAutoencoder:
        return _appoint(whole, whole.dataset.spec.modality(modality))

    return whole.memory.recall(ReferenceAutoencoder, modality, make)


def train_autoencoder(bench: Bench, modality: Modality, checkpoints: Checkpoints | None = None) -> Autoencoder:
    """Trained on the training tuples with the reconstruction term alone, -log p(x|z)."""
    split = bench.dataset.train.to(bench.device)

    def loss(network: Autoencoder, rows: Tensor) -> Tensor:
        x = split.gather(rows, (modality.name,))[modality.name]
        return nll(modality, network(x), x).mean()

    return fit(
        partial(Autoencoder, modality),
        loss,
        count=len(split),
        schedule=_schedule(bench),
        seed=bench.protocol.seed,
        purpose="reference",
        modality=modality.name,
        device=bench.device,
        progress=bench.progress,
        checkpoints=checkpoints,
    )


def _schedule(bench: Bench) -> Schedule:
    """The judges' steps, with the paper's batch of 128 and a learning rate of at most the paper's 1e-3.

    With the judges' brief 3e-3, the L1 loss of digits on black fell to the black image, and stayed there.
    """
    judges = bench.protocol.judge
    return replace(
        judges,
        steps=judges.total_steps(len(bench.dataset.train)),
        epochs=None,
        batch_size=min(128, judges.batch_size),
        lr=min(1e-3, judges.lr),
    )


def reference_keeps(bench: Bench, modality: Modality) -> dict[str, Kept]:
    """What the reference autoencoder of a modality will take on disk; see `Metric.keeps`."""
    return to_keep(bench, KIND, _identity(bench, modality), partial(Autoencoder, modality))


def _identity(bench: Bench, modality: Modality) -> dict[str, Any]:
    return {
        "schedule": to_json(_schedule(bench)),
        "seed": bench.protocol.seed,
        "modality": to_json(modality),
        "code": code_of_class(Autoencoder),
    }


def _appoint(bench: Bench, modality: Modality) -> ReferenceAutoencoder:
    identity = _identity(bench, modality)

    def train(checkpoints: Checkpoints) -> tuple[Autoencoder, dict[str, float]]:
        network = train_autoencoder(bench, modality, checkpoints)
        x = bench.dataset.test.gather(bench.order[:CHECKED], (modality.name,))[modality.name].cpu()
        made = ReferenceAutoencoder(network, modality, 0.0, "").reconstruct(x)
        return network, {"skill": reconstruction_skill(modality, x, made)}

    build, title = partial(Autoencoder, modality), f"reference autoencoder of {modality.name}"
    network, facts = kept(bench, KIND, identity, build, train, title)
    network = network.to(bench.device).requires_grad_(False)
    found = ReferenceAutoencoder(network, modality, facts["skill"], checksum(network.state_dict()))
    if found.collapsed:
        bench.progress.say(
            f"the reference autoencoder of {modality.name} has collapsed (skill {found.skill:.2f}): "
            "fmd_ratio is left out"
        )
    return found
