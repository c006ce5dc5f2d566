"""The networks of the judges: the paper's LeNet, PolyMNIST's own, and a second opinion.

References: Bounoua et al., Appendix C.2; architecture of their public code and of Shi et al., "Variational
mixture-of-experts autoencoders for multi-modal deep generative models", 2019; of PolyMNIST the code of Sutter,
Daunhawer and Vogt, "Generalized multimodal ELBO", 2021.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise

import torch
from torch import Tensor, nn

from mmbench.errors import ConfigError
from mmbench.modality import DatasetSpec

__all__ = ["FeatureNet", "LeNet", "StridedNet", "WideNet", "check_legible", "too_small"]


def too_small(dataset: DatasetSpec) -> str:
    """Which images of a dataset the judges cannot read, in a few words; '' where there are none."""
    small = [m.name for m in dataset.modalities if not m.is_text and not _legible(m.shape)]
    return f"the images {small[0]!r} are smaller than the 16 x 16 pixels that its judges need" if small else ""


def _legible(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and min(shape[1:]) >= 16


def check_legible(shape: tuple[int, ...]) -> None:
    """Raises ConfigError for images that are too small to be read."""
    if not _legible(shape):
        raise ConfigError(f"the judge needs images (C, H, W) of at least 16 x 16 pixels, got {shape}")


class FeatureNet(nn.Module, ABC):
    """A classifier whose features are compared, too."""

    dim: int
    """Number of features."""

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> activations (B, dim) >= 0."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> logits (B, classes)."""


class LeNet(FeatureNet):
    """The paper's classifier: two 5x5 convolutions and two linear layers.

    Conv 10 -> max-pool -> ReLU -> Conv 20 -> channel dropout 1/2 -> max-pool -> ReLU [features] -> Linear 50
    -> ReLU -> dropout 1/2 -> Linear `classes`. For ten classes it has 21,840 parameters on 1x28x28 and 31,340 on
    3x32x32.

    Arguments:
        shape: (C, H, W) of an image, H and W at least 16.
        classes: number of classes.
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        check_legible(shape)
        channels, *extents = shape
        height, width = (((n - 4) // 2 - 4) // 2 for n in extents)
        self.dim = 20 * height * width  # 320 for 28x28 images, 500 for 32x32
        self.body = nn.Sequential(
            nn.Conv2d(channels, 10, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(10, 20, 5),
            nn.Dropout2d(0.5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.head = nn.Sequential(nn.Linear(self.dim, 50), nn.ReLU(), nn.Dropout(0.5), nn.Linear(50, classes))
        self.to(memory_format=torch.channels_last)  # a third less time per step on a CPU

    def features(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> activations (B, dim) >= 0 after the second pool and ReLU."""
        return self.body(x.contiguous(memory_format=torch.channels_last))

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> logits (B, classes)."""
        return self.head(self.features(x))


class StridedNet(FeatureNet):
    """PolyMNIST's classifier: two strided convolutions and two linear layers.

    Conv 10 (4x4, stride 2) -> channel dropout 1/2 -> ReLU -> Conv 20 (the same) -> channel dropout 1/2 -> ReLU
    -> Linear 128 -> dropout 1/2 -> ReLU [features] -> Linear `classes`. For ten classes it has 130,568 parameters on
    3x28x28. Its features are the 128 numbers before the last layer: of the 980 before them a covariance would need more
    samples than a short evaluation has.

    Arguments:
        shape: (C, H, W) of an image, H and W at least 16.
        classes: number of classes.
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        check_legible(shape)
        channels, height, width = shape
        self.dim = 128
        self.body = nn.Sequential(
            nn.Conv2d(channels, 10, 4, 2, 1), nn.Dropout2d(0.5), nn.ReLU(),
            nn.Conv2d(10, 20, 4, 2, 1), nn.Dropout2d(0.5), nn.ReLU(),
            nn.Flatten(),
            nn.Linear(20 * (height // 4) * (width // 4), self.dim), nn.Dropout(0.5), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(self.dim, classes)
        self.to(memory_format=torch.channels_last)

    def features(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> activations (B, 128) >= 0 before the last layer."""
        return self.body(x.contiguous(memory_format=torch.channels_last))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class WideNet(nn.Module):
    """A second opinion, as unlike the LeNet as a small network can be: 3x3 convolutions with batch normalisation, no
    pooling but the last, no dropout, 64 to 256 channels.

    Arguments:
        shape: (C, H, W) of an image.
        classes: number of classes.
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        sizes = (shape[0], 64, 128, 256)
        blocks = [
            module
            for a, b in pairwise(sizes)
            for module in (nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
        ]
        self.body = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * sizes[-1], classes))
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> logits (B, classes)."""
        return self.body(x.contiguous(memory_format=torch.channels_last))
