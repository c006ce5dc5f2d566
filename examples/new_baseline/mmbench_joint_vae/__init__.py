"""A joint VAE: the mean of the given modalities' features goes through one posterior q(z | x_S), for any subset S."""

from dataclasses import dataclass

import torch
from torch import nn

from mmbench.config import Schedule
from mmbench.likelihoods import decoded, nll
from mmbench.modality import subsets
from mmbench.model import Model, Stage
from mmbench.seeding import Noise


@dataclass(frozen=True, slots=True, kw_only=True)
class JointVAEConfig:
    schedule: Schedule
    latent: int = 20
    features: int = 64
    beta: float = 1.0

    @classmethod
    def recipe(cls, dataset, budget="paper"):
        length = {"smoke": {"steps": 300}, "laptop": {"steps": 8000}, "paper": {"epochs": 150}}[budget]
        return cls(schedule=Schedule(batch_size=256, lr=1e-3, **length))


class JointVAE(Model):
    Config = JointVAEConfig

    def __init__(self, dataset, config, networks):
        super().__init__()
        self.dataset, self.config, self.subsets = dataset, config, subsets(dataset.names)
        self.encoders = nn.ModuleDict(
            {m.name: networks.encoder(m, config.features, heads=1) for m in dataset.modalities}
        )
        self.posterior = nn.Sequential(nn.SiLU(), nn.Linear(config.features, 2 * config.latent))
        self.decoders = nn.ModuleDict({m.name: networks.decoder(m, config.latent) for m in dataset.modalities})

    @classmethod
    def build(cls, dataset, config, networks):
        return cls(dataset, config, networks)

    def stages(self):
        return [Stage(name="elbo", module=self, schedule=self.config.schedule, loss=self.loss)]

    def encode(self, given):
        features = [self.encoders[name](x)[0] for name, x in given.items()]
        return self.posterior(torch.stack(features).mean(0)).float().chunk(2, dim=1)

    def loss(self, batch, generator):
        chosen = self.subsets[torch.randint(len(self.subsets), (), generator=generator, device=self.device)]
        mu, logvar = self.encode({name: batch[name] for name in chosen})
        z = mu + (0.5 * logvar).exp() * torch.randn(mu.shape, generator=generator, device=self.device)
        nlls = {
            f"nll_{m.name}": nll(m, self.decoders[m.name](z).float(), batch[m.name]) for m in self.dataset.modalities
        }
        terms = {name: value.mean() for name, value in nlls.items()}
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1).mean()
        return {"loss": sum(terms.values()) + self.config.beta * kl, "kl": kl, **terms}

    def generate(self, given, targets, *, count, generator):
        z = Noise(generator, count, self.device).normal(self.config.latent)
        if given:
            mu, logvar = self.encode(given)
            z = mu + (0.5 * logvar).exp() * z
        return {name: decoded(self.dataset.modality(name), self.decoders[name](z)) for name in targets}
