"""The networks of images with captions, and MLD*'s image autoencoder: parameter counts, shapes, and their formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmbench.errors import ConfigError
from mmbench.modality import Modality
from mmbench.networks import BUILT_IN, Networks
from mmbench.networks.captions import LogitConv1d, ResBlock1d, TokenConv1d
from mmbench.networks.kl_autoencoder import Attention
from mmbench.networks.resnet import ResBlock, halved
from mmbench.seeding import seeded_globally, seeded_init

WORDS = tuple(f"w{k}" for k in range(1590))
IMAGE = Modality(name="image", shape=(3, 64, 64), network="cub_resnet", latent=64)
STAR = replace(IMAGE, network="kl_autoencoder")
CAPTION = Modality(
    name="caption", shape=(32,), network="caption_conv", latent=32, likelihood="categorical", vocabulary=WORDS
)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def unused_block(a: int) -> int:
    """A residual block a -> a of the paper's caption networks: two BatchNorms of 2a, a 1x1 convolution, a strided one;
    and in the skip a strided one and a BatchNorm."""
    strided = 4 * a * a + a
    return 2 * (2 * a) + (a * a + a) + strided + strided + 2 * a


@pytest.mark.parametrize(
    ("modality", "heads", "encoder", "decoder"),
    [
        (IMAGE, 2, 9_058_880, 4_929_731),
        # two more blocks 160 -> 160 are registered, and never called, in each network of the paper's code
        (CAPTION, 2, 1_039_328 - 2 * unused_block(160), 1_060_566 - 2 * unused_block(160)),
        # 2 = a 1x1 convolution from one channel to one, in the paper's code only
        (STAR, 1, 23_004_423 - 2, 33_986_179),
    ],
    ids=["cub_resnet", "caption_conv", "kl_autoencoder"],
)
def test_published_parameter_counts(modality: Modality, heads: int, encoder: int, decoder: int) -> None:
    networks = Networks()
    assert count(networks.encoder(modality, modality.latent, heads)) == encoder
    assert count(networks.decoder(modality, modality.latent)) == decoder


def test_one_head_is_one_linear_layer_less() -> None:
    for modality, inputs in ((IMAGE, 256 * 16 * 16), (CAPTION, 160)):
        one, two = (count(Networks().encoder(modality, 64, heads)) for heads in (1, 2))
        assert two - one == inputs * 64 + 64


@pytest.mark.parametrize(
    ("modality", "latent"),
    [
        (replace(IMAGE, shape=(3, 8, 12)), 5),
        (IMAGE, 6),
        (replace(STAR, shape=(1, 16, 8)), 2),
        (replace(CAPTION, shape=(2,)), 3),
        (replace(CAPTION, shape=(8,), vocabulary=WORDS[:9]), 3),
        (CAPTION, 6),
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [1, 3])
def test_shapes(modality: Modality, latent: int, batch: int) -> None:
    encoder, decoder = Networks().encoder(modality, latent, 2).eval(), Networks().decoder(modality, latent).eval()
    dtype = torch.int64 if modality.is_text else torch.float32
    heads = encoder(torch.zeros(batch, *modality.shape, dtype=dtype))
    assert [tuple(head.shape) for head in heads] == [(batch, latent)] * 2
    words = (len(modality.vocabulary),) if modality.is_text else ()
    assert decoder(heads[0]).shape == (batch, *modality.shape, *words)


@pytest.mark.parametrize(
    ("modality", "latent", "message"),
    [
        (
            replace(IMAGE, shape=(3, 30, 32)),
            4,
            "takes images whose sides are multiples of 4, got .3, 30, 32",
        ),
        (replace(STAR, shape=(3, 28, 28)), 4, "kl_autoencoder takes images whose sides are multiples of 8"),
        (STAR, 32, "has 64 latents for images of .3, 64, 64., not 32"),
        (replace(CAPTION, shape=(24,)), 4, "caption_conv takes texts of 2, 4, 8, ... tokens"),
        (replace(IMAGE, network="caption_conv"), 4, "caption_conv takes texts"),
    ],
)
def test_an_unfit_modality_is_refused(modality: Modality, latent: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Networks().encoder(modality, latent)
    with pytest.raises(ConfigError, match=message):
        Networks().decoder(modality, latent)


def test_an_architecture_may_fix_the_size_of_its_latent() -> None:
    assert Networks().latent(replace(STAR, shape=(3, 32, 64), latent=5)) == 4 * 8
    assert Networks().latent(replace(IMAGE, latent=5)) == 5


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(4, 2, 1), (3, 1, 0), (2, 3, 2)])
def test_token_convolution_is_a_convolution_of_the_one_hot_code(kernel: int, stride: int, padding: int) -> None:
    with seeded_init(0):
        layer = TokenConv1d(11, 6, kernel, stride, padding)
    tokens = torch.randint(11, (5, 16), generator=torch.Generator().manual_seed(0))
    dense = F.one_hot(tokens, 11).float().transpose(1, 2).requires_grad_()
    expected = F.conv1d(dense, layer.weight, layer.bias, stride, padding)
    got = layer(tokens)
    torch.testing.assert_close(got, expected)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    of_dense = torch.autograd.grad((expected * weights).sum(), list(layer.parameters()))
    torch.testing.assert_close(torch.autograd.grad((got * weights).sum(), list(layer.parameters())), of_dense)


def test_the_last_layer_is_a_transposed_convolution_with_the_words_last() -> None:
    with seeded_init(0):
        layer = LogitConv1d(5, 11)
    x = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    expected = F.conv_transpose1d(x, layer.weight, layer.bias, stride=2, padding=1).transpose(1, 2)
    torch.testing.assert_close(layer(x), expected)


def test_the_caption_encoder_makes_no_one_hot_code() -> None:
    """No tensor that the forward pass keeps for the gradient has batch x length x vocabulary values."""
    encoder, sizes = Networks().encoder(CAPTION, 32, 1), []

    def note(x: torch.Tensor) -> torch.Tensor:
        sizes.append(x.numel())
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x), seeded_globally(0):
        encoder(torch.zeros(64, 32, dtype=torch.int64))
    assert 0 < max(sizes) < 64 * 32 * 1590


def conv2d(x: np.ndarray, layer: nn.Conv2d) -> np.ndarray:
    """3x3 with a border of zeros, or 1x1, of x (B, C, H, W), in float64."""
    weight = layer.weight.detach().double().numpy()
    size = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (0, 0), *[(size // 2, size // 2)] * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    out = np.einsum("bchwij,ocij->bohw", windows, weight)
    return out if layer.bias is None else out + layer.bias.detach().double().numpy()[:, None, None]


@pytest.mark.parametrize(("a", "b"), [(5, 5), (3, 7), (6, 2)])
def test_the_image_block_is_its_formula(a: int, b: int) -> None:
    with seeded_init(1):
        block = ResBlock(a, b)
    x = torch.randn(2, a, 6, 5, generator=torch.Generator().manual_seed(0))
    values = x.double().numpy()
    hidden = conv2d(np.where(values > 0, values, 0.2 * values), block.first)
    assert hidden.shape[1] == min(a, b)
    main = conv2d(np.where(hidden > 0, hidden, 0.2 * hidden), block.second)
    shortcut = values if a == b else conv2d(values, block.shortcut)
    assert np.allclose(block(x).detach().numpy(), shortcut + 0.1 * main, atol=1e-5)


def normalised(x: torch.Tensor, norm: nn.BatchNorm1d) -> torch.Tensor:
    """BatchNorm by the statistics of the batch x (B, C, length)."""
    mean, var = x.mean((0, 2), keepdim=True), x.var((0, 2), unbiased=False, keepdim=True)
    return (x - mean) / (var + 1e-5).sqrt() * norm.weight[:, None] + norm.bias[:, None]


@pytest.mark.parametrize("conv", [nn.Conv1d, nn.ConvTranspose1d])
def test_the_caption_block_is_its_formula(conv: type[nn.Module]) -> None:
    """2.0 skip + 0.3 main, in training mode; what dropout keeps is read off the two dropout layers."""
    with seeded_init(2):
        block = ResBlock1d(4, 6, conv)
    apply = F.conv1d if conv is nn.Conv1d else F.conv_transpose1d
    norm1, _, conv1, drop1, norm2, _, conv2, drop2 = block.main
    kept: list[torch.Tensor] = []
    for layer in (drop1, drop2):
        layer.register_forward_hook(lambda _, inputs, output: kept.append(output / inputs[0]))
    x = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0))
    with seeded_globally(7):
        got = block(x)
    assert {round(v, 3) for v in torch.cat([k.flatten() for k in kept]).tolist()} == {0.0, 2.0}
    h = apply(normalised(x, norm1).relu(), conv1.weight, conv1.bias) * kept[0]
    main = apply(normalised(h, norm2).relu(), conv2.weight, conv2.bias, stride=2, padding=1) * kept[1]
    skip = normalised(apply(x, block.skip[0].weight, block.skip[0].bias, stride=2, padding=1), block.skip[1])
    torch.testing.assert_close(got, 2.0 * skip + 0.3 * main)
    assert got.shape == (3, 6, 4 if conv is nn.Conv1d else 16)


def test_the_attention_block_is_softmax_attention() -> None:
    with seeded_init(3):
        block = Attention(32)
    x = torch.randn(2, 32, 3, 2, generator=torch.Generator().manual_seed(0))
    values = F.group_norm(x, 32, eps=1e-6).double().numpy().reshape(2, 32, 6)
    weight, bias = (t.detach().double().numpy() for t in (block.qkv.weight.flatten(1), block.qkv.bias))
    q, k, v = np.split(np.einsum("oc,bcn->bon", weight, values) + bias[:, None], 3, axis=1)
    scores = np.exp(np.einsum("bcn,bcm->bnm", q, k) / np.sqrt(32))
    h = np.einsum("bnm,bcm->bcn", scores / scores.sum(2, keepdims=True), v)
    out = np.einsum("oc,bcn->bon", block.out.weight.detach().flatten(1).numpy(), h)
    out = out + block.out.bias.detach().numpy()[:, None]
    assert np.allclose(block(x).detach().numpy(), x.numpy() + out.reshape(x.shape), atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 8), (64, 64), (6, 10)], ids=str)
def test_halving_is_the_mean_of_windows_with_a_margin_of_zeros(shape: tuple[int, int]) -> None:
    """And of the gradients: each pixel gets a ninth of those of the windows that hold it."""
    h, w = shape
    x = torch.randn(2, 3, h, w, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x.detach(), ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3)
    )
    y = halved()(x)
    assert np.allclose(y.detach(), windows[:, :, ::2, ::2].mean((-1, -2)), rtol=0, atol=1e-12)
    weight = torch.arange(1.0, y.numel() + 1, dtype=torch.float64).view_as(y)
    (y * weight).sum().backward()
    truth = np.zeros((2, 3, h + 2, w + 2))
    for i in range(h // 2):
        for j in range(w // 2):
            truth[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += weight[:, :, i, j, None, None].numpy() / 9
    assert x.grad is not None
    assert np.allclose(x.grad, truth[:, :, 1:-1, 1:-1])


@pytest.mark.parametrize("network", BUILT_IN)
def test_no_pooling_pads_by_itself(network: str) -> None:
    """On a GPU the gradients of a padded average of channels-last tensors are wrong before torch's change 188345."""
    modality = replace(CAPTION if network in ("caption_conv", "word_mlp") else IMAGE, network=network, latent=64)
    if side := {"svhn_conv": 32, "polymnist_conv": 28}.get(network):
        modality = replace(modality, shape=(3, side, side))
    built = Networks().encoder(modality, modality.latent), Networks().decoder(modality, modality.latent)
    pools = [m for part in built for m in part.modules() if isinstance(m, nn.AvgPool1d | nn.AvgPool2d | nn.AvgPool3d)]
    assert not [pool for pool in pools if pool.padding not in (0, (0,), (0, 0))]
    assert network != "cub_resnet" or len(pools) == 2
