"""Euler-Maruyama along a time path (Algorithm 2), with the given modalities frozen."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mmbench.seeding import Noise

from .schedule import VPSDE, TimePath

__all__ = ["sample"]

Score = Callable[[Tensor, Tensor], Tensor]
"""(r (B, D), t scalar) -> the score of the diffused part (B, D); what stands on the given part is ignored."""


def sample(score: Score, z: Tensor, mask: Tensor, *, path: TimePath, sde: VPSDE, noise: Noise) -> Tensor:
    """Latents (B, D): generated where `mask` is 1, bit-equal to `z` where it is 0.

    Arguments:
        score: the (conditional) score of Equation 10.
        z: latents (B, D) that hold the given modalities; what stands on the rest is ignored.
        mask: m(A1), (D,).
        path: the times to visit. A move down is a step of the reverse SDE (Equation 8), noise-free when it ends the
            grid (from index 1); a move up is a step of the forward SDE (Equation 5), as in RePaint.
        noise: one stream per sample.
    """
    dim = z.shape[1]
    keep = mask.bool()
    x = torch.where(keep, noise.normal(dim), z)
    dt = 1.0 / path.steps
    indices = path.indices()
    for a, b in zip(indices, indices[1:], strict=False):
        t = torch.tensor(a / path.steps, device=z.device)
        beta = float(sde.beta(torch.tensor(a / path.steps, dtype=torch.float64)))
        scale = math.sqrt(beta * dt)
        if b > a:
            moved = x - (0.5 * beta * dt) * x + scale * noise.normal(dim)
        else:
            moved = x + dt * (0.5 * beta * x + beta * score(x, t))
            if a > 1:
                moved = moved + scale * noise.normal(dim)
        x = torch.where(keep, moved, z)
    return x
