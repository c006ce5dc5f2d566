"""What the VAEs of one latent say of whole tuples: ln p(X) by importance sampling, and a joint representation.

See `mmbench.abilities`. For models whose q(z | X) is a uniform mixture of diagonal Gaussians and whose p(z) = N(0, I).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from mmbench.model import Batch

from .config import VAEConfig
from .experts import Gaussian
from .vae import MultimodalVAE, total

__all__ = ["Evident"]

C = TypeVar("C", bound=VAEConfig)


class Evident(MultimodalVAE[C]):
    """A VAE that offers a likelihood and a representation."""

    @abstractmethod
    def components(self, batch: Batch) -> Sequence[Gaussian]:
        """The Gaussians whose uniform mixture is q(z | X), X all modalities."""

    @torch.no_grad()
    def log_likelihood(self, batch: Batch, *, samples: int, generator: torch.Generator) -> Tensor:
        """ln 1/K sum_k p(X | z_k) p(z_k) / q(z_k): (B,), in nats, unweighted.

        Each component gives its share of the K draws, and q is the mixture of just these shares, so nothing is biased
        where K is no multiple of their number.
        """
        q = self.components(batch)
        chosen = [q[k % len(q)] for k in range(samples)]
        eps = torch.randn(samples, *q[0].mu.shape, generator=generator).to(q[0].mu)
        z = torch.stack([part.sample(noise) for part, noise in zip(chosen, eps, strict=True)])
        parts = [(part, n / samples) for part, n in zip(q, shares(samples, len(q)), strict=True) if n]
        log_q = [log_density(part, z) + math.log(share) for part, share in parts]
        standard = Gaussian(torch.zeros_like(q[0].mu), torch.zeros_like(q[0].mu))
        log_p = log_density(standard, z) - total(self.nll(batch, z).values())
        return torch.logsumexp(log_p - torch.logsumexp(torch.stack(log_q), dim=0), dim=0) - math.log(samples)

    @torch.no_grad()
    def represent(self, batch: Batch) -> Tensor:
        """The mean of q(z | X): (B, latent)."""
        return torch.stack([q.mu for q in self.components(batch)]).mean(0)


def shares(samples: int, parts: int) -> list[int]:
    """How many of `samples` draws each of `parts` components gives when they take turns."""
    return [len(range(k, samples, parts)) for k in range(parts)]


def log_density(q: Gaussian, z: Tensor) -> Tensor:
    """ln q(z) of z (..., B, latent): (..., B)."""
    squares = (z - q.mu).square() * torch.exp(-q.logvar)
    return -0.5 * (squares + q.logvar + math.log(2 * math.pi)).sum(-1)
