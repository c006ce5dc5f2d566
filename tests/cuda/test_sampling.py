"""Sampling and judging on a GPU: the noise is a CPU's, the samples are a CPU's up to rounding, judges use no TF32."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import pytest
import torch
from torch import Tensor

from mmbench.model import draw
from mmbench.seeding import Noise, generator
from mmbench.training import train
from mmbench_evaluation.classifiers import Classifier, LeNet
from mmbench_evaluation.precision import full_precision

from .cases import MODELS, build, data


def test_noise_is_that_of_a_cpu(device: torch.device) -> None:
    bits, normals = [], []
    for where in ("cpu", device.type):
        noise = Noise(generator(0, "noise"), 500, where)
        bits.append(noise.bits(7).cpu())
        normals.append(noise.normal(3, 33).cpu())
    assert torch.equal(*bits)
    assert torch.allclose(*normals, rtol=0, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_samples_are_those_of_a_cpu(model: str, device: torch.device) -> None:
    """A model of a few steps, its copies on both devices, the same generator: images to 2e-3, words nearly all."""
    host = build(model, "glyphs_street", torch.device("cpu"))
    train(host, data("glyphs_street").train, data("glyphs_street").validation, seed=0)
    other, spec = deepcopy(host).to(device), data("glyphs_street").spec
    test = data("glyphs_street").test.gather(torch.arange(50))
    with full_precision(device):
        for task in spec.tasks():
            given = {name: test[name] for name in task.given}
            pair = [draw(m, given, task.targets, count=50, generator=generator(1, "test")) for m in (host, other)]
            for name in task.targets:
                if spec.modality(name).is_text:
                    assert (pair[0][name] == pair[1][name]).float().mean() > 0.98, task.name
                else:
                    assert (pair[0][name] - pair[1][name]).abs().max() < 2e-3, task.name


@pytest.mark.parametrize("model", MODELS)
def test_how_samples_are_cut_into_batches_does_not_matter(model: str, device: torch.device) -> None:
    made, spec = build(model, "glyphs_street", device), data("glyphs_street").spec
    with full_precision(device):
        whole, cut = (
            draw(made, {}, spec.names, count=64, generator=generator(2, "test"), batch_size=size) for size in (64, 20)
        )
    assert (whole["sign"] - cut["sign"]).abs().max() < 2e-3


@pytest.fixture
def tf32(gpu: torch.device) -> Iterator[torch.device]:
    """A program that asks for TensorFloat-32."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    yield gpu
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


def error(values: Tensor, truth: Tensor) -> float:
    return float((values.double().cpu() - truth).norm() / truth.norm())


def products(device: torch.device) -> tuple[float, ...]:
    """Relative errors of a matrix product, of a convolution and of its two gradients against float64 on the CPU."""
    g = torch.Generator().manual_seed(0)
    a, b = (torch.randn(512, 512, generator=g, dtype=torch.float64) for _ in range(2))
    x = torch.randn(64, 64, 32, 32, generator=g, dtype=torch.float64)
    w = torch.randn(64, 64, 3, 3, generator=g, dtype=torch.float64)
    there = [t.float().to(device) for t in (a, b, x, w)]
    exact = [t.double().cpu() for t in there]
    pairs = zip(_products(*there), _products(*exact), strict=True)
    return tuple(error(found, truth) for found, truth in pairs)


def _products(a: Tensor, b: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    x, w = x.requires_grad_(), w.requires_grad_()
    y = torch.nn.functional.conv2d(x, w)
    return a @ b, y.detach(), *torch.autograd.grad(y, (x, w), y.detach())


def test_full_precision_means_no_tf32(tf32: torch.device) -> None:
    """float32 has errors near 1e-6 here, TensorFloat-32 near 3e-4. Without full precision cuDNN is free to choose for a
    gradient, so nothing is asked of those there."""
    outside = products(tf32)
    with full_precision(tf32):
        inside = products(tf32)
    assert max(inside) < 1e-5
    assert min(outside[:2]) > 5e-5, "the comparison can tell TensorFloat-32 from float32"
    assert min(products(tf32)[:2]) > 5e-5, "and what the program asked for is put back"


def test_judges_see_full_float32(tf32: torch.device) -> None:
    torch.manual_seed(0)
    network, x = LeNet((3, 32, 32), 10), data("glyphs_street").test.gather(torch.arange(100), ("sign",))["sign"]
    features = Classifier(deepcopy(network).to(tf32)).features(x)
    with torch.no_grad():
        truth = deepcopy(network).double().eval().features(x.double())
    assert error(features, truth) < 1e-5
