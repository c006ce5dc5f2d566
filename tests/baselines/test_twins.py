"""multivae's models and the suite's own of the same name: one objective, two programs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from mmbench.modality import DatasetSpec, Modality
from mmbench.networks import Networks
from mmbench.plugins import MODELS, load
from mmbench.seeding import seeded_init

pytest.importorskip("multivae", reason="multivae is not installed: pip install 'mmbench[multivae]'")

DRAWS = 20


def spec(weight: float) -> DatasetSpec:
    shapes = {"a": (1, 4, 4), "b": (2, 3, 3), "c": (1, 3, 3)}
    modalities = [Modality(name=n, shape=s, network="mnist_mlp", latent=4) for n, s in shapes.items()]
    modalities[1] = replace(modalities[1], weight=weight)
    return DatasetSpec(name="three", title="Three", modalities=tuple(modalities))


def built(name: str, dataset: DatasetSpec, **changes: Any) -> Any:
    cls = load(MODELS, name)
    with seeded_init(0):
        return cls.build(dataset, replace(cls.recipe(dataset, "smoke"), **changes), Networks()).train()


def nearly_certain(encoder: torch.nn.Module) -> None:
    """Constant log-variances of -7: what is left of the noise shows in the third digit after the point."""
    head = [layer for layer in encoder.modules() if isinstance(layer, torch.nn.Linear)][-1]
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.constant_(head.bias, -7.0)


def losses(model: Any, dataset: DatasetSpec) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    tuples = {m.name: torch.rand(64, *m.shape, generator=rng) for m in dataset.modalities}
    (stage,) = model.stages()
    return torch.stack([stage.loss(tuples, torch.Generator().manual_seed(k))["loss"].detach() for k in range(DRAWS)])


class Part(torch.nn.Module):
    """A network of the suite's nexus as multivae calls it."""

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers = answers

    def forward(self, x: torch.Tensor) -> Any:
        from multivae.models.base import ModelOutput  # pyright: ignore[reportMissingImports]

        names = ("embedding", "log_covariance") if len(self.answers) == 2 else ("embedding",)
        made = {name: answer(x) for name, answer in zip(names, self.answers, strict=True)}
        return ModelOutput(**made, reconstruction=made["embedding"])


def test_both_levels_of_nexus_have_one_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the suite's own networks on the upper level, one noise, all messages kept: the loss to the digit, but for
    multivae's normalising constants of the latents' Gaussians, and the gradients of all networks; in float64, since the
    biases before a BatchNorm have gradients of nothing but rounding."""
    dataset, rows = spec(0.5), 32
    changes = {"warmup": 0.0, "dropout": 0.0, "beta_c": 2.5, "top_weights": {"a": 3.0, "b": 0.5, "c": 1.0}}
    one = built("nexus", dataset, **changes).double()
    other = built("multivae:Nexus", dataset, **changes).double()
    theirs = other.model
    for name in dataset.names:
        theirs.encoders[name].body.load_state_dict(one.encoders[name].state_dict())
        theirs.decoders[name].body.load_state_dict(one.decoders[name].state_dict())
        theirs.top_encoders[name] = Part(one.messages[name])
        theirs.top_decoders[name] = Part(one.nexus_decoders[name])
    mu, logvar = one.nexus_heads
    theirs.joint_encoder = Part(lambda h: mu(one.nexus_encoder(h)), lambda h: logvar(one.nexus_encoder(h)))
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(one.config.latent, generator=rng, dtype=torch.float64)
    place = "multivae.models.nexus.nexus_model.rsample_from_gaussian"
    monkeypatch.setattr(place, lambda mu, logvar, *_: mu + torch.exp(logvar / 2) * noise[: mu.shape[1]])
    tuples = {m.name: torch.rand(rows, *m.shape, generator=rng, dtype=torch.float64) for m in dataset.modalities}
    eps = {m.name: noise[: m.latent].expand(rows, -1) for m in dataset.modalities}
    keep = torch.ones(rows, 3, dtype=torch.bool)
    found = one.objective(tuples, one.encode(tuples), eps, keep, noise.expand(rows, -1))["loss"]
    found.backward()
    own = {name: p.grad.clone() for name, p in one.named_parameters()}
    one.zero_grad()
    expected = theirs(other.inputs(tuples), **other.clock()).loss
    expected.backward()
    constants = sum(changes["top_weights"][m.name] * m.latent * math.log(2 * math.pi) for m in dataset.modalities)
    assert found.item() == pytest.approx(expected.item() - constants, rel=1e-12)
    rounding = 1e-12 * max(float(grad.abs().max()) for grad in own.values())
    for name, grad in own.items():
        part, _, rest = name.partition(".")
        if part in ("encoders", "decoders"):
            m, _, last = rest.partition(".")
            other_grad = dict(getattr(theirs, part)[m].body.named_parameters())[last].grad
        else:
            other_grad = dict(one.named_parameters())[name].grad
        torch.testing.assert_close(grad, other_grad, rtol=1e-10, atol=rounding)


LOWER = {"warmup": 0.0, "dropout": 0.0, "beta_c": 0.0, "top_weights": dict.fromkeys("abc", 0.0)}
"""Of NEXUS the lower level alone: the networks of the upper one differ, its decoder has a sigmoid in multivae."""


@pytest.mark.parametrize(
    ("ours", "theirs", "weight", "changes"),
    [
        ("mvae", "MVAE", 1.0, {"random_subsets": 0}),
        ("mopoe", "MoPoE", 0.5, {}),
        ("mvtcae", "MVTCAE", 0.5, {}),
        ("mmvae_dreg", "MMVAE", 0.5, {}),
        ("nexus", "Nexus", 0.5, LOWER),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_twins_have_one_objective(ours: str, theirs: str, weight: float, changes: dict[str, Any]) -> None:
    """On the same networks and tuples the means of twenty losses agree within five standard errors (and rounding).
    MVAE's weights are 1 here: multivae has them in the terms of single modalities, too, the suite in the joint one."""
    dataset = spec(weight)
    one, other = built(ours, dataset, **changes), built(f"multivae:{theirs}", dataset, **changes)
    for name in dataset.names:
        if ours != "mmvae_dreg":
            nearly_certain(one.encoders[name])
        other.model.encoders[name].body.load_state_dict(one.encoders[name].state_dict())
        other.model.decoders[name].body.load_state_dict(one.decoders[name].state_dict())
    found, expected = losses(one, dataset), losses(other, dataset)
    error = ((found.var() + expected.var()) / DRAWS).sqrt().item()
    assert error < 1e-3 * abs(expected.mean().item())
    assert found.mean().item() == pytest.approx(expected.mean().item(), abs=5 * error, rel=1e-6)
