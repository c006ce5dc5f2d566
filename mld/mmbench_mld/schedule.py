r"""The variance-preserving SDE and the time paths along which it is reversed.

    dR_t = -1/2 beta(t) R_t dt + sqrt(beta(t)) dW_t,    beta(t) = beta_min + t (beta_max - beta_min),    t in [0, 1]

    q(r_t | z) = N(m(t) z, sigma(t)^2 I),    m(t) = exp(-t^2 (beta_max - beta_min) / 4 - t beta_min / 2),
    sigma(t)^2 = 1 - m(t)^2,    lambda(t) = log(m(t) / sigma(t))

A time path is data: grid indices n = N ... 0 that may go down (a denoising move, one network call) or up (a
re-noising move). The plain grid and the paper's resampling schedule share one sampler.

References: Bounoua et al., Eqs. 5, 6, 8 and Appendix A.4; Song et al., "Score-based generative modeling through SDEs",
2021 (VP SDE); Lugmayr et al., "RePaint", 2022 (resampling).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from mmbench.described import described
from mmbench.errors import ConfigError

__all__ = ["VPSDE", "TimePath"]

T = TypeVar("T", float, Tensor)


@dataclass(frozen=True, slots=True)
class VPSDE:
    """The variance-preserving SDE of Equation 5; t in [0, 1] is a tensor, or a number where that is said."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def beta(self, t: T) -> T:
        """beta(t) = beta_min + t (beta_max - beta_min); of a number, too."""
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def log_mean(self, t: T) -> T:
        """log m(t); of a number, too."""
        return -0.25 * t**2 * (self.beta_max - self.beta_min) - 0.5 * t * self.beta_min

    def mean(self, t: Tensor) -> Tensor:
        """m(t), the factor of z in the perturbation kernel (Equation 6)."""
        return torch.exp(self.log_mean(t))

    def sigma(self, t: Tensor) -> Tensor:
        """sigma(t), the kernel's standard deviation; accurate for small t."""
        return torch.sqrt(-torch.expm1(2.0 * self.log_mean(t)))

    def kernel(self, t: float) -> tuple[float, float]:
        """m(t) and sigma(t) of a number."""
        log_mean = self.log_mean(t)
        return math.exp(log_mean), math.sqrt(-math.expm1(2.0 * log_mean))

    def log_snr(self, t: float) -> float:
        """lambda(t) = log(m(t) / sigma(t)), half the logarithm of the signal-to-noise ratio, of a number t > 0."""
        mean, sigma = self.kernel(t)
        return math.log(mean / sigma)

    def time(self, log_snr: float) -> float:
        """The time of a lambda, the inverse of `log_snr`: -log m = log(1 + exp(-2 lambda)) / 2 is a quadratic of t."""
        c = 0.5 * math.log1p(math.exp(-2.0 * log_snr))
        half = 0.5 * self.beta_min
        return 2.0 * c / (half + math.sqrt(half**2 + (self.beta_max - self.beta_min) * c))


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class TimePath:
    """The order in which the grid t_n = n / steps, n = steps ... 0, is visited.

    With `resample` = 1 the path goes straight down (Algorithm 2). Otherwise, whenever it first has come down `jump`
    steps to a multiple of `jump`, it goes back up `jump` steps and down again, `resample` - 1 times (RePaint). The
    paper's path is steps = 250, jump = 10, resample = 10.
    """

    steps: int = 250
    """N, the number of grid intervals."""
    jump: int = 10
    """j, the length of a move back up, in grid steps."""
    resample: int = 10
    """r, how often each stretch is walked down; 1 for the plain grid."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.jump < 1 or self.resample < 1:
            raise ConfigError("a time path needs steps, jump and resample >= 1")
        if self.resample > 1 and self.jump >= self.steps:
            raise ConfigError(f"jump ({self.jump}) must be shorter than the path ({self.steps} steps)")

    def indices(self) -> list[int]:
        """The grid indices from `steps` down to 0; neighbours differ by one.

        RePaint's schedule counts from steps - 1 down to -1 and may jump up from k = 0, jump, ..., below steps - jump;
        here every entry is one higher.
        """
        left = dict.fromkeys(range(0, self.steps - self.jump, self.jump), self.resample - 1)
        k = self.steps
        path: list[int] = []
        while k >= 1:
            k -= 1
            path.append(k)
            if left.get(k, 0) > 0:
                left[k] -= 1
                for _ in range(self.jump):
                    k += 1
                    path.append(k)
        return [k + 1 for k in [*path, -1]]

    @property
    def calls(self) -> int:
        """Network calls: the number of moves down."""
        path = self.indices()
        return sum(b < a for a, b in zip(path, path[1:], strict=False))
