"""Euler-Maruyama along a time path (Algorithm 2), with the given modalities frozen."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from mmbench.seeding import Noise

from .draws import normals
from .schedule import VPSDE, TimePath

__all__ = ["diffused_given", "sample"]

Score = Callable[[Tensor, Tensor], Tensor]
"""(r (B, D), t scalar) -> the score of the diffused part (B, D); what stands on the given part is ignored. The time
lies on the CPU, whatever the device: so it is an argument of the kernels, and nothing is copied."""


def diffused_given(score: Score, z: Tensor, keep: Tensor, sde: VPSDE, normal: Callable[[], Tensor]) -> Score:
    """In-painting: a score that sees the given part as m(t) z + sigma(t) xi at the time of the call, xi always fresh.

    Arguments:
        keep: bool (D,), True on the part that is generated.
        normal: fresh standard normal noise (B, D).
    """

    def seen(x: Tensor, t: Tensor) -> Tensor:
        return score(torch.where(keep, x, sde.mean(t) * z + sde.sigma(t) * normal()), t)

    return seen


def sample(
    score: Score, z: Tensor, mask: Tensor, *, path: TimePath, sde: VPSDE, noise: Noise, inpaint: bool = False
) -> Tensor:
    """Latents (B, D): generated where `mask` is 1, bit-equal to `z` where it is 0.

    Arguments:
        score: the (conditional) score of Equation 10.
        z: latents (B, D) that hold the given modalities; what stands on the rest is ignored.
        mask: m(A1), (D,).
        path: the times to visit. A move down is a step of the reverse SDE (Equation 8), noise-free when it ends the
            grid (from index 1); a move up is a step of the forward SDE (Equation 5), as in RePaint.
        noise: one stream per sample.
        inpaint: the score is that of everything diffused to one time, and sees the given part so (`diffused_given`).
    """
    keep, dt = mask.bool(), 1.0 / path.steps
    indices = path.indices()
    moves = list(pairwise(indices))
    total = 1 + sum(b > a or a > 1 for a, b in moves) + inpaint * sum(b < a for a, b in moves)
    draws = normals(noise, z.shape[1], total, z.device)
    if inpaint:
        score = diffused_given(score, z, keep, sde, lambda: next(draws))
    clock = [torch.tensor(n / path.steps) for n in range(path.steps + 1)]
    betas = [sde.beta(n / path.steps) for n in range(path.steps + 1)]
    x = torch.where(keep, next(draws), z)
    for a, b in moves:
        beta, scale = betas[a], math.sqrt(betas[a] * dt)
        if b > a:
            moved = x - (0.5 * beta * dt) * x + scale * next(draws)
        else:
            moved = x + dt * (0.5 * beta * x + beta * score(x, clock[a]))
            if a > 1:
                moved = moved + scale * next(draws)
        x = torch.where(keep, moved, z)
    return x
