"""The judges' networks once more in NumPy, and their dropout while they are trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mmbench.seeding import seeded_globally
from mmbench_evaluation.classifiers import LeNet, WideNet

from ..arithmetic import Array, assert_same, batch_norm, convolve, linear, max_pool, part, randomise, relu

SHAPES = [(1, 28, 28), (3, 32, 32), (2, 21, 30)]


def pictures(shape: tuple[int, ...], count: int = 3) -> Array:
    return np.random.default_rng(1).normal(size=(count, *shape))


def features(w: dict[str, Array], x: Array, kept: Array | float = 1.0) -> Array:
    """Conv 5 to 10 channels, pool, ReLU; conv 5 to 20, (channel dropout,) pool, ReLU; flatten. `kept`: 0 or 2."""
    h = relu(max_pool(convolve(part(w, "body.0"), x)))
    h = relu(max_pool(convolve(part(w, "body.3"), h) * kept))
    return h.reshape(len(x), -1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_lenet(shape: tuple[int, ...]) -> None:
    """Features, and from them Linear 50, ReLU, Linear 10: logits."""
    network, x = LeNet(shape, 10), pictures(shape)
    w = randomise(network)
    h = features(w, x)
    assert_same(network.features(torch.from_numpy(x)), h)
    expected = linear(part(w, "head.3"), relu(linear(part(w, "head.0"), h)))
    assert_same(network(torch.from_numpy(x)), expected)


def test_the_lenets_dropout() -> None:
    """While training: half of the second convolution's channels, whole and before the pool, and half of the 50 hidden
    units after their ReLU; what is kept counts twice."""
    network, x = LeNet((1, 28, 28), 10), pictures((1, 28, 28), 200)
    w, kept = randomise(network), {}

    def note(name: str) -> None:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
            kept[name] = np.divide(*(t.detach().numpy() for t in (output, inputs[0] + (inputs[0] == 0))))

        layers = [layer for layer in network.modules() if type(layer).__name__ == name]
        assert len(layers) == 1
        layers[0].register_forward_hook(hook)

    note("Dropout2d")
    note("Dropout")
    network.train()
    with seeded_globally(0):
        got = network(torch.from_numpy(x))
    channels, units = kept["Dropout2d"], kept["Dropout"]
    assert channels.shape == (200, 20, 8, 8)
    assert np.array_equal(channels, channels[:, :, :1, :1].repeat(8, 2).repeat(8, 3)), "whole channels"
    h = relu(linear(part(w, "head.0"), features(w, x, channels)))
    assert units.shape == h.shape == (200, 50)
    assert_same(got, linear(part(w, "head.3"), h * units))
    for mask in (channels[:, :, 0, 0], units[h > 0]):  # five standard errors around one half
        assert set(np.unique(mask.round(9))) == {0.0, 2.0}
        assert mask.mean() / 2 == pytest.approx(0.5, abs=2.5 / np.sqrt(mask.size))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_second_judge(shape: tuple[int, ...]) -> None:
    """Three times conv 3 (stride 2, padding 1, no bias), BatchNorm, ReLU: 64, 128, 256 channels; means of a 2x2 grid of
    cells, whose edges are floor(k n / 2) and ceil((k + 1) n / 2); Linear. No dropout."""
    network, x = WideNet(shape, 10), pictures(shape)
    w, h = part(randomise(network), "body"), x
    for k, channels in enumerate((64, 128, 256)):
        assert f"{3 * k}.bias" not in w
        h = relu(batch_norm(part(w, str(3 * k + 1)), convolve(part(w, str(3 * k)), h, stride=2, padding=1)))
        assert h.shape[1] == channels
    rows, columns = ([(k * n // 2, -(-(k + 1) * n // 2)) for k in (0, 1)] for n in h.shape[2:])
    cells = [[h[:, :, a:b, c:d].mean((2, 3)) for c, d in columns] for a, b in rows]
    pooled = np.stack([np.stack(row, 2) for row in cells], 2)
    assert pooled.shape == (3, 256, 2, 2)
    assert_same(network(torch.from_numpy(x)), linear(part(w, "11"), pooled.reshape(3, -1)))
    assert not [layer for layer in network.modules() if isinstance(layer, nn.Dropout | nn.Dropout2d)]
