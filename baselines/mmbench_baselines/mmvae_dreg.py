"""MMVAE with its original objective: importance-weighted bounds and their doubly reparametrised gradient.

References: Shi et al., "Variational mixture-of-experts autoencoders for multi-modal deep generative models", NeurIPS
2019; Tucker et al., "Doubly reparameterized gradient estimators for Monte Carlo objectives", ICLR 2019.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Laplace

from mmbench.abilities import Present
from mmbench.described import described
from mmbench.modality import DatasetSpec
from mmbench.model import Batch
from mmbench.networks import Networks
from mmbench.seeding import Noise

from . import recipes
from .config import VAEConfig, at_least
from .experts import choose, mean_present
from .incomplete import IncompleteVAE
from .vae import report, told

__all__ = ["MMVAEDReG", "MMVAEDReGConfig", "double_reparametrisation", "laplace"]

ACTIVATIONS = 8.25
"""What the decoder of CUB's images keeps of one image of 64x64 until the backward pass, in MiB of float32."""


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class MMVAEDReGConfig(VAEConfig):
    """Settings of the original MMVAE."""

    model = "mmvae_dreg"

    samples: int = 30
    """K, importance samples from each expert."""
    bound: Literal["looser", "tighter"] = "looser"
    """'looser': one logarithm for each expert's K samples (the published results); 'tighter': one for all M K."""

    def __post_init__(self) -> None:
        VAEConfig.__post_init__(self)
        at_least(1, samples=self.samples)


class MMVAEDReG(IncompleteVAE[MMVAEDReGConfig]):
    """MMVAE with its original objective: importance-weighted bounds, doubly reparametrised gradients.

    q(z | X) = 1/M sum_m q(z | x_m), q(z | x_m) = Laplace(mu_m, b_m), p(z) = Laplace(0, b) with b learned.

    The scales are softmax(.) * latent, of the encoder's second head (plus 1e-6) and of a parameter: they sum to the
    latent's size, which fixes the scale of z.
    """

    Config = MMVAEDReGConfig

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        """The residual networks of images with captions are too large for M K samples of every tuple."""
        if recipes.family(dataset) != "captions":
            return ""
        M, paper = len(dataset.names), cls.recipe(dataset)
        K, B = paper.samples, paper.schedule.batch_size
        needs = f"{M * K * B * ACTIVATIONS / 1024:.0f} GiB where they are 64x64"
        return f"at budget paper a step decodes {M * K * B:,} images ({M} x {K} samples of {B} tuples): {needs}"

    def __init__(self, dataset: DatasetSpec, config: MMVAEDReGConfig, networks: Networks) -> None:
        super().__init__(dataset, config, networks)
        self.prior_logits = nn.Parameter(torch.zeros(config.latent))

    def loss(self, batch: Batch, generator: torch.Generator, present: Present | None = None) -> dict[str, Tensor]:
        experts = self.posteriors(batch)
        first = next(iter(experts.values()))
        u = laplace(self.draw(generator, 4, len(experts), self.config.samples, *first.loc.shape))
        return self.objective(batch, experts, u, present)

    def objective(
        self, batch: Batch, experts: Mapping[str, Laplace], u: Tensor, present: Present | None = None
    ) -> dict[str, Tensor]:
        """Gradient of the bound  1/M sum_r log 1/K sum_k w_rk  (looser),  or  log 1/(M K) sum_r sum_k w_rk  (tighter):

            w_rk = p(z_rk) prod_m p(x_m | z_rk)^{w_m} / [ 1/M sum_j q_j(z_rk) ],   z_rk ~ q_r.

        'loss' is a surrogate with the estimator's gradient (`double_reparametrisation`); the bound itself is 'iwae'.

        Arguments:
            experts: q(z | x_m) of all modalities; inside w they are constants, and learn through z alone.
            u: standard Laplace noise (M, K, B, latent) of the z_rk.
            present: bool (B,) by modality; r, m and j are those that are there, and M is their number. None for all.
        """
        there = None if present is None else torch.stack([present[m] for m in experts])
        z = torch.stack([q.loc + q.scale * u_r for q, u_r in zip(experts.values(), u, strict=True)])
        constants = [Laplace(q.loc.detach(), q.scale.detach(), validate_args=False) for q in experts.values()]
        log_q = log_mixture(torch.stack([q.log_prob(z).sum(-1) for q in constants]), there)
        nlls = self.nll(batch, z, present=present)
        log_p = self.prior_distribution().log_prob(z).sum(-1)
        log_w = log_p - self.weighted(nlls) - log_q
        surrogate, bound = double_reparametrisation(log_w, z, self.config.bound, there)
        if there is not None and self.config.bound == "looser":
            surrogate, bound = mean_present(surrogate, there), mean_present(bound[:, 0], there)
        return report(-surrogate.mean(), {"iwae": bound, **told(nlls, present)})

    def posteriors(self, batch: Batch) -> dict[str, Laplace]:
        """q(z | x_m) of each modality in the batch."""
        heads = self.heads(batch).items()
        return {m: Laplace(mu, _scale(logits) + 1e-6, validate_args=False) for m, (mu, logits) in heads}

    def prior_distribution(self) -> Laplace:
        """p(z), event by event (latent,)."""
        scale = _scale(self.prior_logits)
        return Laplace(torch.zeros_like(scale), scale, validate_args=False)

    def infer(self, given: Batch, noise: Noise) -> Tensor:
        u = self._noise(noise)
        return choose(torch.stack([q.loc + q.scale * u for q in self.posteriors(given).values()]), noise)

    def prior(self, noise: Noise) -> Tensor:
        return _scale(self.prior_logits) * self._noise(noise)

    def _noise(self, noise: Noise) -> Tensor:
        return laplace(noise.normal(4, self.config.latent).movedim(1, 0))


def log_mixture(log_q: Tensor, there: Tensor | None) -> Tensor:
    """log 1/M sum_j q_j of log q_j (M, M, K, B), the first extent j; of those that are there, bool (M, B)."""
    if there is None:
        return log_q.logsumexp(0) - math.log(len(log_q))
    return log_q.masked_fill(~there[:, None, None], -torch.inf).logsumexp(0) - there.sum(0).log()


def double_reparametrisation(
    log_w: Tensor, z: Tensor, bound: str, there: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The DReG surrogate of an importance-weighted bound, and the bound's value: (B,) each, or (M, B) for 'looser'.

    With v = w / sum w (a constant), the surrogate is sum v log w, and the gradient that reaches z is multiplied by v
    once more: decoder and prior learn with weight v, the encoders, through z, with weight v^2.

    Arguments:
        log_w: (M, K, B), a function of z.
        z: (M, K, B, latent), sampled; a backward hook is put on it.
        bound: 'looser' normalises over K, 'tighter' over M and K.
        there: bool (M, B), the experts that each tuple has; 'tighter' knows no others. None for all.
    """
    over = (1,) if bound == "looser" else (0, 1)
    values = log_w.detach()
    count = math.prod(values.shape[d] for d in over)
    if there is not None and bound == "tighter":
        values = values.masked_fill(~there[:, None], -torch.inf)
    evidence = values.logsumexp(over, keepdim=True)
    v = torch.exp(values - evidence)
    if z.requires_grad:
        z.register_hook(lambda gradient: v[..., None] * gradient)
    if there is not None and bound == "tighter":
        evidence = evidence + (len(there) / there.sum(0)).log()
    return (v * log_w).sum(over), evidence - math.log(count)


def laplace(normal: Tensor) -> Tensor:
    """Standard Laplace noise from standard normal noise: (4, *shape) -> (*shape).

    n1 n2 + n3 n4 has the characteristic function (1 + t^2)^(-1/2) squared, which is the Laplace distribution's.
    """
    n1, n2, n3, n4 = normal
    return n1 * n2 + n3 * n4


def _scale(logits: Tensor) -> Tensor:
    """Positive scales (..., latent) that sum to latent."""
    return torch.softmax(logits, dim=-1) * logits.shape[-1]
