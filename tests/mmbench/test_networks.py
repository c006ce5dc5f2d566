"""The shared networks: the published parameter counts, shapes, and batches of one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmbench.errors import PluginError
from mmbench.modality import Modality
from mmbench.networks import Architecture, Networks

MNIST = Modality(name="mnist", shape=(1, 28, 28), network="mnist_mlp", latent=16)
SVHN = Modality(name="svhn", shape=(3, 32, 32), network="svhn_conv", latent=64)
NAME = Modality(
    name="name", shape=(5,), network="word_mlp", latent=8, likelihood="categorical", vocabulary=tuple("abcdefg")
)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("modality", "latent", "heads", "encoder", "decoder"),
    [
        (MNIST, 20, 2, 330_040, 322_784),
        (SVHN, 20, 2, 247_560, 206_563),
        (SVHN, 64, 1, 296_736, 296_675),
    ],
)
def test_published_parameter_counts(modality: Modality, latent: int, heads: int, encoder: int, decoder: int) -> None:
    networks = Networks()
    assert count(networks.encoder(modality, latent, heads)) == encoder
    assert count(networks.decoder(modality, latent)) == decoder


@pytest.mark.parametrize("modality", [MNIST, SVHN, NAME], ids=lambda m: m.name)
@pytest.mark.parametrize("batch", [1, 3])
def test_shapes_and_ranges(modality: Modality, batch: int) -> None:
    encoder, decoder = Networks().encoder(modality, 6, heads=2), Networks().decoder(modality, 6)
    x = torch.zeros(batch, *modality.shape, dtype=torch.int64 if modality.is_text else torch.float32)
    heads = encoder(x)
    assert [tuple(head.shape) for head in heads] == [(batch, 6)] * 2
    output = decoder(heads[0])
    if modality.is_text:
        assert output.shape == (batch, *modality.shape, len(modality.vocabulary))
    else:
        assert output.shape == x.shape
        assert output.min() >= 0
        assert output.max() <= 1


def test_the_mlp_takes_any_image_shape() -> None:
    tiny = Modality(name="tiny", shape=(1, 4, 4), network="mnist_mlp", latent=2)
    assert Networks().decoder(tiny, 2)(Networks().encoder(tiny, 2, 1)(torch.zeros(2, 1, 4, 4))[0]).shape == (2, 1, 4, 4)


def test_an_unknown_network_is_refused_with_the_near_match() -> None:
    wrong = Modality(name="x", shape=(1, 4, 4), network="mnist_mlpp", latent=2)
    with pytest.raises(PluginError, match="did you mean 'mnist_mlp'"):
        Networks().encoder(wrong, 2)


def test_a_stranger_adds_an_architecture() -> None:
    mine = Architecture(lambda modality, latent, heads: nn.Identity(), lambda modality, latent: nn.Flatten())
    modality = Modality(name="x", shape=(1, 4, 4), network="mine", latent=2)
    networks = Networks(extra={"mine": mine})
    assert isinstance(networks.encoder(modality, 2), nn.Identity)
    assert isinstance(networks.decoder(modality, 2), nn.Flatten)
