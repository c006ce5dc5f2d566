"""What a training takes, against parameters and operations counted here by hand."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

import mmbench.training.loop as loop
from mmbench.config import Schedule, to_json
from mmbench.data.dataset import Split
from mmbench.modality import DatasetSpec, Modality
from mmbench.model import Model, Stage
from mmbench.seeding import generator, seeded_init
from mmbench.store import Artefacts
from mmbench.training import Keeper, flops_of_all, stage_trainer, train
from mmbench.training.flops import Flops

SPEC = DatasetSpec(
    name="toy",
    title="Toy",
    modalities=tuple(Modality(name=n, shape=(1, 4, 4), network="mnist_mlp", latent=2) for n in "ab"),
)
B, STEPS = 8, 7
SCHEDULE = Schedule(steps=STEPS, batch_size=B, lr=1e-2, ema=0.9)
MLP_STEP = 2 * B * (2 * 16 * 5 + 3 * 5 * 3)
"""Of 16 -> 5 -> 3: forward, gradients of both weights, and of the second layer's input; the first one's needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    schedule: Schedule = SCHEDULE


class Attending(nn.Module):
    """What networks are made of, beside linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.up = nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Upsample(scale_factor=2)
        self.smooth, self.last = nn.Upsample(scale_factor=1.5, mode="bilinear"), nn.Linear(144, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.up(nn.functional.silu(self.norm(self.conv(x))))
        h = scaled_dot_product_attention(h, h, h)
        return self.last(self.smooth(h).mean(1).flatten(1))


class Toy(Model):
    """One stage; of its parameters one is frozen, and three are of no stage."""

    Config = Config

    def __init__(self, body: nn.Module, schedule: Schedule) -> None:
        super().__init__()
        self.dataset, self.schedule, self.body, self.aside = SPEC, schedule, body, nn.Linear(2, 1)
        self.frozen = next(reversed(list(body.parameters()))).requires_grad_(False)

    @classmethod
    def build(cls, dataset, config, networks):
        return cls(nn.Flatten(), config.schedule)

    def stages(self):
        def loss(batch, generator):
            x = batch["a"]
            return {"loss": self.body(x + torch.randn(x.shape, generator=generator)).square().mean()}

        return [Stage(name="only", module=self.body, schedule=self.schedule, loss=loss)]

    def generate(self, given, targets, *, count, generator):
        raise NotImplementedError


def tuples(n: int = 40) -> Split:
    items = torch.randint(256, (n, 1, 4, 4), generator=generator(0, "items"), dtype=torch.uint8)
    return Split({"a": items, "b": items}, torch.arange(n, dtype=torch.int32)[:, None].expand(n, 2).contiguous())


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Dropout(0.2), nn.Linear(5, 3))


def toy(make=mlp, schedule: Schedule = SCHEDULE) -> Toy:
    with seeded_init(0):
        return Toy(make(), schedule)


def keeper(folder: Path) -> Keeper:
    return Keeper(artefacts=Artefacts(folder), identity={}, config={"schedule": to_json(SCHEDULE)}, owner="toy")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_parameters_and_operations_of_a_training(precision):
    schedule = Schedule(steps=STEPS, batch_size=B, lr=1e-2, precision=precision)
    record = train(toy(schedule=schedule), tuples(), tuples(), seed=0)["only"]
    assert record.parameters == 16 * 5 + 5 + 5 * 3, "the last bias is frozen"
    assert record.gflop == MLP_STEP * STEPS / 1e9


def test_passes_count_with_all_their_steps():
    schedule = Schedule(epochs=3, batch_size=B, lr=1e-2)
    assert train(toy(schedule=schedule), tuples(41), tuples(), seed=0)["only"].gflop == MLP_STEP * 3 * 5 / 1e9


@pytest.mark.parametrize("make", [mlp, Attending])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_counting_changes_no_weight(make, precision, monkeypatch):
    schedule = Schedule(steps=STEPS, batch_size=B, lr=1e-2, ema=0.9, precision=precision)
    counted, plain = toy(make, schedule), toy(make, schedule)
    assert train(counted, tuples(), tuples(), seed=0)["only"].gflop
    uncounted(monkeypatch)
    assert train(plain, tuples(), tuples(), seed=0)["only"].gflop == 0
    for name, value in plain.state_dict().items():
        assert torch.equal(counted.state_dict()[name], value), name


def uncounted(monkeypatch):
    @contextmanager
    def nothing():
        yield SimpleNamespace(total=0)

    monkeypatch.setattr(loop, "Flops", nothing)


def test_one_step_is_counted_and_the_others_run_as_they_are(monkeypatch):
    entered = []
    monkeypatch.setattr(loop, "Flops", lambda: entered.append(1) or Flops())
    train(toy(), tuples(), tuples(), seed=0)
    assert len(entered) == 1


def test_nothing_is_known_before_a_step():
    model = toy()
    trainer = stage_trainer(model, model.stages()[0], tuples(), 0)
    assert trainer.gflop is None
    trainer.counted(0)
    assert trainer.gflop == MLP_STEP * STEPS / 1e9


def test_a_kept_stage_says_what_it_took(tmp_path):
    first = train(toy(), tuples(), tuples(), seed=0, keeper=keeper(tmp_path))["only"]
    again = train(toy(), tuples(), tuples(), seed=0, keeper=keeper(tmp_path))["only"]
    assert again == first
    assert again.gflop == MLP_STEP * STEPS / 1e9


def test_a_kept_stage_of_before_costs_were_counted_is_read(tmp_path, monkeypatch):
    before = train(toy(), tuples(), tuples(), seed=0, keeper=keeper(tmp_path))["only"]
    monkeypatch.setattr("mmbench.training.stages.once", _without("parameters", "gflop"))
    old = train(toy(), tuples(), tuples(), seed=0, keeper=keeper(tmp_path))["only"]
    assert (old.parameters, old.gflop) == (before.parameters, None)


def test_attention_on_a_cpu_counts():
    """Two products of (7, 5) x (5, 7) and (7, 7) x (7, 5), for 2 x 3 heads."""
    q = torch.randn(2, 3, 7, 5, generator=generator(0, "q"))
    with flops_of_all() as every, Flops() as own:
        scaled_dot_product_attention(q, q, q)
    assert own.total == every.get_total_flops() == 2 * 3 * (2 * 7 * 5 * 7 + 2 * 7 * 7 * 5)


def _without(*names):
    """`once`, of whose facts some were not written then."""
    from mmbench.tensors import once

    def older(*arguments, **more):
        tensors, facts = once(*arguments, **more)
        return tensors, {key: value for key, value in facts.items() if key not in names}

    return older
