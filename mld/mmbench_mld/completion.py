"""What is not given, drawn by the configuration's sampler with a score network."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from mmbench.precision import arithmetic
from mmbench.seeding import Noise

from .config import LatentDiffusionConfig
from .sampler import sample
from .schedule import VPSDE
from .solvers import walk

__all__ = ["completed"]


def completed(
    network: nn.Module,
    z: Tensor,
    mask: Tensor,
    times: Tensor,
    config: LatentDiffusionConfig,
    sde: VPSDE,
    noise: Noise,
    *,
    inpaint: bool,
) -> Tensor:
    """Latents (B, D): generated where `mask` is 1, bit-equal to `z` where it is 0.

    Arguments:
        network: o(r (B, D), tau (1, M)) -> (B, D), sigma(t) times the score; it is called in the configuration's
            `sampling_precision`, the state stays in float32.
        mask: (D,).
        times: tau / t, (1, M).
        inpaint: whether the network sees the given latents diffused (MLD-Inpaint).
    """
    dtype = arithmetic(config.sampling_precision, z.device)
    used = network if dtype == torch.float32 else deepcopy(network).to(dtype)

    def score(x: Tensor, t: Tensor) -> Tensor:
        return used(x.to(dtype), (t * times).to(dtype)).float() / sde.sigma(t)

    if config.sampler.kind == "path":
        return sample(score, z, mask, path=config.path, sde=sde, noise=noise, inpaint=inpaint)
    return walk(score, z, mask, sampler=config.sampler, sde=sde, noise=noise, inpaint=inpaint)
