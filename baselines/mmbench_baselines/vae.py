"""What the multi-modal VAEs share: one encoder and one decoder per modality, one latent z, generation.

A model gives its objective, and `infer`: z ~ q(z | x_S) for the given subset S. Conditional generation decodes such
a *sample* (not the posterior's mean), joint generation decodes z ~ p(z) = N(0, I), the same z for all modalities; an
image is the decoder's location without pixel noise, a text its likeliest tokens (paper, Appendix C.2).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Self, TypeVar

import torch
from torch import Tensor, nn

from mmbench.abilities import Present
from mmbench.data.dataset import Split
from mmbench.likelihoods import COLLAPSED, decoded, nll, reconstruction_skills, skill_count
from mmbench.modality import DatasetSpec
from mmbench.model import Batch, Model, Stage
from mmbench.networks import Networks, in_parts
from mmbench.seeding import Noise

from .config import VAEConfig
from .experts import Gaussian

__all__ = ["MultimodalVAE", "full_precision", "reconstructions", "report", "told", "total"]

C = TypeVar("C", bound=VAEConfig)


class MultimodalVAE(Model, Generic[C]):
    """Encoders q(z | x_m) and decoders p(x_m | z) from the suite's networks, trained in one stage, 'elbo'.

    `latents` gives each modality's latent size where it is not the shared `config.latent` (NEXUS).
    """

    config: C

    def __init__(
        self, dataset: DatasetSpec, config: C, networks: Networks, latents: Mapping[str, int] | None = None
    ) -> None:
        super().__init__()
        self.dataset, self.config = dataset, config
        sizes = latents or dict.fromkeys(dataset.names, config.latent)
        self.encoders = nn.ModuleDict({m.name: networks.encoder(m, sizes[m.name], heads=2) for m in dataset.modalities})
        self.decoders = nn.ModuleDict({m.name: networks.decoder(m, sizes[m.name]) for m in dataset.modalities})

    @classmethod
    def build(cls, dataset: DatasetSpec, config: Any, networks: Networks) -> Self:
        return cls(dataset, config, networks)

    def stages(self) -> Sequence[Stage]:
        least = {f"skill {name}": COLLAPSED for name in self.dataset.names}
        schedule = self.config.schedule
        return (Stage(name="elbo", module=self, schedule=schedule, loss=self.loss, skill=self.skill, least=least),)

    def skill(self, held_out: Split) -> dict[str, float]:
        return reconstructions(self, held_out)

    @abstractmethod
    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """The named terms of the objective: encode once, draw the noise, combine."""

    @abstractmethod
    def infer(self, given: Batch, noise: Noise) -> Tensor:
        """z ~ q(z | x_S): (B, latent), for a non-empty subset S = given."""

    def prior(self, noise: Noise) -> Tensor:
        """z ~ p(z): (B, latent)."""
        return noise.normal(self.config.latent)

    @torch.no_grad()
    def generate(
        self, given: Batch, targets: Sequence[str], *, count: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        noise = Noise(generator, count, self.device)
        z = self.infer(given, noise) if given else self.prior(noise)
        return {name: decoded(self.dataset.modality(name), self.decode(name, z)) for name in targets}

    def encode(self, batch: Batch) -> dict[str, Gaussian]:
        """q(z | x_m) of each modality in the batch, in the dataset's order; every encoder runs once."""
        return {name: Gaussian(*heads) for name, heads in self.heads(batch).items()}

    def heads(self, batch: Batch) -> dict[str, list[Tensor]]:
        """The two heads (B, latent) of each encoder."""
        present = [name for name in self.dataset.names if name in batch]
        answers = {n: in_parts(self.encoders[n], self.dataset.modality(n), batch[n]) for n in present}
        return {name: [full_precision(head) for head in heads] for name, heads in answers.items()}

    def output(self, name: str, z: Tensor) -> Tensor:
        """What one decoder gives for its latent (B, latent): location (B, *shape) of an image, logits of a text."""
        return full_precision(in_parts(self.decoders[name], self.dataset.modality(name), z))

    def decode(self, name: str, z: Tensor) -> Tensor:
        """The same, from the latent z (B, latent) that all modalities share."""
        return self.output(name, z)

    def nll(
        self, batch: Batch, z: Tensor, names: Sequence[str] | None = None, present: Present | None = None
    ) -> dict[str, Tensor]:
        """-log p(x_m | z) of each modality (or of `names`), unweighted: (..., B), in nats, for z (..., B, latent); 0
        where `present` says that it is missing."""
        rows, found = z.flatten(0, -2), {}
        for name in names or self.dataset.names:
            output = self.decode(name, rows).unflatten(0, z.shape[:-1])
            value = nll(self.dataset.modality(name), output, batch[name])
            found[name] = value if present is None else value.masked_fill(~present[name], 0.0)
        return found

    def weighted(self, nlls: Mapping[str, Tensor]) -> Tensor:
        """sum_m w_m NLL_m: (..., B)."""
        return total(self.dataset.modality(name).weight * value for name, value in nlls.items())

    def draw(self, generator: torch.Generator, *shape: int) -> Tensor:
        """Standard normal training noise of a shape, on the model's device and in its precision."""
        dtype = next(self.parameters()).dtype
        return torch.randn(*shape, generator=generator, device=generator.device, dtype=dtype)


def reconstructions(model: Model, held_out: Split) -> dict[str, float]:
    """How well each modality is reconstructed from itself: 'skill <modality>', and what else is told of texts."""
    rows = held_out.spread(min(skill_count(m) for m in model.dataset.modalities))
    found = {}
    for modality in model.dataset.modalities:
        x = held_out.gather(rows, (modality.name,))[modality.name].to(model.device)
        given = {modality.name: x}
        made = model.generate(given, (modality.name,), count=len(x), generator=torch.Generator().manual_seed(0))
        skills = reconstruction_skills(modality, x, made[modality.name])
        found |= {f"{key} {modality.name}": value for key, value in skills.items()}
    return found


def full_precision(values: Tensor) -> Tensor:
    """bfloat16 (of autocast) -> float32, since what follows sums over many values; other dtypes unchanged."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def total(values: Any) -> Tensor:
    """The sum of an iterable of tensors of one shape."""
    return torch.stack(list(values)).sum(0)


def told(nlls: Mapping[str, Tensor], present: Present | None, suffix: str = "") -> dict[str, Tensor]:
    """The terms 'nll_<modality>' of a stage's answer: means over the tuples that have it."""
    if present is None:
        return {f"nll_{m}{suffix}": value for m, value in nlls.items()}
    counts = {m: present[m].expand_as(value).sum().clamp(min=1) for m, value in nlls.items()}
    return {f"nll_{m}{suffix}": value.sum() / counts[m] for m, value in nlls.items()}


def report(loss: Tensor, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A stage's answer: the loss, and each term (B,) or scalar as its mean over the batch, detached."""
    return {"loss": loss, **{name: value.detach().mean() for name, value in terms.items()}}
