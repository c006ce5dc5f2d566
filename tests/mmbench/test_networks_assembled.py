"""Every shared network once more, in NumPy, from its published description; outputs agree to a part in 10^9.

Parameter counts and shapes do not see a wrong activation, slope, kernel padding, enlargement or order of layers; these
tests do. Weights and running statistics are random (`randomise`), sides of images differ, and the architectures have
their published widths wherever those are cheap.

Sources: Shi et al. 2019 (MNIST, SVHN); Daunhawer et al. 2022, as in the code of Bounoua et al. (CUB); Rombach et al.
2022, with the sizes of Bounoua et al., Appendix C.3 (kl_autoencoder); the suite's own word_mlp.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mmbench.modality import Modality
from mmbench.networks import Networks
from mmbench.networks.captions import ResBlock1d
from mmbench.networks.kl_autoencoder import KLDecoder, KLEncoder

from ..arithmetic import (
    Array,
    assert_same,
    average_pool,
    batch_norm,
    convolve,
    convolve_transposed,
    group_norm,
    leaky,
    linear,
    part,
    randomise,
    relu,
    sigmoid,
    silu,
    twice,
)

MNIST = Modality(name="mnist", shape=(1, 28, 28), network="mnist_mlp", latent=20)
SVHN = Modality(name="svhn", shape=(3, 32, 32), network="svhn_conv", latent=20)
IMAGE = Modality(name="image", shape=(3, 8, 12), network="cub_resnet", latent=6)
STAR = Modality(name="star", shape=(3, 16, 24), network="kl_autoencoder", latent=6)
CAPTION = Modality(
    name="caption",
    shape=(32,),
    network="caption_conv",
    latent=7,
    likelihood="categorical",
    vocabulary=tuple(f"w{k}" for k in range(13)),
)
NAME = Modality(
    name="name", shape=(5,), network="word_mlp", latent=8, likelihood="categorical", vocabulary=tuple("abcdefg")
)


def images(modality: Modality, count: int = 3) -> Array:
    """Of both signs, so that no ReLU is idle."""
    return np.random.default_rng(1).normal(size=(count, *modality.shape))


def tokens(modality: Modality, count: int = 4) -> Array:
    return np.random.default_rng(1).integers(len(modality.vocabulary), size=(count, *modality.shape))


def codes(modality: Modality, count: int = 3) -> Array:
    return np.random.default_rng(1).normal(size=(count, modality.latent))


def check_encoder(modality: Modality, x: Array, body: Any, head: Any = linear) -> None:
    """Two heads, in their order: the first is the mean (MLD's latent), the second the logarithm of the variance."""
    encoder = Networks().encoder(modality, modality.latent, heads=2)
    w = randomise(encoder)
    h = body(part(w, "body"), x)
    made = encoder(torch.from_numpy(x))
    assert len(made) == 2
    for k, actual in enumerate(made):
        assert_same(actual, head(part(w, f"heads.{k}"), h))


# ------------------------------------------------------------------------------------------------- MNIST


def test_the_mnist_encoder() -> None:
    """Flatten, Linear 400, ReLU, heads."""
    check_encoder(MNIST, images(MNIST), lambda w, x: relu(linear(part(w, "1"), x.reshape(len(x), 784))))


def test_the_mnist_decoder() -> None:
    """Linear 400, ReLU, Linear 784, sigmoid, 1x28x28."""
    decoder, z = Networks().decoder(MNIST, 20), codes(MNIST)
    w = part(randomise(decoder), "body")
    expected = sigmoid(linear(part(w, "2"), relu(linear(part(w, "0"), z))))
    assert_same(decoder(torch.from_numpy(z)), expected.reshape(3, 1, 28, 28))


# ------------------------------------------------------------------------------------------------- SVHN


def test_the_svhn_encoder() -> None:
    """Three convolutions (kernel 4, stride 2, padding 1), ReLU after each; heads with kernel 4 and no padding."""

    def body(w: dict[str, Array], x: Array) -> Array:
        for name in ("0", "2", "4"):
            x = relu(convolve(part(w, name), x, stride=2, padding=1))
        return x

    check_encoder(SVHN, images(SVHN), body, lambda w, h: convolve(w, h)[:, :, 0, 0])


def test_the_svhn_decoder() -> None:
    """Transposed convolutions: kernel 4 to 4x4; then three times kernel 4, stride 2, padding 1; the last a sigmoid."""
    decoder, z = Networks().decoder(SVHN, 20), codes(SVHN)
    w = part(randomise(decoder), "body")
    x = relu(convolve_transposed(part(w, "1"), z[:, :, None, None]))
    for name in ("3", "5"):
        x = relu(convolve_transposed(part(w, name), x, stride=2, padding=1))
    expected = sigmoid(convolve_transposed(part(w, "7"), x, stride=2, padding=1))
    assert expected.shape == (3, 3, 32, 32)
    assert_same(decoder(torch.from_numpy(z)), expected)


# ------------------------------------------------------------------------------------------------- CUB images


def image_block(w: dict[str, Array], x: Array) -> Array:
    """shortcut(x) + 0.1 conv3x3(lrelu(conv3x3(lrelu(x)))), slope 0.2; a 1x1 shortcut without bias if widths differ."""
    assert "shortcut.bias" not in w
    h = convolve(part(w, "first"), leaky(x, 0.2), padding=1)
    hidden, h = h.shape[1], convolve(part(w, "second"), leaky(h, 0.2), padding=1)
    assert hidden == min(x.shape[1], h.shape[1])
    return (convolve(part(w, "shortcut"), x) if "shortcut.weight" in w else x) + 0.1 * h


def test_the_image_encoder() -> None:
    """conv3x3 -> block 64 -> pool -> block 128 -> pool -> block 256 -> flatten -> lrelu -> heads; pool: 3, stride 2."""

    def body(w: dict[str, Array], x: Array) -> Array:
        x = image_block(part(w, "1"), convolve(part(w, "0"), x, padding=1))
        x = image_block(part(w, "3"), average_pool(x, 3, 2, 1))
        x = image_block(part(w, "5"), average_pool(x, 3, 2, 1))
        assert x.shape[1:] == (256, 2, 3)
        return leaky(x.reshape(len(x), -1), 0.2)

    check_encoder(IMAGE, images(IMAGE), body)


def test_the_image_decoder() -> None:
    """Linear -> 256 channels -> block 128 -> nearest x2 -> block 64 -> nearest x2 -> block 64 -> lrelu -> conv3x3."""
    decoder, z = Networks().decoder(IMAGE, 6), codes(IMAGE)
    w = randomise(decoder)
    x = linear(part(w, "lift.0"), z).reshape(3, 256, 2, 3)
    x = twice(image_block(part(w, "body.0"), x))
    x = twice(image_block(part(w, "body.2"), x))
    x = image_block(part(w, "body.4"), x)
    expected = convolve(part(w, "body.6"), leaky(x, 0.2), padding=1)
    assert expected.min() < 0
    assert expected.max() > 1, "no sigmoid"
    assert_same(decoder(torch.from_numpy(z)), expected)


# ------------------------------------------------------------------------------------------------- captions


def caption_block(w: dict[str, Array], x: Array, conv: Any) -> Array:
    """2.0 (strided conv, BN) + 0.3 (BN, ReLU, 1x1 conv, BN, ReLU, strided conv); kernel 4, stride 2, padding 1."""
    h = conv(part(w, "main.2"), relu(batch_norm(part(w, "main.0"), x)))
    h = relu(batch_norm(part(w, "main.4"), h))
    main = conv(part(w, "main.6"), h, stride=2, padding=1)
    skip = conv(part(w, "skip.0"), x, stride=2, padding=1)
    return 2.0 * batch_norm(part(w, "skip.1"), skip) + 0.3 * main


def test_the_caption_encoder() -> None:
    """One-hot code; conv 4, stride 2, padding 1 to 32 channels; blocks to 64, 96, 128, 160; flatten; ReLU; heads."""

    def body(w: dict[str, Array], x: Array) -> Array:
        h = convolve(part(w, "0"), np.eye(13)[x].transpose(0, 2, 1), stride=2, padding=1)
        for k, channels in enumerate((64, 96, 128, 160), start=1):
            h = caption_block(part(w, str(k)), h, convolve)
            assert h.shape[1:] == (channels, 16 >> k)
        return relu(h[:, :, 0])

    check_encoder(CAPTION, tokens(CAPTION), body)


def test_the_caption_decoder() -> None:
    """Linear 160; transposed blocks to 128, 96, 64, 32 channels; transposed conv to the words, which come last."""
    decoder, z = Networks().decoder(CAPTION, 7), codes(CAPTION)
    w = part(randomise(decoder), "body")
    h = linear(part(w, "0"), z)[:, :, None]
    for k, channels in enumerate((128, 96, 64, 32)):
        h = caption_block(part(w, str(2 + k)), h, convolve_transposed)
        assert h.shape[1:] == (channels, 2 << k)
    expected = convolve_transposed(part(w, "6"), h, stride=2, padding=1).transpose(0, 2, 1)
    assert expected.shape == (3, 32, 13)
    assert_same(decoder(torch.from_numpy(z)), expected)


def test_caption_blocks_drop_half_and_leave_the_skip_alone() -> None:
    """Two dropouts of 1/2 in the main path (after each convolution), none in the skip, and running averages of 0.1."""
    block = ResBlock1d(4, 6, torch.nn.Conv1d)
    assert [layer.p for layer in block.modules() if isinstance(layer, torch.nn.Dropout)] == [0.5, 0.5]
    norms = [layer for layer in block.modules() if isinstance(layer, torch.nn.BatchNorm1d)]
    assert [(norm.momentum, norm.eps) for norm in norms] == [(0.1, 1e-5)] * 3
    assert [isinstance(layer, torch.nn.Dropout) for layer in block.main] == [False, False, False, True] * 2


# ------------------------------------------------------------------------------------------------- MLD*


def swish_norm(w: dict[str, Array], x: Array) -> Array:
    """GroupNorm of 32 groups, eps 1e-6, and swish."""
    return silu(group_norm(w, x, 32, 1e-6))


def residual(w: dict[str, Array], x: Array) -> Array:
    """x, through a 1x1 convolution where widths differ, + conv3x3(swish(GN(conv3x3(swish(GN(x))))))."""
    h = convolve(part(w, "conv1"), swish_norm(part(w, "norm1"), x), padding=1)
    h = convolve(part(w, "conv2"), swish_norm(part(w, "norm2"), h), padding=1)
    return h + (convolve(part(w, "skip"), x) if "skip.weight" in w else x)


def attention(w: dict[str, Array], x: Array) -> Array:
    """x + W_o softmax(q k^T / sqrt(C)) v over the positions, of the normalised x."""
    b, c, high, wide = x.shape
    normal = group_norm(part(w, "norm"), x, 32, 1e-6)
    q, k, v = np.split(convolve(part(w, "qkv"), normal).reshape(b, 3 * c, -1), 3, axis=1)
    scores = np.exp(np.einsum("bcn,bcm->bnm", q, k) / np.sqrt(c))
    mixed = np.einsum("bnm,bcm->bcn", scores / scores.sum(2, keepdims=True), v)
    return x + convolve(part(w, "out"), mixed.reshape(b, c, high, wide))


def middle(w: dict[str, Array], x: Array, first: int) -> Array:
    x = residual(part(w, str(first)), x)
    return residual(part(w, str(first + 2)), attention(part(w, str(first + 1)), x))


def test_the_kl_encoder() -> None:
    """conv3x3; four levels of two blocks, between them stride 2 with a border below and on the right; middle;
    GN, swish, conv3x3 to two channels; each head a 1x1 convolution to one. (Width 32 for 64.)"""
    encoder, x = KLEncoder(STAR, 6, heads=2, width=32), images(STAR, 2)
    w = randomise(encoder)
    body = part(w, "body")
    h, k = convolve(part(body, "0"), x, padding=1), 1
    for level, channels in enumerate((64, 64, 128, 256)):
        if level:
            h, k = convolve(part(body, f"{k}.conv"), h, stride=2, padding=[(0, 1), (0, 1)]), k + 1
        h, k = residual(part(body, str(k + 1)), residual(part(body, str(k)), h)), k + 2
        assert h.shape[1:] == (channels, 16 >> level, 24 >> level)
    h = swish_norm(part(body, str(k + 3)), middle(body, h, k))
    h = convolve(part(body, str(k + 5)), h, padding=1)
    assert h.shape[1:] == (2, 2, 3)
    for number, actual in enumerate(encoder(torch.from_numpy(x))):
        assert_same(actual, convolve(part(w, f"heads.{number}"), h).reshape(2, 6))


def test_the_kl_decoder() -> None:
    """1 x H/8 x W/8; conv3x3; middle; four levels of three blocks, between them nearest x2 and conv3x3; GN, swish,
    conv3x3; no last activation. (Width 32 for 64.)"""
    decoder, z = KLDecoder(STAR, 6, width=32), codes(STAR, 2)
    body = part(randomise(decoder), "body")
    h = middle(body, convolve(part(body, "0"), z.reshape(2, 1, 2, 3), padding=1), 1)
    k = 4
    for level, channels in enumerate((256, 128, 64, 64)):
        if level:
            h, k = convolve(part(body, str(k + 1)), twice(h), padding=1), k + 2
        for _ in range(3):
            h, k = residual(part(body, str(k)), h), k + 1
        assert h.shape[1:] == (channels, 2 << level, 3 << level)
    expected = convolve(part(body, str(k + 2)), swish_norm(part(body, str(k)), h), padding=1)
    assert_same(decoder(torch.from_numpy(z)), expected)


@pytest.mark.parametrize("cls", [KLEncoder, KLDecoder])
def test_the_published_kl_autoencoder_has_32_groups(cls: type[torch.nn.Module]) -> None:
    """Width 64 by default; GroupNorms of 32 groups and eps 1e-6 everywhere."""
    with torch.device("meta"):
        network = cls(STAR, 6, 1) if cls is KLEncoder else cls(STAR, 6)
    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.GroupNorm)]
    assert {(norm.num_groups, norm.eps) for norm in norms} == {(32, 1e-6)}
    assert {norm.num_channels for norm in norms} >= {128, 256, 512}


# ------------------------------------------------------------------------------------------------- words


def test_the_word_encoder() -> None:
    """16 numbers for each letter, side by side; Linear 128; ReLU; heads."""

    def body(w: dict[str, Array], x: Array) -> Array:
        h = relu(linear(part(w, "2"), w["0.weight"][x].reshape(len(x), 5 * 16)))
        assert h.shape[1] == 128
        return h

    check_encoder(NAME, tokens(NAME), body)


def test_the_word_decoder() -> None:
    """Linear 128; ReLU; Linear to the logits (length, vocabulary)."""
    decoder, z = Networks().decoder(NAME, 8), codes(NAME)
    w = part(randomise(decoder), "body")
    h = relu(linear(part(w, "0"), z))
    assert h.shape[1] == 128
    expected = linear(part(w, "2"), h).reshape(3, 5, 7)
    assert_same(decoder(torch.from_numpy(z)), expected)
