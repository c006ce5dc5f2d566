"""The suite's shared networks: every model gets the same encoder and decoder of a modality.

A modality names its architecture (`Modality.network`, or `--network MODALITY=NAME` for all models of a run); `Networks`
builds it. An encoder maps (B, *shape) to a tuple of
`heads` tensors (B, latent); a decoder maps (B, latent) to the location (B, *shape) of an image, or to the logits
(B, length, vocabulary) of a text. A location may leave [0, 1] where the published decoder has no sigmoid (`cub_resnet`,
`kl_autoencoder`, `polymnist_conv`): the likelihood takes it as it is, and `likelihoods.decoded` clamps it. Layers may
draw from torch's global random state while they train (dropout): the harness seeds it for each step (`training`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .. import plugins
from ..described import described
from ..errors import PluginError, near
from ..modality import Modality
from .captions import CaptionDecoder, CaptionEncoder
from .images import MnistDecoder, MnistEncoder, SvhnDecoder, SvhnEncoder
from .kl_autoencoder import KLDecoder, KLEncoder, kl_latent
from .polymnist import PolymnistDecoder, PolymnistEncoder
from .resnet import ResnetDecoder, ResnetEncoder
from .text import WordDecoder, WordEncoder

__all__ = ["BUILT_IN", "Architecture", "Networks", "in_parts", "load"]


class EncoderFactory(Protocol):
    def __call__(self, modality: Modality, latent: int, heads: int) -> nn.Module: ...


class DecoderFactory(Protocol):
    def __call__(self, modality: Modality, latent: int) -> nn.Module: ...


@described
@dataclass(frozen=True)
class Architecture:
    """A pair of factories; see the module's docstring for what they build."""

    encoder: EncoderFactory
    decoder: DecoderFactory
    latent: Callable[[Modality], int] | None = None
    """The size of the latent, where the architecture fixes it."""


BUILT_IN: Mapping[str, Architecture] = {
    "caption_conv": Architecture(CaptionEncoder, CaptionDecoder),
    "cub_resnet": Architecture(ResnetEncoder, ResnetDecoder),
    "kl_autoencoder": Architecture(KLEncoder, KLDecoder, kl_latent),
    "mnist_mlp": Architecture(MnistEncoder, MnistDecoder),
    "polymnist_conv": Architecture(PolymnistEncoder, PolymnistDecoder),
    "svhn_conv": Architecture(SvhnEncoder, SvhnDecoder),
    "word_mlp": Architecture(WordEncoder, WordDecoder),
}


@dataclass(frozen=True)
class Networks:
    """The registry of architectures: the suite's, `extra`, and those of the entry points `mmbench.networks`."""

    extra: Mapping[str, Architecture] = field(default_factory=dict)

    def encoder(self, modality: Modality, latent: int, heads: int = 2) -> nn.Module:
        """Encoder of a modality: (B, *shape) -> `heads` tensors (B, latent)."""
        return self._architecture(modality).encoder(modality, latent, heads)

    def decoder(self, modality: Modality, latent: int) -> nn.Module:
        """Decoder of a modality: (B, latent) -> location (B, *shape), or logits (B, length, vocabulary)."""
        return self._architecture(modality).decoder(modality, latent)

    def latent(self, modality: Modality) -> int:
        """The size of a modality's own latent: what its architecture fixes, or else `modality.latent`."""
        fixed = self._architecture(modality).latent
        return fixed(modality) if fixed else modality.latent

    def _architecture(self, modality: Modality) -> Architecture:
        known, name = {**BUILT_IN, **self.extra}, modality.network
        if name in known:
            return known[name]
        installed = plugins.available(plugins.NETWORKS)
        if ":" not in name and name not in installed:
            raise PluginError(
                f"modality {modality.name!r} asks for the unknown network {name!r}; {near(name, [*known, *installed])}"
            )
        return load(name)


def load(name: str) -> Architecture:
    """A network by its name, built in, installed or 'module:NAME'. Raises PluginError for what is none."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    installed = plugins.available(plugins.NETWORKS)
    if ":" not in name and name not in installed:
        own = "; one that is not installed is named module:NAME"
        raise PluginError(f"there is no network {name!r}; {near(name, [*BUILT_IN, *installed])}{own}")
    found = plugins.load(plugins.NETWORKS, name)
    if not isinstance(found, Architecture):
        kind = f"a {type(found).__name__}" if not isinstance(found, type) else f"the class {found.__name__}"
        raise PluginError(f"the network {name!r} must be an Architecture(encoder, decoder), and is {kind}")
    return found


PART = 2**20
"""Values that a network takes or gives at once where no gradient is asked for."""


def in_parts(network: nn.Module, modality: Modality, x: Tensor) -> Any:
    """network(x) of a modality's encoder or decoder, with rows cut into parts where no gradient is asked for.

    The activations of 64x64 images take a megabyte and more each, a caption's logits nearly as much; rows do not depend
    on each other outside of training.
    """
    if torch.is_grad_enabled() or network.training:
        return network(x)
    rows = max(1, PART // (modality.size * max(1, len(modality.vocabulary))))
    parts = [network(part) for part in x.split(rows)]
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    return tuple(torch.cat(heads) for heads in zip(*parts, strict=True))
