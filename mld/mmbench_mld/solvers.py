r"""Solvers in log-SNR time, along the moves of a `Sampler`, with the given modalities frozen.

With x the latents, s < t the time that a step goes to, h = lambda(s) - lambda(t), and the denoiser's answer

    D(x, t) = (x + sigma(t)^2 score(x, t)) / m(t)

a step of first order is, with eta = 0 along the probability-flow ODE and eta = 1 along the reverse SDE,

    x_s = sigma(s) / sigma(t) exp(-eta h) x_t + m(s) (1 - exp(-(1 + eta) h)) D + sigma(s) sqrt(1 - exp(-2 eta h)) xi

and the multistep of second order puts D + (D - D_before) h / (2 h_before) in the place of D. References: see `moves`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from mmbench.seeding import Noise

from .draws import normals
from .moves import Kind, Move, Sampler
from .sampler import Score, diffused_given
from .schedule import VPSDE

__all__ = ["walk"]


@dataclass(frozen=True, slots=True)
class State:
    """The latents, and what a multistep solver remembers of the step that led to them."""

    x: Tensor
    answer: Tensor | None = None
    """D of the step before; None where the walk down begins, or a corrector has moved the latents."""
    length: float = 0.0
    """h of the step before."""


Step = Callable[["Walker", State, Move], State]


@dataclass(frozen=True, slots=True)
class Walker:
    """What every move needs."""

    score: Score
    sde: VPSDE
    frozen: Callable[[Tensor], Tensor]
    """Latents (B, D) with those that are given in their place."""
    normal: Callable[[], Tensor]
    """Fresh standard normal noise (B, D)."""

    def denoised(self, x: Tensor, t: float) -> Tensor:
        """D(x, t)."""
        mean, sigma = self.sde.kernel(t)
        return (x + sigma**2 * self.score(x, torch.tensor(t))) / mean

    def up(self, state: State, move: Move) -> State:
        """q(r_t | r_s) for t > s: mean m(t) / m(s) r_s, variance 1 - m(t)^2 / m(s)^2."""
        ratio = self.sde.log_mean(move.end) - self.sde.log_mean(move.start)
        return State(math.exp(ratio) * state.x + math.sqrt(-math.expm1(2.0 * ratio)) * self.normal())

    def langevin(self, state: State, move: Move) -> State:
        """r + size sigma^2 score + sigma sqrt(2 size) xi."""
        _, sigma = self.sde.kernel(move.start)
        drift = self.score(state.x, torch.tensor(move.start))
        return State(state.x + move.size * sigma**2 * drift + sigma * math.sqrt(2.0 * move.size) * self.normal())

    def length(self, move: Move) -> float:
        """h."""
        return self.sde.log_snr(move.end) - self.sde.log_snr(move.start)

    def exponential(self, x: Tensor, answer: Tensor, move: Move, eta: int) -> Tensor:
        """The step of the module's formula for an answer D; the answer itself where it goes to 0."""
        if move.end == 0.0:
            return answer
        h = self.length(move)
        (_, before), (mean, sigma) = self.sde.kernel(move.start), self.sde.kernel(move.end)
        x = sigma / before * math.exp(-eta * h) * x - mean * math.expm1(-(1 + eta) * h) * answer
        return x + sigma * math.sqrt(-math.expm1(-2 * h)) * self.normal() if eta else x


def single(walker: Walker, state: State, move: Move, *, eta: int) -> State:
    """First order."""
    return State(walker.exponential(state.x, walker.denoised(state.x, move.start), move, eta))


def multistep(walker: Walker, state: State, move: Move, *, eta: int) -> State:
    """DPM-Solver++(2M); first order where there is no step before, and in the last step."""
    answer = used = walker.denoised(state.x, move.start)
    if move.end == 0.0:
        return State(answer)
    h = walker.length(move)
    if state.answer is not None:
        used = answer + h / (2.0 * state.length) * (answer - state.answer)
    return State(walker.exponential(state.x, used, move, eta), answer, h)


def heun(walker: Walker, state: State, move: Move) -> State:
    """Karras et al.: with y = x / m and the time w = sigma / m, dy/dw = (y - D) / w by the trapezoid rule."""
    answer = walker.denoised(state.x, move.start)
    if move.end == 0.0:
        return State(answer)
    (before, sigma), (mean, after) = walker.sde.kernel(move.start), walker.sde.kernel(move.end)
    y, w, v = state.x / before, sigma / before, after / mean
    slope = (y - answer) / w
    euler = y + (v - w) * slope
    again = (euler - walker.denoised(walker.frozen(mean * euler), move.end)) / v
    return State(mean * (y + 0.5 * (v - w) * (slope + again)))


STEPS: Mapping[Kind, Step] = {
    "ddim": partial(single, eta=0),
    "sde": partial(single, eta=1),
    "dpm2m": partial(multistep, eta=0),
    "sde2m": partial(multistep, eta=1),
    "heun": heun,
}


def walk(
    score: Score, z: Tensor, mask: Tensor, *, sampler: Sampler, sde: VPSDE, noise: Noise, inpaint: bool = False
) -> Tensor:
    """Latents (B, D): generated where `mask` is 1, bit-equal to `z` where it is 0.

    Arguments:
        score, z, mask, noise, inpaint: as `sampler.sample` takes them.
        sampler: of another kind than 'path'.
    """
    keep, moves, step = mask.bool(), sampler.moves(sde), STEPS[sampler.kind]
    total = 1 + sum(drawing(move, sampler.kind) for move in moves) + (sampler.calls if inpaint else 0)
    draws = normals(noise, z.shape[1], total, z.device)
    if inpaint:
        score = diffused_given(score, z, keep, sde, lambda: next(draws))
    walker = Walker(score, sde, lambda x: torch.where(keep, x, z), lambda: next(draws))
    state = State(walker.frozen(walker.normal()))
    for move in moves:
        if move.end > move.start:
            moved = walker.up(state, move)
        elif move.size:
            moved = walker.langevin(state, move)
        else:
            moved = step(walker, state, move)
        state = replace(moved, x=walker.frozen(moved.x))
    return state.x


def drawing(move: Move, kind: Kind) -> bool:
    """Whether a move needs noise."""
    return move.end >= move.start or (kind in ("sde", "sde2m") and move.end > 0.0)
