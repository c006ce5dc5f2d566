"""What all VAEs promise, on tiny datasets of two and three modalities (one of them a text), and what one alone does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product as pairs
from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.config import Schedule
from mmbench.data.dataset import Split
from mmbench.errors import ConfigError, PluginError
from mmbench.modality import DatasetSpec, Modality, subsets
from mmbench.model import Model, draw
from mmbench.networks import Networks
from mmbench.seeding import Noise, generator, seeded_init
from mmbench.training import train
from mmbench_baselines.mmvae import MMVAE
from mmbench_baselines.mmvae_dreg import MMVAEDReG
from mmbench_baselines.mopoe import MoPoE
from mmbench_baselines.mvae import MVAE
from mmbench_baselines.mvtcae import MVTCAE
from mmbench_baselines.nexus import Nexus, aggregate, perceptual_dropout

from ..specs import CUB

MODELS: list[type[Model]] = [MVAE, MMVAE, MMVAEDReG, MoPoE, MVTCAE, Nexus]
PEN = Modality(name="pen", shape=(1, 4, 4), network="mnist_mlp", latent=3, weight=2.0)
SIGN = Modality(name="sign", shape=(3, 3, 3), network="mnist_mlp", latent=5)
NAME = Modality(
    name="name",
    shape=(3,),
    network="word_mlp",
    latent=2,
    likelihood="categorical",
    vocabulary=tuple("abcd"),
    weight=3.0,
)
SPECS = {M: DatasetSpec(name=f"toy{M}", title="Toy", modalities=(PEN, SIGN, NAME)[:M], classes=4) for M in (2, 3)}
FOUR = DatasetSpec(name="toy4", title="Toy", modalities=(PEN, SIGN, NAME, replace(PEN, name="pen2")))

every_model = pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
every_size = pytest.mark.parametrize("M", SPECS)


def build(cls: type[Model], spec: DatasetSpec, **settings: Any) -> Any:
    config = replace(cls.recipe(spec, "smoke"), latent=4, **settings)
    if cls is MMVAEDReG:
        config = replace(config, samples=3)
    with seeded_init(0):
        return cls.build(spec, config, Networks())


def items(spec: DatasetSpec, count: int = 8) -> dict[str, Tensor]:
    """`count` tuples of a class each: an image is lit up to the class, a text repeats it."""
    labels = torch.arange(count) % 4
    out = {}
    for m in spec.modalities:
        shape = (count, *[1] * len(m.shape))
        image = (labels / 3).view(shape).expand(count, *m.shape)
        out[m.name] = labels.view(shape).expand(count, *m.shape).clone() if m.is_text else image.clone()
    return out


def stage_loss(model: Model, batch: dict[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    (stage,) = model.stages()
    return stage.loss(batch, torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def untouched_global_state() -> Iterator[None]:
    """No test of this file may move the global random state: neither training, nor sampling draws from it."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state())


@every_model
@every_size
def test_each_encoder_runs_once_a_step(cls: type[Model], M: int) -> None:
    model, calls = build(cls, SPECS[M]), dict.fromkeys(SPECS[M].names, 0)

    def counter(name: str) -> Any:
        def hook(*_: Any) -> None:
            calls[name] += 1

        return hook

    for name, encoder in model.encoders.items():
        encoder.register_forward_hook(counter(name))
    stage_loss(model, items(SPECS[M]))
    assert set(calls.values()) == {1}


@every_model
@every_size
def test_the_loss_is_finite_and_reaches_every_parameter(cls: type[Model], M: int) -> None:
    model = build(cls, SPECS[M])
    terms = stage_loss(model, items(SPECS[M]))
    terms["loss"].backward()
    assert all(value.ndim == 0 and torch.isfinite(value) for value in terms.values())
    assert len(terms) > M
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        before_batch_norm = name.startswith("nexus_") and name.endswith("bias")  # such a bias has no influence
        assert parameter.grad.abs().sum() > 0 or before_batch_norm, name


@every_model
@every_size
def test_one_stage_trains_everything(cls: type[Model], M: int) -> None:
    model = build(cls, SPECS[M])
    (stage,) = model.stages()
    assert stage.name == "elbo"
    assert stage.module is model


@every_model
def test_the_loss_depends_on_its_generator_alone(cls: type[Model]) -> None:
    batch = items(SPECS[3])
    a, b, c = (stage_loss(build(cls, SPECS[3]), batch, seed)["loss"].item() for seed in (1, 1, 2))
    assert a == b != c


@every_model
def test_a_few_steps_lower_the_loss(cls: type[Model]) -> None:
    model, batch = build(cls, SPECS[3]), items(SPECS[3], 32)
    before = stage_loss(model, batch)["loss"].item()
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for step in range(40):
        optimiser.zero_grad()
        stage_loss(model, batch, step)["loss"].backward()
        optimiser.step()
    assert stage_loss(model, batch)["loss"].item() < 0.95 * before


@every_model
@every_size
def test_generate_every_split(cls: type[Model], M: int) -> None:
    """`draw` checks names, shapes, dtypes and ranges; the targets may hold what is given (a reconstruction)."""
    spec = SPECS[M]
    model, batch = build(cls, spec).eval(), items(spec, 5)
    for given, targets in pairs([(), *subsets(spec.names)], subsets(spec.names)):
        condition = {name: batch[name] for name in given}
        samples = draw(model, condition, targets, count=5, generator=generator(0))
        assert tuple(samples) == targets


@every_model
@pytest.mark.parametrize("given", [(), ("pen",), ("sign", "name")], ids=lambda g: "+".join(g) or "joint")
def test_samples_do_not_depend_on_the_batches(cls: type[Model], given: Sequence[str]) -> None:
    spec = SPECS[3]
    model = build(cls, spec)
    condition = {name: items(spec, 7)[name] for name in given}
    whole, cut, other = (
        draw(model, condition, spec.names, count=7, generator=generator(seed), batch_size=size)
        for seed, size in ((1, 7), (1, 3), (2, 7))
    )
    for name in spec.names:
        torch.testing.assert_close(whole[name], cut[name], rtol=1e-5, atol=1e-6)
    assert not torch.equal(whole["pen"], other["pen"])


@every_model
def test_the_condition_is_used_after_training(cls: type[Model]) -> None:
    """Two classes of images, told apart by brightness: given the sign, the pen's brightness follows it."""
    spec = SPECS[2]
    model = build(cls, spec, **({} if cls is MMVAEDReG else {"beta": 0.1}))
    batch = {name: (values > 0.5).float() for name, values in items(spec, 64).items()}
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    for step in range(150):
        optimiser.zero_grad()
        stage_loss(model, batch, step)["loss"].backward()
        optimiser.step()
    pen = draw(model, {"sign": batch["sign"]}, ("pen",), count=64, generator=generator(0))["pen"].mean((1, 2, 3))
    bright = batch["sign"].mean((1, 2, 3)) > 0.5
    assert pen[bright].mean() > pen[~bright].mean() + 0.3


@every_model
def test_generation_leaves_the_model_alone(cls: type[Model]) -> None:
    model = build(cls, SPECS[3]).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    draw(model, {"pen": items(SPECS[3])["pen"]}, ("sign",), count=8, generator=generator(0))
    assert not model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


@every_model
def test_bfloat16_autocast_gives_a_float32_loss(cls: type[Model]) -> None:
    model, batch = build(cls, SPECS[3]), items(SPECS[3])
    exact = stage_loss(model, batch)["loss"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = stage_loss(model, batch)["loss"]
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, rtol=0.05, atol=0.05)


# ---------------------------------------------------------------------------------------- captions


@pytest.mark.parametrize("cls", [MoPoE, Nexus], ids=lambda cls: cls.__name__)
def test_images_with_captions_are_trained_and_generated(cls: type[Model]) -> None:
    """One step of a few tuples on CUB's shapes, in bfloat16, with finite gradients; then samples of every kind."""
    config = cls.recipe(CUB, "smoke")
    config = replace(config, schedule=replace(config.schedule, steps=1, batch_size=4, warmup=0))
    with seeded_init(0):
        model = cls.build(CUB, config, Networks())
    rng = generator(0, "items")
    pictures = torch.randint(256, (4, 3, 64, 64), generator=rng, dtype=torch.uint8)
    words = torch.randint(1590, (4, 32), generator=rng, dtype=torch.int16)
    split = Split({"image": pictures, "caption": words}, torch.arange(4)[:, None].expand(4, 2).contiguous())
    records = train(model, split, split, seed=0)
    assert set(records["elbo"].skill) == {"skill image", "skill caption", "token accuracy caption"}
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    for given in ((), ("image",), ("caption",)):
        batch = split.gather(torch.arange(4), given) if given else {}
        draw(model, batch, CUB.names, count=4, generator=generator(0, "draw"))  # refuses wrong shapes and ranges


# ---------------------------------------------------------------------------------------- single models


def test_mvae_subsets() -> None:
    """M = 2: all of them. M = 3: one of the three pairs besides. M = 4: k distinct ones of the ten in between."""
    g = torch.Generator().manual_seed(0)
    assert build(MVAE, SPECS[2]).choose_subsets(g) == [("pen", "sign"), ("sign",), ("pen",)]
    seen = {tuple(build(MVAE, SPECS[3]).choose_subsets(g)[4:]) for _ in range(40)}
    assert seen == {(("pen", "sign"),), (("pen", "name"),), (("sign", "name"),)}
    chosen = build(MVAE, FOUR, random_subsets=3).choose_subsets(g)
    assert chosen[0] == FOUR.names
    assert sorted(map(len, chosen[1:5])) == [1] * 4
    assert len(set(chosen)) == len(chosen) == 8
    assert all(len(S) in (2, 3) for S in chosen[5:])


@every_model
def test_four_modalities(cls: type[Model]) -> None:
    model, batch = build(cls, FOUR), items(FOUR)
    assert torch.isfinite(stage_loss(model, batch)["loss"])
    given = {name: batch[name] for name in ("pen", "pen2", "name")}
    assert set(draw(model, given, ("sign",), count=8, generator=generator(0))) == {"sign"}


def test_mvtcae_without_prior_expert_infers_from_one_modality_as_its_encoder() -> None:
    batch = {"pen": items(SPECS[2])["pen"]}
    for prior_expert in (False, True):
        model = build(MVTCAE, SPECS[2], prior_expert=prior_expert)
        experts = model.encode(batch)
        q = model.subset_posterior(experts)
        assert torch.equal(q.mu, experts["pen"].mu) is not prior_expert
        assert torch.allclose(q.logvar, experts["pen"].logvar) is not prior_expert


def test_mopoe_uses_the_prior_expert_for_the_full_set_only() -> None:
    model, batch = build(MoPoE, SPECS[3]), items(SPECS[3])
    experts = model.encode(batch)
    pair = model.subset_posterior({m: experts[m] for m in ("pen", "name")})
    torch.testing.assert_close((-pair.logvar).exp(), (-experts["pen"].logvar).exp() + (-experts["name"].logvar).exp())
    full = model.subset_posterior(experts)
    torch.testing.assert_close((-full.logvar).exp(), 1 + sum((-q.logvar).exp() for q in experts.values()))


def test_dreg_prior_is_learned_and_used() -> None:
    """The scales of the prior sum to the latent's size; joint samples follow them."""
    model = build(MMVAEDReG, SPECS[2])
    with torch.no_grad():
        model.prior_logits.copy_(torch.tensor([10.0, 0.0, 0.0, 0.0]))
    assert model.prior_distribution().scale.sum().item() == pytest.approx(4.0)
    z = model.prior(Noise(generator(0), 4000))
    torch.testing.assert_close(z.abs().mean(0), model.prior_distribution().scale, rtol=0.1, atol=1e-3)


def test_nexus_dropout_is_forced_and_uniform() -> None:
    """Rows hit with probability p lose n ~ U{1 .. M-1}: for M = 3, p = 0.6, 40 % keep 3, 30 % keep 2, 30 % keep 1."""
    g = torch.Generator().manual_seed(0)
    keep = perceptual_dropout(20_000, 3, 0.6, g)
    counts = torch.bincount(keep.sum(1), minlength=4) / len(keep)
    torch.testing.assert_close(counts, torch.tensor([0.0, 0.3, 0.3, 0.4]), rtol=0, atol=0.015)
    torch.testing.assert_close(keep.float().mean(0), torch.full((3,), 0.7), rtol=0, atol=0.015)
    two = perceptual_dropout(1000, 2, 1.0, g)
    assert (two.sum(1) == 1).all()
    assert perceptual_dropout(1000, 2, 0.0, g).all()


def test_nexus_aggregate_is_the_mean_of_the_kept() -> None:
    messages = torch.tensor([[[1.0], [3.0], [8.0]], [[1.0], [3.0], [8.0]]])
    keep = torch.tensor([[True, True, False], [False, False, True]])
    assert torch.equal(aggregate(messages, keep), torch.tensor([[2.0], [8.0]]))


def test_nexus_warms_up_over_a_share_of_its_schedule() -> None:
    """2 / 15 of 150 steps: the KL weights are 1/20, 2/20, .. 1; evaluation does not count, a checkpoint remembers."""
    batch = items(SPECS[2])
    model = build(Nexus, SPECS[2], schedule=Schedule(steps=150, batch_size=8, lr=1e-3))
    assert model.warmup_steps.item() == 20
    weights = []
    model.objective = lambda *args: weights.append(args[-1].item()) or {}
    for _ in range(3):
        stage_loss(model, batch)
    model.eval()
    stage_loss(model, batch)
    model.train()
    model.steps_done.fill_(40)
    stage_loss(model, batch)
    assert weights == pytest.approx([0.05, 0.1, 0.15, 0.15, 1.0])
    again = build(Nexus, SPECS[2])
    again.load_state_dict(model.state_dict())
    assert again.steps_done.item() == 41


def test_nexus_learns_the_length_of_its_schedule_from_the_training_set() -> None:
    model = build(Nexus, SPECS[2], schedule=Schedule(epochs=15, batch_size=4, lr=1e-3))
    (stage,) = model.stages()
    batch = items(SPECS[2], 40)
    train = Split(batch, torch.arange(40)[:, None].expand(40, 2))
    assert stage.prepare is not None
    assert stage.prepare(train) is train
    assert model.warmup_steps.item() == 20  # 2 / 15 of 15 * 10 steps


def test_nexus_refuses_weights_for_other_modalities() -> None:
    with pytest.raises(ConfigError, match="top_weights names"):
        build(Nexus, SPECS[2], top_weights={"pen": 1.0})


def test_nexus_levels_are_separate() -> None:
    """The top level's loss leaves no gradient in the lower level, and the lower's none in the top."""
    model, batch = build(Nexus, SPECS[2], beta=0.0), items(SPECS[2])
    free = build(Nexus, SPECS[2], beta=0.0, beta_c=100.0, top_weights={"pen": 50.0, "sign": 50.0})
    for m in (model, free):
        stage_loss(m, batch)["loss"].backward()
    for (name, a), b in zip(model.named_parameters(), free.parameters(), strict=True):
        if name.startswith(("encoders", "decoders")):
            torch.testing.assert_close(a.grad, b.grad, msg=name)


# ---------------------------------------------------------------------------------------- collapse


@every_model
def test_a_stage_says_what_a_collapse_is(cls: type[Model]) -> None:
    """A decoder that answers one item for every z is below `least`; one that answers NaN is refused."""
    spec = SPECS[3]
    model, batch = build(cls, spec).eval(), items(spec, 64)
    (stage,) = model.stages()
    assert stage.least == {"skill pen": 0.05, "skill sign": 0.05, "skill name": 0.05}
    assert (stage.settings, stage.needs) == (None, None), "all of the configuration; there is no other stage"
    held_out = Split(batch, torch.arange(64)[:, None].expand(64, 3).contiguous())
    with torch.no_grad():
        for parameter in model.decoders.parameters():
            parameter.zero_()
        found = stage.skill(held_out)
        assert all(found[name] < least for name, least in stage.least.items())
        for parameter in model.decoders["pen"].parameters():
            parameter.fill_(torch.nan)
        with pytest.raises(PluginError, match="the decoder of 'pen' gives values that are not finite"):
            stage.skill(held_out)
