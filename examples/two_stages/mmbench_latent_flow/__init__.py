"""Two stages: an autoencoder for each modality, then a flow from noise to their latents, whatever of them is given."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from mmbench.config import Schedule
from mmbench.data.dataset import Split, as_input
from mmbench.likelihoods import COLLAPSED, decoded, nll, reconstruction_skills, skill_count
from mmbench.modality import subsets
from mmbench.model import Model, Stage
from mmbench.seeding import Noise

STEPS = {"smoke": (300, 1_000), "laptop": (3_000, 20_000), "paper": (100_000, 500_000)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentFlowConfig:
    autoencoder: Schedule
    flow: Schedule
    width: int = 256
    euler_steps: int = 20

    @classmethod
    def recipe(cls, dataset, budget="paper"):
        first, second = STEPS[budget]
        return cls(
            autoencoder=Schedule(steps=first, batch_size=128, lr=1e-3),
            flow=Schedule(steps=second, batch_size=256, lr=5e-4, ema=0.999),
        )


class LatentFlow(Model):
    Config = LatentFlowConfig
    check_settings = ("width=64", "euler_steps=4")

    def __init__(self, dataset, config, networks):
        super().__init__()
        self.dataset, self.config = dataset, config
        self.sizes = {m.name: networks.latent(m) for m in dataset.modalities}
        self.encoders = nn.ModuleDict({m.name: networks.encoder(m, self.sizes[m.name], 1) for m in dataset.modalities})
        self.decoders = nn.ModuleDict({m.name: networks.decoder(m, self.sizes[m.name]) for m in dataset.modalities})
        size = sum(self.sizes.values())
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))
        made = [self.mask(given) for given in [(), *subsets(dataset.names)[:-1]]]
        self.register_buffer("masks", torch.stack(made))
        width = config.width
        layers = [nn.Linear(2 * size + 1, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, size)]
        self.velocity = nn.Sequential(*layers)

    @classmethod
    def build(cls, dataset, config, networks):
        return cls(dataset, config, networks)

    def stages(self):
        first = [self.autoencoder_stage(m) for m in self.dataset.modalities]
        second = Stage(
            name="flow",
            module=self.velocity,
            schedule=self.config.flow,
            loss=self.flow_loss,
            prepare=self.to_latents,  # once: the training set becomes its latents
            settings={"width": self.config.width},  # of another number of Euler steps nothing is trained anew
        )
        return [*first, second]

    def autoencoder_stage(self, modality):
        name = modality.name
        return Stage(
            name=f"autoencoder.{name}",
            module=nn.ModuleList([self.encoders[name], self.decoders[name]]),
            schedule=self.config.autoencoder,
            loss=partial(self.autoencoder_loss, modality),
            modalities=(name,),
            skill=partial(self.autoencoder_skill, modality),
            least={"skill": COLLAPSED},  # below it the stage answers one constant item
            settings={},  # nothing of the configuration but its schedule
            needs=(),  # no other stage
        )

    def autoencoder_loss(self, modality, batch, generator):
        x = batch[modality.name]
        (z,) = self.encoders[modality.name](x)
        return {"loss": nll(modality, self.decoders[modality.name](z).float(), x).mean()}

    @torch.no_grad()
    def autoencoder_skill(self, modality, held_out):
        name = modality.name
        x = held_out.gather(held_out.spread(skill_count(modality)), (name,))[name].to(self.device)
        return reconstruction_skills(modality, x, decoded(modality, self.decoders[name](self.encoders[name](x)[0])))

    @torch.no_grad()
    def to_latents(self, train):
        encoded = {name: self.encode(name, as_input(items)) for name, items in train.items.items()}
        rows = torch.cat([encoded[name][train.index[:, k].long()] for k, name in enumerate(train.names)], dim=1)
        self.mean.copy_(rows.mean(0))
        self.std.copy_(rows.std(0).clamp(min=1e-3))
        return Split({name: z.cpu() for name, z in encoded.items()}, train.index, train.labels)

    def encode(self, name, items):
        parts = [self.encoders[name](part.to(self.device))[0].float() for part in items.split(1024)]
        return torch.cat(parts)

    def flow_loss(self, batch, generator):
        z = (torch.cat([batch[name] for name in self.dataset.names], dim=1) - self.mean) / self.std
        free = self.masks[torch.randint(len(self.masks), (len(z),), generator=generator, device=self.device)]
        t = torch.rand(len(z), 1, generator=generator, device=self.device)
        noise = torch.randn(z.shape, generator=generator, device=self.device)
        seen = free * ((1 - t) * noise + t * z) + (1 - free) * z
        error = free * (self.velocity(torch.cat([seen, free, t], dim=1)).float() - (z - noise))
        return {"loss": error.square().sum(1).mean()}

    def generate(self, given, targets, *, count, generator):
        names, noise = self.dataset.names, Noise(generator, count, self.device)
        known = {
            n: self.encode(n, given[n]) if n in given else self.mean.new_zeros(count, self.sizes[n]) for n in names
        }
        known = (torch.cat([known[n] for n in names], dim=1) - self.mean) / self.std
        free, steps = self.mask(given).to(self.device).expand(count, -1), self.config.euler_steps
        z = torch.where(free.bool(), noise.normal(known.shape[1]), known)
        for step in range(steps):
            t = z.new_full((count, 1), step / steps)
            z = z + free * self.velocity(torch.cat([z, free, t], dim=1)).float() / steps
        parts = (z * self.std + self.mean).split(list(self.sizes.values()), dim=1)
        latents = dict(zip(names, parts, strict=True))
        return {n: decoded(self.dataset.modality(n), self.decoders[n](latents[n])) for n in targets}

    def mask(self, given):
        """1 on the latents that are generated, 0 on those of the given modalities: (D,)."""
        return torch.cat([torch.full((size,), float(name not in given)) for name, size in self.sizes.items()])
