"""A network of one's own: an encoder and a decoder of convolutions, for images whose sides are multiples of four."""

from torch import nn

from mmbench.errors import PluginError
from mmbench.networks import Architecture


class Encoder(nn.Module):
    """Images (B, C, H, W) -> a tuple of `heads` tensors (B, latent)."""

    def __init__(self, modality, latent, heads):
        super().__init__()
        channels, height, width = sides(modality)
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, 32, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
        )
        self.heads = nn.ModuleList(nn.Linear(64 * (height // 4) * (width // 4), latent) for _ in range(heads))

    def forward(self, x):
        features = self.trunk(x)
        return tuple(head(features) for head in self.heads)


class Decoder(nn.Sequential):
    """Latents (B, latent) -> images (B, C, H, W) in [0, 1]."""

    def __init__(self, modality, latent):
        channels, height, width = sides(modality)
        super().__init__(
            nn.Linear(latent, 64 * (height // 4) * (width // 4)),
            nn.SiLU(),
            nn.Unflatten(1, (64, height // 4, width // 4)),
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(32, channels, 4, stride=2, padding=1),
            nn.Sigmoid(),
        )


def sides(modality):
    """(C, H, W), or one sentence that says why not."""
    if modality.is_text or modality.shape[1] % 4 or modality.shape[2] % 4:
        raise PluginError(f"small_conv is for images whose sides are multiples of 4, not {modality.shape}")
    return modality.shape


SMALL_CONV = Architecture(Encoder, Decoder)
