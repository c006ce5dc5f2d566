"""The convolutional networks of captions: texts of 2^n tokens (CUB: 32) from a vocabulary of about 1,600 words.

Source: Daunhawer et al., "On the limitations of multimodal VAEs", ICLR 2022 (architecture, as the paper's code has it);
Bounoua et al., Appendix C.2. The code's encoder and decoder register two more residual blocks 160 -> 160 each that it
never calls, 2 x 231,840 parameters; they are left out here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear, pad

from ..errors import ConfigError
from ..modality import Modality

__all__ = ["CaptionDecoder", "CaptionEncoder", "LogitConv1d", "ResBlock1d", "TokenConv1d"]

BASE = 32
"""Channels after the first convolution; each residual block adds as many."""


class TokenConv1d(nn.Conv1d):
    """nn.Conv1d of the one-hot code of tokens (B, length), without making it: each token picks its row of every tap."""

    def forward(self, input: Tensor) -> Tensor:
        (taps,), (stride,), (padding,) = self.kernel_size, self.stride, self.padding
        table = self.weight.permute(1, 2, 0).flatten(1)
        rows = embedding(input, table).unflatten(2, (taps, self.out_channels))
        rows = pad(rows, (0, 0, 0, 0, int(padding), int(padding)))
        last = rows.shape[1] - taps + 1
        picked = sum(rows[:, tap : tap + last : stride, tap] for tap in range(taps))
        assert isinstance(picked, Tensor)
        return (picked if self.bias is None else picked + self.bias).transpose(1, 2)


class LogitConv1d(nn.ConvTranspose1d):
    """nn.ConvTranspose1d(a, vocabulary, 4, 2, 1), answer (B, 2 length, vocabulary): two matrix products.

    An even position sees taps 1 and 3 of its own and the position before, an odd one taps 2 and 0 of its own and the
    next. The channels come last, where the softmax over the vocabulary wants them.
    """

    def __init__(self, a: int, vocabulary: int) -> None:
        super().__init__(a, vocabulary, 4, 2, 1)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        x = pad(input.transpose(1, 2), (0, 0, 1, 1))
        before, own, after = x[:, :-2], x[:, 1:-1], x[:, 2:]
        even = linear(torch.cat((own, before), 2), self._taps(1, 3), self.bias)
        odd = linear(torch.cat((own, after), 2), self._taps(2, 0), self.bias)
        return torch.stack((even, odd), 2).flatten(1, 2)

    def _taps(self, *taps: int) -> Tensor:
        """(vocabulary, 2 a)."""
        return torch.cat([self.weight[:, :, tap] for tap in taps]).T


class ResBlock1d(nn.Module):
    """y = 2.0 skip(x) + 0.3 main(x): (B, a, length) -> (B, b, length / 2), or twice the length with ConvTranspose1d.

    main: BatchNorm -> ReLU -> 1x1 convolution -> dropout 0.5 -> BatchNorm -> ReLU -> strided convolution -> dropout
    0.5; skip: strided convolution -> BatchNorm.
    """

    def __init__(self, a: int, b: int, conv: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.BatchNorm1d(a), nn.ReLU(), conv(a, a, 1), nn.Dropout(0.5),
            nn.BatchNorm1d(a), nn.ReLU(), conv(a, b, 4, 2, 1), nn.Dropout(0.5),
        )  # fmt: skip
        self.skip = nn.Sequential(conv(a, b, 4, 2, 1), nn.BatchNorm1d(b))

    def forward(self, x: Tensor) -> Tensor:
        return 2.0 * self.skip(x) + 0.3 * self.main(x)


class CaptionEncoder(nn.Module):
    """Tokens (B, length) -> `heads` x latent. 32 tokens, 1,590 words, latent 32, 2 heads: 575,648 parameters.

    The paper's code counts 1,039,328: two residual blocks that are never called (463,680) and, for MLD, a second head.
    """

    def __init__(self, modality: Modality, latent: int, heads: int) -> None:
        super().__init__()
        widths = _widths(modality)
        self.body = nn.Sequential(
            TokenConv1d(len(modality.vocabulary), widths[0], 4, 2, 1),
            *(ResBlock1d(a, b, nn.Conv1d) for a, b in zip(widths, widths[1:], strict=False)),
            nn.Flatten(),
            nn.ReLU(),
        )
        self.heads = nn.ModuleList(nn.Linear(widths[-1], latent) for _ in range(heads))

    def forward(self, tokens: Tensor) -> tuple[Tensor, ...]:
        h = self.body(tokens)
        return tuple(head(h) for head in self.heads)


class CaptionDecoder(nn.Module):
    """latent -> logits (B, length, vocabulary). 32 tokens, 1,590 words, latent 32: 596,886 parameters.

    The paper's code counts 1,060,566: two residual blocks are never called (463,680). Its softmax over the vocabulary
    belongs to the likelihood here.
    """

    def __init__(self, modality: Modality, latent: int) -> None:
        super().__init__()
        widths = _widths(modality)[::-1]
        self.body = nn.Sequential(
            nn.Linear(latent, widths[0]),
            nn.Unflatten(1, (widths[0], 1)),
            *(ResBlock1d(a, b, nn.ConvTranspose1d) for a, b in zip(widths, widths[1:], strict=False)),
            LogitConv1d(widths[-1], len(modality.vocabulary)),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z)


def _widths(modality: Modality) -> list[int]:
    """Channels at half the length, a quarter of it, ..., one position: 32, 64, 96, 128, 160 for 32 tokens."""
    (length,) = modality.shape if len(modality.shape) == 1 else (0,)
    if length < 2 or length & (length - 1):
        raise ConfigError(
            f"modality {modality.name!r}: caption_conv takes texts of 2, 4, 8, ... tokens, got {modality.shape}"
        )
    return [BASE * (k + 1) for k in range(length.bit_length() - 1)]
