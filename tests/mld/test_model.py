"""MLD end to end on toys: training, generation for every split of three modalities, collapse."""

from dataclasses import replace

import pytest
import torch

from mmbench.config import Schedule
from mmbench.data.dataset import Split
from mmbench.errors import ConfigError, PluginError, TrainingError
from mmbench.modality import DatasetSpec, Modality, subsets
from mmbench.model import draw
from mmbench.networks import Networks
from mmbench.seeding import seeded_init
from mmbench.training import train
from mmbench_mld.model import MLD
from mmbench_mld.moves import Restart, Sampler
from mmbench_mld.schedule import TimePath

SPEC = DatasetSpec(
    name="toy",
    title="Toy",
    modalities=(
        Modality(name="a", shape=(1, 4, 4), network="mnist_mlp", latent=4),
        Modality(name="b", shape=(2, 3, 3), network="mnist_mlp", latent=3),
        Modality(name="c", shape=(3,), network="word_mlp", latent=2, likelihood="categorical", vocabulary=tuple("xyz")),
    ),
)
N = 256


def data():
    """Four classes; every modality shows the class plainly with a little noise."""
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % 4
    a = torch.zeros(N, 1, 4, 4, dtype=torch.uint8)
    a[torch.arange(N), 0, labels] = 230
    b = (40 * labels[:, None, None, None] + torch.randint(30, (N, 2, 3, 3), generator=g)).to(torch.uint8)
    c = torch.stack((labels % 3, labels // 3, labels % 2), dim=1).to(torch.uint8).to(torch.int16)
    return Split({"a": a, "b": b, "c": c}, torch.arange(N)[:, None].expand(N, 3).contiguous(), labels)


def config(**changes):
    quick = Schedule(steps=250, batch_size=64, lr=5e-3)
    start = MLD.recipe(SPEC, "smoke")
    return replace(
        start,
        autoencoders=dict.fromkeys(SPEC.names, quick),
        score=replace(quick, ema=0.99, steps=1200, warmup=50, decay="cosine"),
        width=64,
        time_embed=32,
        sampler=Sampler(),
        path=TimePath(steps=20, jump=5, resample=2),
        sampling_precision="float32",
        **changes,
    )


@pytest.fixture(scope="module")
def trained():
    with seeded_init(0):
        model = MLD.build(SPEC, config(), Networks())
    records = train(model, data(), data(), seed=0)
    return model, records


def test_stages_and_their_skill(trained):
    _, records = trained
    assert list(records) == ["autoencoder.a", "autoencoder.b", "autoencoder.c", "score"]
    assert all(records[f"autoencoder.{name}"].skill["skill"] > 0.5 for name in "abc")
    given = [f"skill given {' and '.join(s)}" for s in subsets("abc")[:-1]]
    assert set(records["score"].skill) == {"skill", *given, "best skill"}
    assert all(skill > 0.5 for skill in records["score"].skill.values())
    score = records["score"].history
    assert score["loss"][-1] < 0.6 * score["loss"][0]
    assert score["joint"][-1] is not None or score["conditional"][-1] is not None


@pytest.mark.parametrize("given", [(), *subsets(SPEC.names)], ids=str)
def test_generation_for_every_split(trained, given):
    model, _ = trained
    batch = data().gather(torch.arange(6))
    out = draw(
        model, {n: batch[n] for n in given}, SPEC.names, count=6, generator=torch.Generator().manual_seed(1)
    )  # draw itself refuses wrong names, shapes, dtypes and ranges
    for name in given:
        assert torch.equal(out[name], model._decode(name, latents(model, name, batch[name]))), "given: reconstructed"


def latents(model, name, x):
    return model._standardiser(name)(model._encode(name, x))


def test_samples_follow_the_condition(trained):
    """Given a, the class must come back in b (its mean level) and c (its letters): far above chance."""
    model, _ = trained
    split = data()
    rows = torch.arange(128)
    given = {"a": split.gather(rows)["a"]}
    out = draw(model, given, ("b", "c"), count=128, generator=torch.Generator().manual_seed(1))
    level = ((out["b"].mean(dim=(1, 2, 3)) * 255 - 15) / 40).round().long()
    assert (level == split.labels[rows]).float().mean() > 0.6
    assert (out["c"] == split.items["c"][rows].long()).all(1).float().mean() > 0.6


def test_joint_samples_agree(trained):
    model, _ = trained
    out = draw(model, {}, SPEC.names, count=200, generator=torch.Generator().manual_seed(1))
    level = ((out["b"].mean(dim=(1, 2, 3)) * 255 - 15) / 40).round().long()
    shown = out["a"].mean(dim=(1, 3)).argmax(1)
    assert (level == shown).float().mean() > 0.6
    assert len(torch.unique(shown)) == 4


FEW = [
    Sampler(kind="dpm2m", steps=12),
    Sampler(kind="sde2m", steps=8, restarts=(Restart(low=0.05, high=0.2, steps=3, times=2),)),
    Sampler(kind="heun", steps=8, churn=0.1),
]


@pytest.fixture(params=FEW, ids=lambda sampler: sampler.kind)
def sampled_in_few_calls(trained, request):
    """The trained model with a sampler of few calls; and then as it was."""
    model, _ = trained
    before = model.config
    model.config = replace(before, sampler=request.param)
    yield model
    model.config = before


def test_samples_of_few_calls_agree_and_follow_the_condition(sampled_in_few_calls):
    """As those of the path do; the network is called as often as the configuration says, the given come back."""
    model, split, rows = sampled_in_few_calls, data(), torch.arange(128)
    calls = []
    hook = model.score.register_forward_hook(lambda *_: calls.append(1))
    batch = split.gather(rows)
    made = draw(model, {"a": batch["a"]}, SPEC.names, count=128, generator=torch.Generator().manual_seed(1))
    hook.remove()
    assert len(calls) == model.config.calls == model.config.sampler.calls
    assert torch.equal(made["a"], model._decode("a", latents(model, "a", batch["a"])))
    level = ((made["b"].mean(dim=(1, 2, 3)) * 255 - 15) / 40).round().long()
    assert (level == split.labels[rows]).float().mean() > 0.6
    assert (made["c"] == split.items["c"][rows].long()).all(1).float().mean() > 0.6
    made = draw(model, {}, SPEC.names, count=200, generator=torch.Generator().manual_seed(1))
    level = ((made["b"].mean(dim=(1, 2, 3)) * 255 - 15) / 40).round().long()
    shown = made["a"].mean(dim=(1, 3)).argmax(1)
    assert (level == shown).float().mean() > 0.6
    assert len(torch.unique(shown)) == 4


def test_batches_do_not_change_samples_of_few_calls(sampled_in_few_calls):
    model = sampled_in_few_calls
    assert torch.allclose(drawn(model, "float32", 100), drawn(model, "float32", 7), atol=1e-4)


def drawn(model, precision, size, seed=5):
    given = {"a": data().gather(torch.arange(100))["a"]}
    model.config = replace(model.config, sampling_precision=precision)
    made = draw(model, given, ("b",), count=100, generator=torch.Generator().manual_seed(seed), batch_size=size)["b"]
    model.config = replace(model.config, sampling_precision="float32")
    return made


def test_batches_do_not_change_samples(trained):
    model, _ = trained
    assert torch.allclose(drawn(model, "float32", 100), drawn(model, "float32", 7), atol=1e-4)


def test_in_bfloat16_batches_change_samples_by_rounding_alone(trained):
    """A matrix product may sum in another order for another number of rows and threads, which in bfloat16 is felt: no
    more than bfloat16 itself is felt, whose distance from float32 is small beside that of other noise."""
    model, _ = trained
    whole, cut, exact = drawn(model, "bfloat16", 100), drawn(model, "bfloat16", 7), drawn(model, "float32", 100)
    rounding = (whole - exact).abs().max()
    assert rounding < 0.05 * (drawn(model, "float32", 100, seed=6) - exact).abs().max()
    assert (whole - cut).abs().max() <= 2 * rounding
    assert (whole - cut).abs().mean() <= (whole - exact).abs().mean()


def test_sampling_uses_the_average():
    """After training, the score network holds the EMA, not the last iterate: without EMA it differs."""
    brief = Schedule(steps=10, batch_size=64, lr=3e-3)
    scores = []
    for ema in (0.9, None):
        settings = replace(
            config(), autoencoders=dict.fromkeys(SPEC.names, replace(brief, steps=60)), score=replace(brief, ema=ema)
        )
        with seeded_init(0):
            model = MLD.build(SPEC, settings, Networks())
        train(model, data(), data(), seed=0)
        scores.append(model.score.lift.weight)
    assert not torch.equal(*scores)
    assert torch.allclose(*scores, atol=0.1)


def test_autoencoders_are_frozen_while_the_score_is_trained(trained):
    model, _ = trained
    *autoencoders, score = model.stages()
    own = {id(p) for p in score.module.parameters()}
    assert all(id(p) not in own for stage in autoencoders for p in stage.module.parameters())
    prepared = score.prepare(data())
    assert not any(v.requires_grad for v in prepared.items.values())
    z = torch.cat(list(prepared.items.values()), dim=1)
    assert torch.allclose(z.mean(0), torch.zeros(9), atol=1e-4)


def test_collapse_is_below_the_least_skill():
    """Decoders that answer one item whatever they see, as the L1 trap makes them, and a score that answers nothing."""
    with seeded_init(0):
        model = MLD.build(SPEC, config(), Networks())
    for parameter in (p for autoencoder in model.autoencoders.values() for p in autoencoder.decoder.parameters()):
        torch.nn.init.zeros_(parameter)
    *autoencoders, score = model.stages()
    for stage in autoencoders:
        assert stage.least == {"skill": 0.05}
        assert stage.skill(data())["skill"] < 0.05
    assert score.least == {"best skill": 0.002}
    assert score.skill(data())["best skill"] == 0, "its last layer is zero at first"


def test_a_collapsed_stage_stops_the_training_where_that_is_asked_for():
    """A learning rate that kills the hidden ReLUs leaves a constant image, as in the trap; the score is not trained."""
    bad = Schedule(steps=30, batch_size=64, lr=1e3)
    with seeded_init(0):
        model = MLD.build(SPEC, replace(config(), autoencoders=dict.fromkeys(SPEC.names, bad)), Networks())
    with pytest.raises(TrainingError, match=r"'autoencoder\.a' has collapsed"):
        train(model, data(), data(), seed=0, on_collapse="refuse")
    assert torch.equal(model.score.out[-1].weight, torch.zeros_like(model.score.out[-1].weight))


def test_a_broken_autoencoder_is_refused():
    with seeded_init(0):
        model = MLD.build(SPEC, config(), Networks())
    for parameter in model.autoencoders["a"].parameters():
        torch.nn.init.constant_(parameter, torch.nan)
    with pytest.raises(PluginError, match="the decoder of 'a' gives values that are not finite"):
        model.stages()[0].skill(data())


@pytest.mark.parametrize("bad", [{"p_joint": 1.5}, {"width": 30}, {"std_floor": 0.0}])
def test_impossible_settings(bad):
    with pytest.raises(ConfigError):
        replace(MLD.recipe(SPEC), **bad)
