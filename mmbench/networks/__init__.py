"""The suite's shared networks: every model gets the same encoder and decoder of a modality.

A modality names its architecture (`Modality.network`); `Networks` builds it. An encoder maps (B, *shape) to a tuple of
`heads` tensors (B, latent); a decoder maps (B, latent) to the location in [0, 1] (B, *shape) of an image, or to the
logits (B, length, vocabulary) of a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import nn

from ..errors import PluginError, near
from ..modality import Modality
from .images import MnistDecoder, MnistEncoder, SvhnDecoder, SvhnEncoder
from .text import WordDecoder, WordEncoder

__all__ = ["Architecture", "Networks"]


class EncoderFactory(Protocol):
    def __call__(self, modality: Modality, latent: int, heads: int) -> nn.Module: ...


class DecoderFactory(Protocol):
    def __call__(self, modality: Modality, latent: int) -> nn.Module: ...


@dataclass(frozen=True)
class Architecture:
    """A pair of factories; see the module's docstring for what they build."""

    encoder: EncoderFactory
    decoder: DecoderFactory


BUILT_IN: Mapping[str, Architecture] = {
    "mnist_mlp": Architecture(MnistEncoder, MnistDecoder),
    "svhn_conv": Architecture(SvhnEncoder, SvhnDecoder),
    "word_mlp": Architecture(WordEncoder, WordDecoder),
}


@dataclass(frozen=True)
class Networks:
    """The registry of architectures; `extra` adds a stranger's."""

    extra: Mapping[str, Architecture] = field(default_factory=dict)

    def encoder(self, modality: Modality, latent: int, heads: int = 2) -> nn.Module:
        """Encoder of a modality: (B, *shape) -> `heads` tensors (B, latent)."""
        return self._architecture(modality).encoder(modality, latent, heads)

    def decoder(self, modality: Modality, latent: int) -> nn.Module:
        """Decoder of a modality: (B, latent) -> location (B, *shape), or logits (B, length, vocabulary)."""
        return self._architecture(modality).decoder(modality, latent)

    def _architecture(self, modality: Modality) -> Architecture:
        known = {**BUILT_IN, **self.extra}
        if modality.network not in known:
            raise PluginError(
                f"modality {modality.name!r} asks for the unknown network {modality.network!r}; "
                + near(modality.network, known)
            )
        return known[modality.network]
