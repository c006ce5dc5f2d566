"""MHVAE: a hierarchy of shared latents."""

from __future__ import annotations

from typing import Any

from torch import nn

from mmbench.networks import Networks
from mmbench.seeding import Noise

from ..experts import Gaussian
from .config import HierarchyConfig
from .joint import embedding
from .peer import Peer

__all__ = ["MHVAE"]


class MHVAE(Peer):
    """Dorent et al., "Unified brain MR-ultrasound synthesis using multi-modal hierarchical representations", 2023.

    The suite's encoder of a modality is the first block upwards, its decoder the last one downwards; between them are
    small blocks, LayerNorm - Linear - SiLU: an encoder's features may be large, and an expert's variance is exponential
    in them.
    """

    Config, title, summed = HierarchyConfig, "MHVAE", True

    def parts(self, networks: Networks) -> dict[str, Any]:
        from .networks import Decoder, Features, Head

        latent, width, between = self.config.latent, self.config.width, self.config.levels - 1
        names, modalities = self.dataset.names, self.dataset.modalities

        def head(size: int) -> nn.Module:
            return Head(size, latent, nn.LayerNorm(size))

        return {
            "encoders": {m.name: Features(networks, m, width) for m in modalities},
            "decoders": {m.name: Decoder(networks, m, latent) for m in modalities},
            "bottom_up_blocks": {
                name: [*(block(width, width) for _ in range(between - 1)), head(width)] for name in names
            },
            "top_down_blocks": [block(latent, width) for _ in range(between)],
            "posterior_blocks": {name: [head(2 * width) for _ in range(between)] for name in names},
            "prior_blocks": [head(width) for _ in range(between)],
        }

    def prior(self, noise: Noise) -> Any:
        """Down the hierarchy: z_L ~ N(0, I), then z_l ~ p(z_l | z_{l+1})."""
        z = noise.normal(self.config.latent)
        for down, head in zip(reversed(self.blocks("top_down")), reversed(self.blocks("prior")), strict=True):
            output = head(down(z))
            z = Gaussian(output.embedding, output.log_covariance).sample(noise.normal(self.config.latent))
        return embedding(z)

    def blocks(self, kind: str) -> list[nn.Module]:
        return list(getattr(self.model, f"{kind}_blocks"))


def block(a: int, b: int) -> nn.Module:
    """LayerNorm - Linear - SiLU."""
    return nn.Sequential(nn.LayerNorm(a), nn.Linear(a, b), nn.SiLU())
