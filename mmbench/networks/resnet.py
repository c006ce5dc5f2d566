"""The residual networks of CUB's 64x64 images.

Source: Daunhawer et al., "On the limitations of multimodal VAEs", ICLR 2022 (architecture, as the paper's code has it);
Bounoua et al., Appendix C.2.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from ..errors import ConfigError
from ..modality import Modality
from .images import channels_last

__all__ = ["ResBlock", "ResnetDecoder", "ResnetEncoder", "halved"]


class ResBlock(nn.Module):
    """y = shortcut(x) + 0.1 conv(lrelu(conv(lrelu(x)))): (B, a, H, W) -> (B, b, H, W), with min(a, b) hidden channels.

    Convolutions are 3x3, lrelu has slope 0.2; the shortcut is the identity, or a 1x1 convolution where a and b differ.
    """

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        hidden = min(a, b)
        self.first = nn.Conv2d(a, hidden, 3, padding=1)
        self.second = nn.Conv2d(hidden, b, 3, padding=1)
        self.shortcut = nn.Identity() if a == b else nn.Conv2d(a, b, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.second(leaky_relu(self.first(leaky_relu(x, 0.2)), 0.2))
        return self.shortcut(x) + 0.1 * h


class ResnetEncoder(nn.Module):
    """H x W -> H/4 x W/4 with 256 channels -> `heads` x latent. 3x64x64, latent 64, 2 heads: 9,058,880 parameters.

    The deterministic autoencoder of MLD uses one head (4,864,512 parameters); the paper's code registers both.
    """

    def __init__(self, modality: Modality, latent: int, heads: int) -> None:
        super().__init__()
        channels, height, width = _grid(modality)
        self.body = nn.Sequential(
            nn.Conv2d(channels, 64, 3, padding=1),
            ResBlock(64, 64), halved(),
            ResBlock(64, 128), halved(),
            ResBlock(128, 256), nn.Flatten(), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.heads = nn.ModuleList(nn.Linear(256 * height * width, latent) for _ in range(heads))
        channels_last(self)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        h = self.body(channels_last(x))
        return tuple(head(h) for head in self.heads)


class ResnetDecoder(nn.Module):
    """latent -> 256 x H/4 x W/4 -> H x W, without a last activation. 3x64x64, latent 64: 4,929,731 parameters."""

    def __init__(self, modality: Modality, latent: int) -> None:
        super().__init__()
        channels, height, width = _grid(modality)
        self.lift = nn.Sequential(nn.Linear(latent, 256 * height * width), nn.Unflatten(1, (256, height, width)))
        self.body = nn.Sequential(
            ResBlock(256, 128), nn.Upsample(scale_factor=2),
            ResBlock(128, 64), nn.Upsample(scale_factor=2),
            ResBlock(64, 64), nn.LeakyReLU(0.2),
            nn.Conv2d(64, channels, 3, padding=1),
        )  # fmt: skip
        channels_last(self)

    def forward(self, z: Tensor) -> Tensor:
        return self.body(channels_last(self.lift(z)))


def halved() -> nn.Sequential:
    """Mean of 3x3 windows at stride 2, with a margin of one zero: (B, a, H, W) -> (B, a, H/2, W/2) for even sides.

    The margin is a layer of its own: with `AvgPool2d`'s padding, torch before its change 188345 (July 2026) gives the
    gradients of channels-last tensors on a GPU one pixel aside, and the encoder learned from those.
    """
    return nn.Sequential(nn.ZeroPad2d(1), nn.AvgPool2d(3, 2))


def _grid(modality: Modality) -> tuple[int, int, int]:
    """Channels, and the quarter of both sides."""
    if len(modality.shape) != 3 or modality.shape[1] % 4 or modality.shape[2] % 4:
        raise ConfigError(
            f"modality {modality.name!r}: cub_resnet takes images whose sides are multiples of 4, got {modality.shape}"
        )
    channels, height, width = modality.shape
    return channels, height // 4, width // 4
