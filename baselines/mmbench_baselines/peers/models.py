"""multivae's models, one class each: what differs from `Peer` in the way it is called."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mmbench.data.dataset import Split
from mmbench.modality import DatasetSpec, Modality
from mmbench.model import Batch, Stage
from mmbench.networks import Networks
from mmbench.seeding import Noise

from .config import (
    PSEUDO_EPOCHS,
    CRMVAEConfig,
    JMVAEConfig,
    MVAEConfig,
    MVTCAEConfig,
    NexusConfig,
    TwinConfig,
)
from .mixture_config import CMVAEConfig, MixtureConfig, PrivateConfig, PrivateMixtureConfig
from .noise import whole
from .peer import Peer

__all__ = ["CMVAE", "CRMVAE", "DMVAE", "JMVAE", "MMVAE", "MVAE", "MVTCAE", "MMVAEPlus", "MoPoE", "Nexus", "WarmedUp"]


class CRMVAE(Peer):
    """Suzuki and Matsuo, "Mitigating the limitations of multimodal VAEs with coordination-based approach", 2022."""

    Config, title, summed = CRMVAEConfig, "CRMVAE", True


class MVTCAE(Peer):
    """Hwang et al., 2021; twin of `mvtcae`."""

    Config, title = MVTCAEConfig, "MVTCAE"


class MoPoE(Peer):
    """Sutter et al., 2021; twin of `mopoe`."""

    Config, title = TwinConfig, "MoPoE"

    def inputs(self, batch: Batch) -> Any:
        """multivae encodes all modalities before it takes the subset's: zeros stand for those that are not given."""
        rows, device = len(next(iter(batch.values()))), next(iter(batch.values())).device
        blank = {
            m.name: torch.zeros(rows, *m.shape, dtype=torch.int64 if m.is_text else torch.float32, device=device)
            for m in self.dataset.modalities
        }
        return super().inputs({**blank, **batch})


class DMVAE(Peer):
    """Lee and Pavlovic, "Private-shared disentangled multimodal VAE for learning of latent representations", 2021."""

    Config, title = PrivateConfig, "DMVAE"

    def sizes(self, modality: Modality) -> tuple[int, int]:
        return self.config.latent, self.config.private


class Mixture(Peer):
    """Where several modalities are given, multivae draws the shared latent of a whole batch from one of them, drawn by
    numpy; here each sample has its own."""

    summed = True

    def posterior(self, given: Batch, noise: Noise) -> Any:
        names = self.present(given)
        component = whole(noise, len(names))
        every = [self.encoded(given, copy.copy(noise), chosen=name) for name in names]
        found = every[0]
        found.z = torch.stack([one.z for one in every])[component, torch.arange(len(noise), device=component.device)]
        return found


class MMVAE(Mixture):
    """Shi et al., 2019; twin of `mmvae_dreg`."""

    Config, title = MixtureConfig, "MMVAE"


class MMVAEPlus(Mixture):
    """Palumbo, Daunhawer and Vogt, "MMVAE+: enhancing the generative quality of multimodal VAEs without compromises",
    ICLR 2023."""

    Config, title = PrivateMixtureConfig, "MMVAEPlus"

    def sizes(self, modality: Modality) -> tuple[int, int]:
        return self.config.latent, self.config.private


class CMVAE(MMVAEPlus):
    """Palumbo et al., "Deep generative clustering with multimodal diffusion variational autoencoders", ICLR 2024,
    without its diffusion decoders."""

    Config, title = CMVAEConfig, "CMVAE"


class WarmedUp(Peer):
    """A model whose KL terms rise over the first epochs. A buffer counts the steps, so that a resumed run goes on where
    it stopped; multivae is told an epoch of a hundred."""

    steps_done: Tensor
    warmup_steps: Tensor

    def __init__(self, dataset: DatasetSpec, config: Any, networks: Networks) -> None:
        super().__init__(dataset, config, networks)
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))
        self.register_buffer("warmup_steps", torch.zeros((), dtype=torch.int64))
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
        self.warmup_steps.fill_(round(self.config.warmup * total_steps))

    def clock(self) -> Mapping[str, Any]:
        if self.training:
            self.steps_done += 1
        share = min(1.0, self.steps_done.item() / max(1, self.warmup_steps.item())) if self.warmup_steps else 1.0
        return {"epoch": self.epoch(share)}

    def epoch(self, share: float) -> float:
        """The epoch in which multivae weighs the KL terms by `share`: epoch / 100."""
        return PSEUDO_EPOCHS * share


class MVAE(WarmedUp):
    """Wu and Goodman, 2018; twin of `mvae`."""

    Config, title = MVAEConfig, "MVAE"

    def epoch(self, share: float) -> float:
        """Here (epoch - 1) / 100."""
        return PSEUDO_EPOCHS * share + 1


class JMVAE(WarmedUp):
    """Suzuki, Nakayama and Matsuo, "Joint multimodal learning with deep generative models", 2016."""

    Config, title = JMVAEConfig, "JMVAE"

    def parts(self, networks: Networks) -> dict[str, Any]:
        from .networks import JointEncoder

        joint = JointEncoder(networks, self.dataset, self.config.latent)
        return {**super().parts(networks), "joint_encoder": joint}


class Nexus(WarmedUp):
    """Vasco et al., 2022; twin of `nexus`."""

    Config, title = NexusConfig, "Nexus"

    def sizes(self, modality: Modality) -> tuple[int, int]:
        return modality.latent, 0

    def assembled(self, networks: Networks) -> Any:
        """multivae's networks of the upper level; a message has no log-variance."""
        model = super().assembled(networks)
        for encoder in model.top_encoders.values():
            encoder.log_var.requires_grad_(False)
        return model
