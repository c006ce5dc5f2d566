"""The deterministic autoencoder of one modality: the first stage of MLD (Section 2.1, Appendix A.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmbench.likelihoods import decoded, nll, reconstruction_skills
from mmbench.modality import Modality
from mmbench.networks import Networks, in_parts
from mmbench.seeding import derive, seeded_globally

__all__ = ["Autoencoder", "autoencoders"]


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
    def skill(self, x: Tensor) -> dict[str, float]:
        """The skill of the reconstruction of items x (n, *shape), and for texts the share of right tokens.

        With the L1 loss an autoencoder can fall into answering one constant image within its first epoch, and every
        later stage still runs.
        """
        return reconstruction_skills(self.modality, x, self.decode(self.encode(x)))


def autoencoders(own: Sequence[Modality], used: Sequence[Modality], networks: Networks) -> nn.ModuleDict:
    """New autoencoders of the modalities as `used`; `own` are the same with the dataset's own architectures.

    All of `own` are drawn, in order; one of another architecture then takes a place, drawn from a seed of its own. So
    those that variants of MLD have in common start from the same weights, and so does all that is drawn later.
    """
    made = {m.name: Autoencoder(m, networks) for m in own}
    for before, m in zip(own, used, strict=True):
        if m.network != before.network:
            with seeded_globally(derive(torch.initial_seed(), m.name)):
                made[m.name] = Autoencoder(m, networks)
    return nn.ModuleDict(made)
