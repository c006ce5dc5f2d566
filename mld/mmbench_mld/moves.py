r"""Samplers of few network calls: which times they visit, as data.

A sampler is a list of moves between times t in [0, 1]. A move down is a step of a solver, a move up is an exact draw
from the forward process q(r_t | r_s), a move that stays is a step of Langevin's equation. The main walk goes from 1 to
`end`, uniform in lambda(t) = log(m(t) / sigma(t)) between the times where restarts begin, and takes the denoiser's
answer there. What a corrector adds stands between its moves.

References: Lu et al., "DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models", 2022
(lambda as time, multistep data prediction; its SDE form in Appendix); Karras et al., "Elucidating the design space of
diffusion-based generative models", 2022, Algorithm 2 (churn and Heun); Xu et al., "Restart sampling for improving
generative processes", 2023; Song et al., "Score-based generative modeling through SDEs", 2021 (correctors).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import ConfigDict

from mmbench.described import described
from mmbench.errors import ConfigError

from .schedule import VPSDE

__all__ = ["FEW_CALLS", "Kind", "Langevin", "Move", "Restart", "Sampler"]

Kind = Literal["path", "ddim", "sde", "dpm2m", "sde2m", "heun"]


@dataclass(frozen=True, slots=True)
class Move:
    """From the time `start` to `end`; where they are equal, a Langevin step of relative size `size`."""

    start: float
    end: float
    size: float = 0.0


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """When the main walk comes to `low`: up to `high` at once, and down again in `steps` steps; all that `times` times.

    Xu et al.'s t_min, t_max, and K.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    low: float
    high: float
    steps: int
    times: int

    def __post_init__(self) -> None:
        if not 0.0 < self.low < self.high <= 1.0 or self.steps < 1 or self.times < 1:
            raise ConfigError(
                f"a restart needs 0 < low < high <= 1, steps >= 1 and times >= 1, got {self.low}, {self.high}, "
                f"{self.steps}, {self.times}"
            )


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class Langevin:
    """`steps` Langevin steps at each time of the main walk in [`low`, `high`], before it goes on.

    r <- r + size sigma^2 s(r, t) + sigma sqrt(2 size) xi: where the target is much wider than sigma, its variance
    stays; where it is sigma itself, it grows by the factor 1 / (1 - size / 2).
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    low: float
    high: float
    steps: int
    size: float

    def __post_init__(self) -> None:
        if not 0.0 < self.low < self.high < 1.0 or self.steps < 1 or not 0.0 < self.size < 1.0:
            raise ConfigError(
                f"a Langevin corrector needs 0 < low < high < 1, steps >= 1 and 0 < size < 1, got {self.low}, "
                f"{self.high}, {self.steps}, {self.size}"
            )


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """How the latents that are not given are drawn."""

    kind: Kind = "path"
    """'path': Euler-Maruyama along the time path (`MLDConfig.path`), the paper's. All the rest is for the other kinds,
    which step in lambda: 'ddim', first order, and 'dpm2m', DPM-Solver++(2M), along the probability-flow ODE; 'sde' and
    'sde2m', the same along the reverse SDE; 'heun', Karras et al.'s, two calls a step."""
    steps: int = 20
    """Steps of the main walk, the last of them from `end` to 0."""
    end: float = 0.004
    """The time at which the denoiser's answer is taken; the last of the paper's path, 1 / 250."""
    churn: float = 0.0
    """'heun' only: before each step fresh noise raises sigma / m by this share, gamma of Karras et al.; no higher than
    at t = 1."""
    restarts: tuple[Restart, ...] = ()
    """Restarts that begin at the same time are made in this order."""
    langevin: tuple[Langevin, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 < self.end < 1.0:
            raise ConfigError(f"sampler.end must lie in (0, 1), got {self.end}")
        if any(restart.low <= self.end for restart in self.restarts):
            raise ConfigError(f"a restart must begin above sampler.end ({self.end})")
        if self.steps < len(self.stops) + 2:
            raise ConfigError(
                f"sampler.steps = {self.steps} is too few: one for each time at which restarts begin "
                f"({len(self.stops)}), and two"
            )
        if self.churn < 0.0 or (self.churn > 0.0 and self.kind != "heun"):
            raise ConfigError("sampler.churn must be >= 0, and belongs to the kind 'heun'")

    @property
    def stops(self) -> list[float]:
        """The times at which restarts begin, from high to low."""
        return sorted({restart.low for restart in self.restarts}, reverse=True)

    @property
    def calls(self) -> int:
        """Network calls."""
        return sum(self._calls(move) for move in self.moves(VPSDE()))

    def _calls(self, move: Move) -> int:
        if move.end > move.start:
            return 0
        return 2 if self.kind == "heun" and 0.0 < move.end < move.start else 1

    def moves(self, sde: VPSDE) -> list[Move]:
        """All moves, in order."""
        grid = self.grid(sde)
        found: list[Move] = []
        for a, b in pairwise([*grid, 0.0]):
            found += self._corrections(a, sde)
            found += self._step(a, b, sde)
        return found

    def grid(self, sde: VPSDE) -> list[float]:
        """The `steps` times of the main walk from 1 to `end`: every stop, and between two stops uniform in lambda."""
        knots = [1.0, *self.stops, self.end]
        lengths = [sde.log_snr(b) - sde.log_snr(a) for a, b in pairwise(knots)]
        parts = zip(pairwise(knots), shares(lengths, self.steps - 1), strict=True)
        return [1.0, *(t for (a, b), n in parts for t in uniform(a, b, n, sde)[1:])]

    def _corrections(self, t: float, sde: VPSDE) -> Iterator[Move]:
        for restart in self.restarts:
            if restart.low == t:
                for _ in range(restart.times):
                    yield Move(t, restart.high)
                    for a, b in pairwise(uniform(restart.high, t, restart.steps, sde)):
                        yield from self._step(a, b, sde)
        for langevin in self.langevin:
            if langevin.low <= t <= langevin.high:
                yield from [Move(t, t, langevin.size)] * langevin.steps

    def _step(self, a: float, b: float, sde: VPSDE) -> Iterator[Move]:
        """A solver's step, after the churn."""
        lifted = min(1.0, sde.time(sde.log_snr(a) - math.log1p(self.churn))) if self.churn else a
        if lifted > a:
            yield Move(a, lifted)
            a = lifted
        yield Move(a, b)


def shares(lengths: Sequence[float], total: int) -> list[int]:
    """`total` steps over stretches of these lengths, at least one each, so that the longest step is the shortest."""
    counts = [1] * len(lengths)
    for _ in range(total - len(lengths)):
        longest = max(range(len(lengths)), key=lambda k: lengths[k] / counts[k])
        counts[longest] += 1
    return counts


def uniform(a: float, b: float, steps: int, sde: VPSDE) -> list[float]:
    """`steps` + 1 times from a to b > 0, both exact, uniform in lambda."""
    top, bottom = sde.log_snr(a), sde.log_snr(b)
    return [a, *(sde.time(top + (bottom - top) * k / steps) for k in range(1, steps)), b]


FEW_CALLS = Sampler(
    kind="dpm2m",
    steps=8,
    restarts=(Restart(low=0.12, high=0.25, steps=2, times=6), Restart(low=0.03, high=0.12, steps=4, times=5)),
)
"""40 calls: restarts at low noise, where errors of the score leave the latents beside what the decoders know. With the
exact score of N(0.8, v), v from 0.01 to 1, the mean is off by 0.001 standard deviations and the variance by 2 %; along
the reverse SDE ('sde2m') by 0 and 15 %, in steps of first order by 28 and 44 %."""
