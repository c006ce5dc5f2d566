"""The deterministic autoencoder of one modality: the first stage of MLD (Section 2.1, Appendix A.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmbench.errors import TrainingError
from mmbench.likelihoods import decoded, nll, reconstruction_skills
from mmbench.modality import Modality
from mmbench.networks import Networks, in_parts

__all__ = ["COLLAPSED", "Autoencoder", "check_reconstruction"]

COLLAPSED = 0.05
"""A reconstruction skill below this is a collapse: the autoencoder does hardly better than one constant item."""


class Autoencoder(nn.Module):
    """z = e(x) (B, latent) and the decoder's output d(z); trained with the VAEs' reconstruction term alone."""

    def __init__(self, modality: Modality, networks: Networks) -> None:
        super().__init__()
        self.modality = modality
        self.encoder = networks.encoder(modality, modality.latent, heads=1)
        self.decoder = networks.decoder(modality, modality.latent)

    def encode(self, x: Tensor) -> Tensor:
        """(B, *shape) -> (B, latent)."""
        (z,) = in_parts(self.encoder, self.modality, x)
        return z.float()

    def decode(self, z: Tensor) -> Tensor:
        """(B, latent) -> items (B, *shape): images in [0, 1], or tokens."""
        return decoded(self.modality, in_parts(self.decoder, self.modality, z))

    def loss(self, x: Tensor) -> Tensor:
        """-log p(x | d(e(x))), mean over the batch."""
        return nll(self.modality, self.decoder(self.encode(x)).float(), x).mean()


@torch.no_grad()
def check_reconstruction(autoencoder: Autoencoder, x: Tensor, stage: str) -> dict[str, float]:
    """The skill of the reconstruction of held-out items x (n, *shape), and for texts the share of right tokens.

    Raises TrainingError where the autoencoder has collapsed: with the L1 loss it can fall into answering one constant
    image within its first epoch, and every later stage still runs.
    """
    reconstruction = autoencoder.decode(autoencoder.encode(x))
    quality = reconstruction_skills(autoencoder.modality, x, reconstruction)
    skill = quality["skill"]
    if not skill >= COLLAPSED:  # a NaN too
        raise TrainingError(
            f"stage {stage!r} has collapsed: its reconstructions of held-out {autoencoder.modality.name!r} items are "
            f"hardly better than one constant item (skill {skill:.3f}, needed {COLLAPSED}); lower its learning rate, "
            f"lengthen its warm-up, or try another seed"
        )
    return quality
