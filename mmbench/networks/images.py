"""Networks of 28x28 and 32x32 images, as used by the paper's code for MNIST and SVHN.

Sources: Shi et al., "Variational mixture-of-experts autoencoders", 2019 (architectures); Bounoua et al., Appendix C.2.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from ..modality import Modality

__all__ = ["MnistDecoder", "MnistEncoder", "SvhnDecoder", "SvhnEncoder", "channels_last"]

T = TypeVar("T", Tensor, nn.Module)


def channels_last(x: T) -> T:
    """A batch, or a module's weights, with the channels innermost in memory, as fast convolutions want them."""
    return x.to(memory_format=torch.channels_last)


class MnistEncoder(nn.Module):
    """784 -> 400 -> `heads` x latent, any image shape. With 28x28, latent 20 and 2 heads: 330,040 parameters."""

    def __init__(self, modality: Modality, latent: int, heads: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(modality.size, 400), nn.ReLU())
        self.heads = nn.ModuleList(nn.Linear(400, latent) for _ in range(heads))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        h = self.body(x)
        return tuple(head(h) for head in self.heads)


class MnistDecoder(nn.Module):
    """latent -> 400 -> 784, sigmoid. With 28x28 and latent 20: 322,784 parameters."""

    def __init__(self, modality: Modality, latent: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(latent, 400),
            nn.ReLU(),
            nn.Linear(400, modality.size),
            nn.Sigmoid(),
            nn.Unflatten(1, modality.shape),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z)


class SvhnEncoder(nn.Module):
    """Strided convolutions 32 -> 16 -> 8 -> 4 -> 1. With latent 20 and 2 heads: 247,560 parameters."""

    def __init__(self, modality: Modality, latent: int, heads: int) -> None:
        super().__init__()
        channels = modality.shape[0]
        self.body = nn.Sequential(
            nn.Conv2d(channels, 32, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(64, 128, 4, 2, 1), nn.ReLU(),
        )  # fmt: skip
        self.heads = nn.ModuleList(nn.Conv2d(128, latent, 4) for _ in range(heads))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        h = self.body(x)
        return tuple(head(h).flatten(1) for head in self.heads)


class SvhnDecoder(nn.Module):
    """Transposed convolutions 1 -> 4 -> 8 -> 16 -> 32, sigmoid. With latent 20: 206,563 parameters."""

    def __init__(self, modality: Modality, latent: int) -> None:
        super().__init__()
        channels = modality.shape[0]
        self.body = nn.Sequential(
            nn.Unflatten(1, (latent, 1, 1)),
            nn.ConvTranspose2d(latent, 128, 4), nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(32, channels, 4, 2, 1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z)
