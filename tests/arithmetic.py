"""Layers written out in NumPy and float64 from their textbook formulas, for tests that assemble a network once more.

A test gives every parameter and every running statistic of a network a random value (`randomise`), so that nothing
that starts at 0 or 1 can hide, puts the layers together by itself from the published description, and compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import erf
from torch import Tensor, nn

__all__ = [
    "Array",
    "assert_same",
    "average_pool",
    "batch_norm",
    "convolve",
    "convolve_transposed",
    "gelu",
    "group_norm",
    "leaky",
    "linear",
    "max_pool",
    "part",
    "randomise",
    "relu",
    "sigmoid",
    "silu",
    "twice",
]

Array = NDArray[Any]
Weights = Mapping[str, Array]


def randomise(module: nn.Module, seed: int = 0) -> dict[str, Array]:
    """Random values in all parameters and running statistics; the module in float64 and eval mode; the values by name.

    Matrices and kernels keep activations near size 1; means, gains and biases are of size 1 and of both signs, and
    variances lie between about 1/8 and 8.
    """
    rng = np.random.default_rng(seed)
    module.double().eval()
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.dtype == torch.float64:
                draw = rng.normal(size=value.shape)
                fan_in = max(1, value[0].numel()) if value.ndim > 1 else 1
                value.copy_(torch.from_numpy(np.exp(draw) if name.endswith("running_var") else draw / fan_in**0.5))
    return {name: value.numpy().copy() for name, value in module.state_dict().items()}


def part(weights: Weights, prefix: str) -> dict[str, Array]:
    """The weights below `prefix`, without it."""
    return {name[len(prefix) + 1 :]: value for name, value in weights.items() if name.startswith(f"{prefix}.")}


def assert_same(actual: Tensor, expected: Array, tolerance: float = 1e-9) -> None:
    """Equal shapes, and values to a part in 10^9 of their size."""
    assert tuple(actual.shape) == expected.shape
    assert expected.std() > 1e-3, "the reference must say something"
    np.testing.assert_allclose(actual.detach().double().numpy(), expected, rtol=tolerance, atol=tolerance)


def linear(w: Weights, x: Array) -> Array:
    """x W^T + b over the last axis."""
    return x @ w["weight"].T + w["bias"]


def relu(x: Array) -> Array:
    return np.maximum(x, 0.0)


def leaky(x: Array, slope: float) -> Array:
    return np.where(x > 0, x, slope * x)


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def silu(x: Array) -> Array:
    return x * sigmoid(x)


def gelu(x: Array) -> Array:
    """x Phi(x), with the normal distribution function itself (not its approximation by tanh)."""
    return x * 0.5 * (1.0 + erf(x / np.sqrt(2.0)))


def convolve(w: Weights, x: Array, stride: int = 1, padding: Any = 0) -> Array:
    """Cross-correlation of x (B, C, *sides) with the kernel (O, C, *taps); zeros around it, as np.pad takes them."""
    kernel, sides = w["weight"], x.ndim - 2
    before_after = [(padding, padding)] * sides if isinstance(padding, int) else padding
    padded = np.pad(x, [(0, 0), (0, 0), *before_after])
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[2:], axis=tuple(range(2, 2 + sides)))
    windows = windows[(slice(None), slice(None), *[slice(None, None, stride)] * sides)]
    axes = ([1, *range(2 + sides, 2 + 2 * sides)], [1, *range(2, 2 + sides)])
    out = np.moveaxis(np.tensordot(windows, kernel, axes), -1, 1)
    return out + w["bias"].reshape(-1, *[1] * sides) if "bias" in w else out


def convolve_transposed(w: Weights, x: Array, stride: int = 1, padding: int = 0) -> Array:
    """Every value of x (B, C, *sides) adds its multiple of the kernel (C, O, *taps) at `stride` times its place."""
    kernel = w["weight"]
    taps, sides = kernel.shape[2:], x.shape[2:]
    out = np.zeros((len(x), kernel.shape[1], *((n - 1) * stride + k for n, k in zip(sides, taps, strict=True))))
    for tap in np.ndindex(*taps):
        places = [slice(k, k + (n - 1) * stride + 1, stride) for k, n in zip(tap, sides, strict=True)]
        out[(slice(None), slice(None), *places)] += np.einsum("bc...,co->bo...", x, kernel[(..., *tap)])
    out = out[(slice(None), slice(None), *[slice(padding, n - padding) for n in out.shape[2:]])]
    return out + w["bias"].reshape(-1, *[1] * len(sides))


def average_pool(x: Array, size: int, stride: int, padding: int) -> Array:
    """Sum over windows of (B, C, H, W), zeros around it, by size^2."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    return windows[:, :, ::stride, ::stride].sum((-1, -2)) / size**2


def max_pool(x: Array) -> Array:
    """Largest of each 2x2 square of (B, C, H, W); an odd last row or column is dropped."""
    b, c, h, w = x.shape
    return x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(b, c, h // 2, 2, w // 2, 2).max((3, 5))


def twice(x: Array) -> Array:
    """Nearest-neighbour enlargement of (B, C, H, W): each value four times."""
    return x.repeat(2, axis=2).repeat(2, axis=3)


def batch_norm(w: Weights, x: Array) -> Array:
    """By the running statistics, over x (B, C, ...): (x - mean) / sqrt(var + 1e-5), then gain and offset."""
    mean, var, gain, offset = (
        w[name].reshape(-1, *[1] * (x.ndim - 2)) for name in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(var + 1e-5) * gain + offset


def group_norm(w: Weights, x: Array, groups: int, eps: float) -> Array:
    """x (B, C, ...): C in consecutive groups, each of mean 0 and (biased) variance 1 in every sample; gain, offset."""
    cut = x.reshape(len(x), groups, -1)
    mean, var = cut.mean(2, keepdims=True), cut.var(2, keepdims=True)
    gain, offset = (w[name].reshape(-1, *[1] * (x.ndim - 2)) for name in ("weight", "bias"))
    return ((cut - mean) / np.sqrt(var + eps)).reshape(x.shape) * gain + offset
