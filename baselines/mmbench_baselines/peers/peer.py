"""One of multivae's models as a model of this suite: assembled from the suite's networks, trained, sampled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from mmbench.data.dataset import Split
from mmbench.likelihoods import COLLAPSED, decoded, nll
from mmbench.modality import DatasetSpec, Modality
from mmbench.model import Batch, Model, Stage
from mmbench.networks import Networks
from mmbench.seeding import Noise

from ..vae import reconstructions
from . import library
from .config import PeerConfig
from .noise import SampleNoise, choosing, drawing_from

__all__ = ["Peer"]

DISTRIBUTIONS = {"laplace": "laplace", "gaussian": "normal", "categorical": "categorical"}
"""The suite's likelihoods in multivae's words."""


class Peer(Model):
    """A subclass names multivae's class, and gives what that asks for beside encoders and decoders."""

    title: ClassVar[str]
    """Name of the class in `multivae.models`; its configuration's is the same with 'Config'."""
    summed: ClassVar[bool] = False
    """Whether its loss is the sum over the batch, not the mean."""
    config: Any
    model: Any
    """multivae's."""

    def __init__(self, dataset: DatasetSpec, config: PeerConfig, networks: Networks) -> None:
        super().__init__()
        self.dataset, self.config = dataset, config
        self.model = self.assembled(networks)
        for m in dataset.modalities:
            self.model.recon_log_probs[m.name] = log_likelihood(m)

    @classmethod
    def build(cls, dataset: DatasetSpec, config: Any, networks: Networks) -> Self:
        return cls(dataset, config, networks)

    def assembled(self, networks: Networks) -> Any:
        """multivae's model with the suite's networks."""
        models, modalities = library.models(), self.dataset.modalities
        settings = getattr(models, f"{self.title}Config")(
            n_modalities=len(modalities),
            latent_dim=self.config.latent,
            input_dims={m.name: m.shape for m in modalities},
            uses_likelihood_rescaling=True,
            rescale_factors={m.name: m.weight for m in modalities},
            decoders_dist={m.name: DISTRIBUTIONS[m.likelihood] for m in modalities},
            decoder_dist_params={m.name: {} if m.is_text else {"scale": m.scale} for m in modalities},
            **self.config.own(self.dataset),
        )
        return getattr(models, self.title)(settings, **self.parts(networks))

    def parts(self, networks: Networks) -> dict[str, Any]:
        """Encoders, decoders and what else the class is built from."""
        from .networks import Decoder, Encoder

        encoders, decoders = {}, {}
        for m in self.dataset.modalities:
            latent, private = self.sizes(m)
            encoders[m.name] = Encoder(networks, m, latent, private)
            decoders[m.name] = Decoder(networks, m, latent + private)
        return {"encoders": encoders, "decoders": decoders}

    def sizes(self, modality: Modality) -> tuple[int, int]:
        """Sizes of a modality's shared and own latent."""
        return self.config.latent, 0

    def stages(self) -> Sequence[Stage]:
        return (self.stage("elbo", self),)

    def stage(self, name: str, module: nn.Module, **changes: Any) -> Stage:
        """The last stage, which is judged by how each modality is reconstructed from itself."""
        least = {f"skill {n}": COLLAPSED for n in self.dataset.names}
        own = {"schedule": self.config.schedule, "loss": self.loss, "skill": self.skill, "least": least}
        return Stage(name=name, module=module, **{**own, **changes})

    def skill(self, held_out: Split) -> dict[str, float]:
        return reconstructions(self, held_out)

    def loss(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        with drawing_from(generator), made_on(self.device):
            loss = self.model(self.inputs(batch), **self.clock()).loss
        return {"loss": loss / len(next(iter(batch.values()))) if self.summed else loss}

    def clock(self) -> Mapping[str, Any]:
        """What multivae's loss takes of the training's progress."""
        return {}

    def inputs(self, batch: Batch) -> Any:
        from multivae.data.datasets.base import MultimodalBaseDataset  # pyright: ignore[reportMissingImports]

        return MultimodalBaseDataset(data=dict(batch))

    @torch.no_grad()
    def generate(
        self, given: Batch, targets: Sequence[str], *, count: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        noise = Noise(generator, count, self.device)
        self.model.device = self.device
        with modes_kept(self), made_on(self.device):
            embedding = self.posterior(given, noise) if given else self.prior(noise)
            made = self.model.decode(embedding, list(targets))
        return {name: self.item(name, made[name], count) for name in targets}

    def item(self, name: str, output: Tensor, count: int) -> Tensor:
        """A decoder's output, which may lack the batch's extent where there is one sample, as items."""
        modality = self.dataset.modality(name)
        tail = output.shape[-len(modality.shape) - modality.is_text :]
        return decoded(modality, output.reshape(count, *tail))

    def posterior(self, given: Batch, noise: Noise) -> Any:
        """multivae's embedding of what is given."""
        return self.encoded(given, noise)

    def encoded(self, given: Batch, noise: Noise, chosen: str | None = None, **settings: Any) -> Any:
        with SampleNoise(noise), choosing(chosen):
            return self.model.encode(self.inputs(given), cond_mod=self.present(given), **settings)

    def prior(self, noise: Noise) -> Any:
        """multivae's embedding of samples from the prior."""
        with SampleNoise(noise):
            return self.model.generate_from_prior(len(noise))

    def present(self, given: Batch) -> list[str]:
        """The given modalities in the dataset's order."""
        return [name for name in self.dataset.names if name in given]


def log_likelihood(modality: Modality) -> Any:
    """log p(x | z) as multivae calls it, (..., B, 1): it sums over the last extent."""

    def log_probability(output: Tensor, x: Tensor) -> Tensor:
        return -nll(modality, output, x)[..., None]

    return log_probability


def made_on(device: torch.device) -> AbstractContextManager[Any]:
    """Tensors that multivae makes without saying where are made on a device other than the CPU inside."""
    return nullcontext() if device.type == "cpu" else device


@contextmanager
def modes_kept(model: nn.Module) -> Iterator[None]:
    """multivae's code calls eval(); the modes are put back after."""
    modes = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
