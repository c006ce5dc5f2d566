"""A judge for colour images that the paper's LeNet reads badly: a small residual network that sees shifted images.

References: residual blocks of He et al., "Deep residual learning for image recognition", 2016, with batch
normalisation; shifts as an augmentation of LeCun et al., "Gradient-based learning applied to document recognition",
1998. It was tried on validation tuples (`benchmarks/judges.py`), its width chosen by what a step takes.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .judge_networks import FeatureNet, check_legible

__all__ = ["ResidualNet", "Shift"]

CHANNELS = (16, 32, 64)
PIXELS = 2
"""By which an image is shifted at most, in height and in width."""


class Shift(nn.Module):
    """While it trains, each image of a batch (B, C, H, W) is shifted on its own by up to `PIXELS` in both directions;
    its edge is repeated. Draws from torch's global generator, as dropout does."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        height, width = x.shape[2:]
        wide = F.pad(x, (PIXELS,) * 4, mode="replicate")
        windows = wide.unfold(2, height, 1).unfold(3, width, 1)  # (B, C, 2 PIXELS + 1, 2 PIXELS + 1, H, W)
        down, right = torch.randint(2 * PIXELS + 1, (2, len(x)), device="cpu").to(x.device)
        return windows[torch.arange(len(x), device=x.device), :, down, right]


class Block(nn.Module):
    """Two 3x3 convolutions with batch normalisation, added to their input; to a 1x1 convolution of it where sizes
    differ."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        same = inputs == outputs and stride == 1
        self.way = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.way(x) + self.body(x))


class ResidualNet(FeatureNet):
    """Shift -> Conv 16 (3x3, stride 2) -> residual blocks of 16, 32 and 64 channels, the second and third halve height
    and width -> mean over all places [features] -> dropout 1/4 -> Linear `classes`.

    For ten classes it has 77,850 parameters on three channels. A step takes two to three times a LeNet's, and it learns
    in fewer.

    Arguments:
        shape: (C, H, W) of an image, H and W at least 16.
        classes: number of classes.
    """

    share: ClassVar[float] = 1 / 3
    """Of the steps that a judge is trained for."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        check_legible(shape)
        self.dim = CHANNELS[-1]
        first, second, third = CHANNELS
        self.body = nn.Sequential(
            Shift(),
            nn.Conv2d(shape[0], first, 3, 2, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU(),
            Block(first, first, 1), Block(first, second, 2), Block(second, third, 2),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(0.25), nn.Linear(self.dim, classes))
        self.to(memory_format=torch.channels_last)

    def features(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> activations (B, 64) >= 0, means over all places."""
        return self.body(x.contiguous(memory_format=torch.channels_last))

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> logits (B, classes)."""
        return self.head(self.features(x))
