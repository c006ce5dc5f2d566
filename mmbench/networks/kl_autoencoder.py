"""The large image autoencoder of MLD*: the first stage of latent diffusion, made deterministic.

Source: Rombach et al., "High-resolution image synthesis with latent diffusion models", CVPR 2022 (architecture, factor
8); Bounoua et al., Appendix C.3, with the sizes of the paper's code: width 64 and levels of 2, 2, 4 and 8 times as many
channels, two residual blocks a level (three in the decoder), one attention block in the middle, one channel of latents.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention, silu

from ..errors import ConfigError
from ..modality import Modality

__all__ = ["KLDecoder", "KLEncoder", "kl_latent"]

WIDTH = 64
"""The published width, ch: channels of the encoder's first convolution."""


class Residual(nn.Module):
    """Two times GroupNorm -> swish -> 3x3 convolution, and a skip: (B, a, H, W) -> (B, b, H, W)."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(a), nn.Conv2d(a, b, 3, padding=1)
        self.norm2, self.conv2 = norm(b), nn.Conv2d(b, b, 3, padding=1)
        self.skip = nn.Identity() if a == b else nn.Conv2d(a, b, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(silu(self.norm1(x)))
        return self.conv2(silu(self.norm2(h))) + self.skip(x)


class Attention(nn.Module):
    """x + projection of single-head self-attention over the H W positions: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=2)
        h = scaled_dot_product_attention(q, k, v)
        return x + self.out(h.transpose(1, 2).reshape(x.shape))


class Downsample(nn.Module):
    """Half the sides, by a strided 3x3 convolution that is padded below and on the right only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(pad(x, (0, 1, 0, 1)))


class KLEncoder(nn.Module):
    """(B, C, H, W) -> `heads` x (B, H W / 64); from 3 channels with one head: 23,004,421 parameters.

    The head is the published one, a convolution to two channels and a 1x1 convolution from those to one; each further
    head is one more 1x1 convolution. The paper's code counts 2 parameters more, as many as a 1x1 convolution from one
    channel to one: latent diffusion has one after its bottleneck, where it only rescales the latent.
    """

    def __init__(self, modality: Modality, latent: int, heads: int, width: int = WIDTH) -> None:
        super().__init__()
        _check(modality, latent)
        layers: list[nn.Module] = [nn.Conv2d(modality.shape[0], width, 3, padding=1)]
        before = width
        for level, size in enumerate(levels(width)):
            layers += [Downsample(before)] if level else []
            layers += [Residual(before, size), Residual(size, size)]
            before = size
        self.body = nn.Sequential(*layers, *middle(before), norm(before), nn.SiLU(), nn.Conv2d(before, 2, 3, padding=1))
        self.heads = nn.ModuleList(nn.Conv2d(2, 1, 1) for _ in range(heads))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        h = self.body(x)
        return tuple(head(h).flatten(1) for head in self.heads)


class KLDecoder(nn.Module):
    """(B, H W / 64) -> (B, C, H, W), without a last activation. 3 channels: 33,986,179 parameters."""

    def __init__(self, modality: Modality, latent: int, width: int = WIDTH) -> None:
        super().__init__()
        _check(modality, latent)
        channels, high, wide = modality.shape
        self.unflatten = nn.Unflatten(1, (1, high // 8, wide // 8))
        before = levels(width)[-1]
        layers: list[nn.Module] = [nn.Conv2d(1, before, 3, padding=1), *middle(before)]
        for level, size in enumerate(reversed(levels(width))):
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(before, before, 3, padding=1)] if level else []
            layers += [Residual(before, size), Residual(size, size), Residual(size, size)]
            before = size
        self.body = nn.Sequential(*layers, norm(before), nn.SiLU(), nn.Conv2d(before, channels, 3, padding=1))

    def forward(self, z: Tensor) -> Tensor:
        return self.body(self.unflatten(z))


def kl_latent(modality: Modality) -> int:
    """Size of the latent, H W / 64. Raises ConfigError unless it is an image whose sides are multiples of 8."""
    if len(modality.shape) != 3 or modality.shape[1] % 8 or modality.shape[2] % 8:
        raise ConfigError(
            f"modality {modality.name!r}: kl_autoencoder takes images whose sides are multiples of 8, "
            f"got {modality.shape}"
        )
    return modality.shape[1] * modality.shape[2] // 64


def levels(width: int) -> tuple[int, ...]:
    """Channels of the levels, from the full resolution down to an eighth of it."""
    return 2 * width, 2 * width, 4 * width, 8 * width


def norm(channels: int) -> nn.GroupNorm:
    """32 groups; fewer where a small width cannot be cut into so many."""
    return nn.GroupNorm(math.gcd(32, channels), channels, eps=1e-6)


def middle(width: int) -> tuple[nn.Module, ...]:
    return Residual(width, width), Attention(width), Residual(width, width)


def _check(modality: Modality, latent: int) -> None:
    if latent != kl_latent(modality):
        raise ConfigError(
            f"modality {modality.name!r}: kl_autoencoder has {kl_latent(modality)} latents for images of "
            f"{modality.shape}, not {latent}"
        )
