"""Networks of texts. Decoders give logits, encoders read tokens; nothing one-hot is kept in memory."""

from __future__ import annotations

from torch import Tensor, nn

from ..modality import Modality

__all__ = ["WordDecoder", "WordEncoder"]


class WordEncoder(nn.Module):
    """A short word, letter by letter: embedding (16 per letter) -> 128 -> `heads` x latent."""

    def __init__(self, modality: Modality, latent: int, heads: int) -> None:
        super().__init__()
        (length,) = modality.shape
        self.body = nn.Sequential(
            nn.Embedding(len(modality.vocabulary), 16), nn.Flatten(), nn.Linear(16 * length, 128), nn.ReLU()
        )
        self.heads = nn.ModuleList(nn.Linear(128, latent) for _ in range(heads))

    def forward(self, tokens: Tensor) -> tuple[Tensor, ...]:
        h = self.body(tokens)
        return tuple(head(h) for head in self.heads)


class WordDecoder(nn.Module):
    """latent -> 128 -> logits (length, vocabulary)."""

    def __init__(self, modality: Modality, latent: int) -> None:
        super().__init__()
        (length,) = modality.shape
        self.body = nn.Sequential(
            nn.Linear(latent, 128),
            nn.ReLU(),
            nn.Linear(128, length * len(modality.vocabulary)),
            nn.Unflatten(1, (length, len(modality.vocabulary))),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z)
