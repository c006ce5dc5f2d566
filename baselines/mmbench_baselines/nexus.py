"""NEXUS: a hierarchy; one VAE per modality below, and above them a VAE of their latents, the nexus.

Reference: Vasco, Yin, Melo and Paiva, "Leveraging hierarchy in multimodal generative models for effective
cross-modality inference", Neural Networks 2022; sizes and weights from Bounoua et al., Appendix C.2, and their code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn

from mmbench.config import Budget
from mmbench.data.dataset import Split
from mmbench.described import described
from mmbench.errors import ConfigError
from mmbench.likelihoods import nll
from mmbench.modality import DatasetSpec
from mmbench.model import Batch, Stage
from mmbench.networks import Networks
from mmbench.seeding import Noise

from . import recipes
from .config import BetaVAEConfig, at_least
from .experts import Gaussian, kl_to_standard
from .vae import MultimodalVAE, full_precision, report, total

__all__ = ["Nexus", "NexusConfig", "aggregate", "perceptual_dropout"]


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class NexusConfig(BetaVAEConfig):
    """Settings of NEXUS; the latents of the lower level have the sizes of the dataset (`Modality.latent`)."""

    model = "nexus"

    beta: float = 1.0
    """b_m, weight of the KL terms of the lower level."""
    beta_c: float = 5.0
    """b_c, weight of the KL term of the nexus (the paper's value; its code has 1)."""
    top_weights: Mapping[str, float]
    """g_m, weight of the squared error of each modality's latent."""
    dropout: float = 0.5
    """p, probability that a training tuple loses 1 to M - 1 modalities (forced perceptual dropout)."""
    message: int = 256
    """Size of the message that each modality sends to the nexus."""
    hidden: int = 256
    """Width of the hidden layers of the nexus: 2 in its encoder, 3 in each decoder."""
    warmup: float = 20 / 150
    """Share of the training over which the weights of all KL terms rise linearly to their values."""

    def __post_init__(self) -> None:
        BetaVAEConfig.__post_init__(self)
        at_least(1, message=self.message, hidden=self.hidden)
        at_least(2, **{"schedule.batch_size (its layers are normalised over the batch)": self.schedule.batch_size})
        at_least(0, beta_c=self.beta_c, **{f"top_weights.{m}": g for m, g in self.top_weights.items()})
        if not 0 <= self.dropout <= 1 or not 0 <= self.warmup <= 1:
            raise ConfigError(f"dropout and warmup must lie in [0, 1], got {self.dropout} and {self.warmup}")

    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> Self:
        """As for every VAE, with a weight for each modality (`recipes.top_weights`)."""
        row = {**recipes.objective(cls.model, dataset), "top_weights": recipes.top_weights(dataset)}
        return cls(schedule=recipes.schedule(cls.model, dataset, budget), **row)


class Nexus(MultimodalVAE[NexusConfig]):
    """NEXUS: a VAE for each modality, and above them a VAE of their latents.

    Two levels, trained by one optimiser; the detached z_m keep the nexus' gradients out of the lower level.

    A buffer counts the training steps for the KL warm-up, so a resumed run goes on where it stopped. How many steps the
    warm-up has is known from the schedule; if that counts epochs, from the training set, when the stage is prepared.
    """

    Config = NexusConfig
    steps_done: Tensor
    warmup_steps: Tensor

    def __init__(self, dataset: DatasetSpec, config: NexusConfig, networks: Networks) -> None:
        super().__init__(dataset, config, networks, {m.name: m.latent for m in dataset.modalities})
        if set(config.top_weights) != set(dataset.names):
            raise ConfigError(f"top_weights names {sorted(config.top_weights)}, the dataset {sorted(dataset.names)}")
        message, hidden = config.message, config.hidden
        self.messages = nn.ModuleDict({m.name: nn.Linear(m.latent, message) for m in dataset.modalities})
        self.nexus_encoder = layers(message, hidden, hidden)
        self.nexus_heads = nn.ModuleList(nn.Linear(hidden, config.latent) for _ in range(2))
        self.nexus_decoders = nn.ModuleDict(
            {
                m.name: layers(config.latent, hidden, hidden, hidden).append(nn.Linear(hidden, m.latent))
                for m in dataset.modalities
            }
        )
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))
        self.register_buffer("warmup_steps", torch.ones((), dtype=torch.int64))
        if config.schedule.steps is not None:
            self._set_warmup(config.schedule.steps)

    def stages(self) -> tuple[Stage]:
        (stage,) = super().stages()
        return (replace(stage, prepare=self._prepare),)

    def _prepare(self, train: Split) -> Split:
        """Only looks at the size of the training set: the warm-up is a share of the schedule."""
        self._set_warmup(self.config.schedule.total_steps(len(train)))
        return train

    def _set_warmup(self, total_steps: int) -> None:
        self.warmup_steps.fill_(max(1, round(self.config.warmup * total_steps)))

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        experts = self.encode(batch)
        eps = {name: self.draw(generator, *q.mu.shape) for name, q in experts.items()}
        count = len(next(iter(eps.values())))
        keep = perceptual_dropout(count, len(experts), self.config.dropout, generator)
        eps_c = self.draw(generator, count, self.config.latent)
        if self.training:
            self.steps_done += 1
        warm = (self.steps_done / self.warmup_steps).clamp(max=1.0)
        return self.objective(batch, experts, eps, keep, eps_c, warm)

    def objective(
        self,
        batch: Batch,
        experts: Mapping[str, Gaussian],
        eps: Mapping[str, Tensor],
        keep: Tensor,
        eps_c: Tensor,
        warm: Tensor | float = 1.0,
    ) -> dict[str, Tensor]:
        """Bottom: sum_m [ w_m NLL_m(z_m) + b_m KL(q_m || p) ];  top: sum_m g_m |z_m - zhat_m|^2 + b_c KL(q_c || p).

        z_m ~ q_m; the top level takes z_m as data (detached); q_c is inferred from the mean of the kept messages and
        zhat_m is decoded from c ~ q_c.

        Arguments:
            experts: q_m = q(z_m | x_m).
            eps: standard normal (B, latent of m), the noise of each z_m.
            keep: bool (B, M), whose messages reach the nexus.
            eps_c: standard normal (B, latent), the noise of c.
            warm: in [0, 1], multiplies all KL terms.
        """
        config = self.config
        z = {m: q.sample(eps[m]) for m, q in experts.items()}
        nlls = {m: nll(self.dataset.modality(m), self.output(m, z_m), batch[m]) for m, z_m in z.items()}
        divergence = total(kl_to_standard(q) for q in experts.values())
        bottom = self.weighted(nlls) + warm * config.beta * divergence

        data = {m: z_m.detach() for m, z_m in z.items()}
        q_c = self.nexus_posterior(data, keep)
        c = q_c.sample(eps_c)
        errors = {m: (data[m] - self.decode_nexus(m, c)).square().sum(-1) for m in z}
        divergence_c = kl_to_standard(q_c)
        top = total(config.top_weights[m] * error for m, error in errors.items()) + warm * config.beta_c * divergence_c

        terms = {f"nll_{m}": value for m, value in nlls.items()} | {f"top_{m}": value for m, value in errors.items()}
        return report((bottom + top).mean(), {**terms, "kl": divergence, "kl_nexus": divergence_c})

    def infer(self, given: Batch, noise: Noise) -> Tensor:
        z = {m: q.sample(noise.normal(q.mu.shape[-1])) for m, q in self.encode(given).items()}
        everything = torch.ones(len(noise), len(z), dtype=torch.bool, device=self.device)
        return self.nexus_posterior(z, everything).sample(noise.normal(self.config.latent))

    @torch.no_grad()
    def represent(self, batch: Batch) -> Tensor:
        """The mean of q(c | z), inferred from the means of all q(z_m | x_m): (B, latent)."""
        z = {m: q.mu for m, q in self.encode(batch).items()}
        everything = torch.ones(len(next(iter(z.values()))), len(z), dtype=torch.bool, device=self.device)
        return self.nexus_posterior(z, everything).mu

    def nexus_posterior(self, z: Mapping[str, Tensor], keep: Tensor) -> Gaussian:
        """q(c | z): the mean of the kept messages, encoded. z: (B, latent of m) each; keep: bool (B, number of z)."""
        messages = torch.stack([full_precision(self.messages[m](z_m)) for m, z_m in z.items()], dim=1)
        h = self.nexus_encoder(aggregate(messages, keep))
        mu, logvar = (full_precision(head(h)) for head in self.nexus_heads)
        return Gaussian(mu, logvar)

    def decode_nexus(self, name: str, c: Tensor) -> Tensor:
        """The nexus c (B, latent) -> the latent of one modality (B, latent of m)."""
        return full_precision(self.nexus_decoders[name](c))

    def decode(self, name: str, z: Tensor) -> Tensor:
        return self.output(name, self.decode_nexus(name, z))


def layers(*sizes: int) -> nn.Sequential:
    """Linear - BatchNorm - LeakyReLU(0.01) from each size to the next."""
    modules = [[nn.Linear(a, b), nn.BatchNorm1d(b), nn.LeakyReLU()] for a, b in pairwise(sizes)]
    return nn.Sequential(*(module for block in modules for module in block))


def aggregate(messages: Tensor, keep: Tensor) -> Tensor:
    """Mean of the kept messages of each sample: (B, M, message), bool (B, M) -> (B, message)."""
    weights = keep.to(messages.dtype)
    return (messages * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)


def perceptual_dropout(count: int, M: int, p: float, generator: torch.Generator) -> Tensor:
    """Forced perceptual dropout: which of M modalities the nexus hears, bool (count, M), at least one in each row.

    With probability p a row loses n ~ U{1 .. M-1} modalities, chosen at random (M = 2: exactly one).
    """
    device = generator.device
    rank = torch.rand(count, M, generator=generator, device=device).argsort(1).argsort(1)
    n = torch.randint(1, M, (count,), generator=generator, device=device)
    hit = torch.rand(count, generator=generator, device=device) < p
    return rank >= torch.where(hit, n, 0)[:, None]
