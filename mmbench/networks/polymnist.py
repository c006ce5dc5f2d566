"""Networks of PolyMNIST's 28x28 colour images, as used by MoPoE's code and the paper's.

Source: Sutter, Daunhawer and Vogt, "Generalized multimodal ELBO", ICLR 2021, and its public code.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..errors import ConfigError
from ..modality import Modality

__all__ = ["PolymnistDecoder", "PolymnistEncoder"]

SIDE, CODE = 28, 128 * 4 * 4


class PolymnistEncoder(nn.Module):
    """Strided convolutions 28 -> 14 -> 7 -> 4, a hidden layer as wide as the latent. With latent 512 and 2 heads:
    1,667,648 parameters."""

    def __init__(self, modality: Modality, latent: int, heads: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(_channels(modality), 32, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(64, 128, 3, 2, 1), nn.ReLU(),
            nn.Flatten(),
            nn.Linear(CODE, latent), nn.ReLU(),
        )  # fmt: skip
        self.heads = nn.ModuleList(nn.Linear(latent, latent) for _ in range(heads))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        h = self.body(x)
        return tuple(head(h) for head in self.heads)


class PolymnistDecoder(nn.Module):
    """Transposed convolutions 4 -> 7 -> 14 -> 28, no sigmoid. With latent 512: 1,143,747 parameters."""

    def __init__(self, modality: Modality, latent: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(latent, CODE), nn.ReLU(),
            nn.Unflatten(1, (128, 4, 4)),
            nn.ConvTranspose2d(128, 64, 3, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 3, 2, 1, 1), nn.ReLU(),
            nn.ConvTranspose2d(32, _channels(modality), 3, 2, 1, 1),
        )  # fmt: skip

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z)


def _channels(modality: Modality) -> int:
    if len(modality.shape) != 3 or modality.shape[1:] != (SIDE, SIDE):
        raise ConfigError(
            f"modality {modality.name!r}: the network 'polymnist_conv' is of images of {SIDE} x {SIDE} pixels, not of "
            f"shape {modality.shape}"
        )
    return modality.shape[0]
