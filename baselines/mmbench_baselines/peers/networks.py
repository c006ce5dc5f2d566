"""The suite's encoders and decoders as multivae takes them, and the joint encoder of its models that have one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from multivae.models.base import BaseDecoder, BaseEncoder, ModelOutput  # pyright: ignore[reportMissingImports]
from multivae.models.nn import BaseJointEncoder  # pyright: ignore[reportMissingImports]
from torch import Tensor, nn

from mmbench.modality import DatasetSpec, Modality
from mmbench.networks import Networks, in_parts

from ..vae import full_precision

__all__ = ["Decoder", "Encoder", "Features", "Head", "JointEncoder"]

HIDDEN = 512
"""Width of multivae's default joint encoder."""


class Encoder(BaseEncoder):
    """x -> mean and log-variance of the shared latent (B, latent), and of the modality's own one (B, private)."""

    def __init__(self, networks: Networks, modality: Modality, latent: int, private: int = 0) -> None:
        super().__init__()
        self.modality, self.latent_dim, self.style_dim = modality, latent, private
        self.body = networks.encoder(modality, latent + private, heads=2)

    def forward(self, x: Tensor) -> Any:
        mu, logvar = (full_precision(head) for head in in_parts(self.body, self.modality, x))
        cut = self.latent_dim
        if not self.style_dim:
            return ModelOutput(embedding=mu, log_covariance=logvar)
        return ModelOutput(
            embedding=mu[:, :cut],
            log_covariance=logvar[:, :cut],
            style_embedding=mu[:, cut:],
            style_log_covariance=logvar[:, cut:],
        )


class Features(BaseEncoder):
    """x -> one vector of features (B, width)."""

    def __init__(self, networks: Networks, modality: Modality, width: int) -> None:
        super().__init__()
        self.modality, self.latent_dim = modality, width
        self.body = networks.encoder(modality, width, heads=1)

    def forward(self, x: Tensor) -> Any:
        return ModelOutput(embedding=full_precision(in_parts(self.body, self.modality, x)[0]))


class Decoder(BaseDecoder):
    """z (..., latent) -> what the suite's decoder gives, (..., *shape)."""

    def __init__(self, networks: Networks, modality: Modality, latent: int) -> None:
        super().__init__()
        self.modality, self.latent_dim = modality, latent
        self.body = networks.decoder(modality, latent)

    def forward(self, z: Tensor) -> Any:
        x = full_precision(in_parts(self.body, self.modality, z.reshape(-1, z.shape[-1])))
        return ModelOutput(reconstruction=x.reshape(*z.shape[:-1], *x.shape[1:]))


class Head(BaseEncoder):
    """x (B, width), or `norm` of it -> mean and log-variance of a latent (B, latent)."""

    def __init__(self, width: int, latent: int, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.latent_dim, self.norm = latent, norm or nn.Identity()
        self.mean, self.logvar = nn.Linear(width, latent), nn.Linear(width, latent)

    def forward(self, x: Tensor) -> Any:
        h = self.norm(x)
        return ModelOutput(embedding=full_precision(self.mean(h)), log_covariance=full_precision(self.logvar(h)))


class JointEncoder(BaseJointEncoder):
    """All modalities -> q(z | X): an encoder of each, and two hidden layers of 512 over what they say together."""

    def __init__(self, networks: Networks, dataset: DatasetSpec, latent: int) -> None:
        super().__init__()
        self.latent_dim = latent
        self.parts = nn.ModuleDict({m.name: Features(networks, m, latent) for m in dataset.modalities})
        self.hidden = nn.Sequential(
            *(nn.Linear(latent * len(self.parts), HIDDEN), nn.ReLU()), *(nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
        )
        self.head = Head(HIDDEN, latent)

    def forward(self, x: Mapping[str, Tensor]) -> Any:
        features = [part(x[name])["embedding"] for name, part in self.parts.items()]
        return self.head(self.hidden(torch.cat(features, dim=1)))
