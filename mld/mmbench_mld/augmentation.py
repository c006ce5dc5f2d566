"""Augmentation of the images that an autoencoder is trained on (Appendix C.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmbench.seeding import seeded_globally

__all__ = ["trivial_augment"]


def trivial_augment(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images (B, C, H, W) in [0, 1], C = 1 or 3, each changed by one random operation of random strength.

    Müller and Hutter, "TrivialAugment: tuning-free yet state-of-the-art data augmentation", ICCV 2021, the wide space;
    torchvision's own, which works on 8-bit images. It draws from the global random state, so that is seeded, from one
    draw of `generator`, and put back after.
    """
    from torchvision.transforms.v2 import TrivialAugmentWide  # a second to import, and needed for captions only

    transform = TrivialAugmentWide()
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    images = (x * 255).round().to(torch.uint8)
    with seeded_globally(seed, x.device):
        return torch.stack([transform(image) for image in images]).to(x.dtype) / 255
