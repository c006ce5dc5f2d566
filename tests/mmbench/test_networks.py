"""The shared networks: the published parameter counts, shapes, and batches of one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from mmbench.errors import ConfigError, PluginError
from mmbench.modality import Modality
from mmbench.networks import Architecture, Networks

MNIST = Modality(name="mnist", shape=(1, 28, 28), network="mnist_mlp", latent=16)
SVHN = Modality(name="svhn", shape=(3, 32, 32), network="svhn_conv", latent=64)
VIEW = Modality(name="m0", shape=(3, 28, 28), network="polymnist_conv", latent=160)
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
        # conv 896 + 18,496 + 73,856, hidden 2048 L + L, heads L L + L; back: 2048 L + 2048, 73,792 + 18,464 + 867
        (VIEW, 512, 2, 1_667_648, 1_143_747),
        (VIEW, 160, 1, 446_848, 422_851),
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


def test_polymnists_networks_layer_by_layer() -> None:
    """Kernel 3, stride 2, padding 1 and ReLU; the transposed ones have an output padding but the first; no sigmoid."""
    encoder, decoder = Networks().encoder(VIEW, 6, heads=2), Networks().decoder(VIEW, 6)
    down = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]
    up = [layer for layer in decoder.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [(c.in_channels, c.out_channels) for c in down] == [(3, 32), (32, 64), (64, 128)]
    assert [(c.in_channels, c.out_channels) for c in up] == [(128, 64), (64, 32), (32, 3)]
    assert {(c.kernel_size, c.stride, c.padding) for c in (*down, *up)} == {((3, 3), (2, 2), (1, 1))}
    assert [c.output_padding for c in up] == [(0, 0), (1, 1), (1, 1)]
    extents: list[int] = []
    for layer in (*down, *up):
        layer.register_forward_hook(lambda module, given, made: extents.append(made.shape[-1]))
    x = torch.rand(2, 3, 28, 28)
    made = decoder(50 * encoder(x)[0])
    assert extents == [14, 7, 4, 7, 14, 28]
    assert made.shape == x.shape
    assert made.min() < 0  # the location is not confined to [0, 1]


def test_polymnists_networks_want_its_pictures() -> None:
    with pytest.raises(ConfigError, match="28 x 28 pixels"):
        Networks().encoder(replace(VIEW, shape=(3, 32, 32)), 6)
