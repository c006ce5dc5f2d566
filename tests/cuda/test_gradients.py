"""The losses and gradients of a GPU against float64: its errors are to be those of a CPU's float32, not more.

Some gradients have few digits in float32 on any device: that of a bias before BatchNorm is zero but for rounding, and a
ReLU's input or an L1 loss's residual that is all but zero changes its sign. So both devices are measured against
float64, and the CPU also at weights that are nearly the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.model import Model
from mmbench_evaluation.precision import full_precision

from .cases import build, data, every_case, in_float32

REALS, INTEGERS = ("rand", "randn"), ("randint", "randperm")
"""What the losses draw with; a loss that draws otherwise fails the test."""
WORSE, RELATIVE, ROUNDING = 3.0, 1e-3, 2.0**-23
"""A gradient may be this many times as wrong as a CPU's, plus these shares of its own norm and of that of the whole
stage's gradient.

RELATIVE is 2.5 to 4 times below what TensorFloat-32 does to the CUB encoder's gradients (2.5e-3 to 4.1e-3, its rounding
emulated in float64). ROUNDING, one unit in float32's last place, is what a sum keeps whose terms cancel: they are as
large as the rest of the backward pass.
"""
NEARBY, NEIGHBOURS = 1e-6, {"glyphs_street": 8, "cub": 2}
"""Or it may be as wrong as a CPU's at one of so many weights that differ by this share, ten times a rounding error.

Where a sign is about to change, most of them change it. Of CUB's many pixels one sign more or less hardly counts.
"""


@contextmanager
def drawn_on_the_host(seed: int, dtype: torch.dtype) -> Iterator[None]:
    """Draws come from one CPU generator, in float32, whatever they ask for: the same numbers on every device. They are
    then cast to `dtype`; for float64, Tensor.float leaves such values as they are."""
    own, to_float32 = torch.Generator().manual_seed(seed), Tensor.float

    def on_host(name: str, real: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def draws(*args: Any, device: Any = "cpu", **more: Any) -> Tensor:
            asked = {key: value for key, value in more.items() if key != "dtype" or name in INTEGERS}
            found = real(*args, **{**asked, "generator": own}).to(device)
            return found.to(dtype) if name in REALS else found

        return draws

    with pytest.MonkeyPatch.context() as patch:
        for name in (*REALS, *INTEGERS):
            patch.setattr(torch, name, on_host(name, getattr(torch, name)))
        if dtype == torch.float64:
            patch.setattr(Tensor, "float", lambda x: x if x.dtype == dtype else to_float32(x))
        yield


Batches = Mapping[str, Mapping[str, Tensor]]


def batches(model: Model, dataset: str) -> Batches:
    """Stage -> 32 tuples or fewer, as the stage prepares them: latents of the CPU, for every device the same."""
    found, split = {}, data(dataset).train
    for stage in model.stages():
        tuples = stage.prepare(split) if stage.prepare else split
        found[stage.name] = tuples.gather(torch.arange(min(32, len(tuples))), stage.modalities)
    return found


@dataclass(frozen=True)
class Answer:
    """A stage's loss, and its gradients in float64 on the CPU."""

    loss: float
    gradients: Mapping[str, Tensor]

    def norm(self) -> float:
        return float(torch.stack([g.norm() for g in self.gradients.values()]).norm())

    def errors(self, truth: Answer) -> dict[str, float]:
        return {name: float((g - truth.gradients[name]).norm()) for name, g in self.gradients.items()}


def answers(model: Model, inputs: Batches, device: torch.device, dtype: torch.dtype) -> dict[str, Answer]:
    """Stage -> its answer from a copy of the model on that device in that precision, in full float32 on a GPU.

    TrivialAugment and dropout draw from the device's own state, and are left out.
    """
    found, made = {}, in_float32(deepcopy(model).to(device, dtype))
    for stage in made.stages():
        stage.module.train()
        for layer in stage.module.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.eval()
        made.zero_grad()
        batch = {n: x.to(device, dtype if x.is_floating_point() else x.dtype) for n, x in inputs[stage.name].items()}
        with drawn_on_the_host(7, dtype), full_precision(device):
            rng = torch.Generator(device)
            before = rng.get_state()
            loss = stage.loss(batch, rng)["loss"]
            loss.backward()
        assert torch.equal(rng.get_state(), before), "a draw of the loss was not drawn on the host"
        gradients = {n: p.grad.double().cpu() for n, p in stage.module.named_parameters() if p.grad is not None}
        found[stage.name] = Answer(float(loss.detach()), gradients)
        made.eval()
    return found


def neighbour(model: Model, seed: int) -> Model:
    """A copy whose weights differ by a share of NEARBY."""
    made, rng = deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(1 + NEARBY * torch.randn(p.shape, generator=rng))
    return made


def too_wrong(other: Answer, host: Answer, nearby: Sequence[Answer], truth: Answer) -> dict[str, str]:
    """The gradients whose error is more than a CPU's explains."""
    found, floor, own = {}, ROUNDING * truth.norm(), host.errors(truth)
    around = [answer.errors(truth) for answer in nearby]
    for name, error in other.errors(truth).items():
        norm, near = float(truth.gradients[name].norm()), max(errors[name] for errors in around)
        if error > max(WORSE * own[name], near) + RELATIVE * norm + floor:
            found[name] = f"error {error:.2e}, a CPU's {own[name]:.2e}, nearby {near:.2e}, norm {norm:.2e}"
    return found


@every_case
def test_loss_and_gradients_are_those_of_a_cpu(model: str, dataset: str, device: torch.device) -> None:
    """From the same weights, tuples and draws."""
    cpu, made = torch.device("cpu"), build(model, dataset, torch.device("cpu"))
    if hasattr(made.config, "augment"):
        object.__setattr__(made.config, "augment", "none")
    inputs = batches(made, dataset)
    truth = answers(made, inputs, cpu, torch.float64)
    host, other = (answers(made, inputs, where, torch.float32) for where in (cpu, device))
    nearby = [answers(neighbour(made, k), inputs, cpu, torch.float32) for k in range(NEIGHBOURS[dataset])]
    for stage, answer in other.items():
        assert answer.loss == pytest.approx(truth[stage].loss, rel=1e-4), stage
        assert answer.gradients.keys() == truth[stage].gradients.keys()
        assert too_wrong(answer, host[stage], [found[stage] for found in nearby], truth[stage]) == {}, stage
