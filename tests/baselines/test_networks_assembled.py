"""NEXUS' upper level, and what every VAE infers, once more in NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mmbench.modality import DatasetSpec, Modality
from mmbench.networks import Networks
from mmbench.seeding import Noise, seeded_init
from mmbench_baselines.mmvae import MMVAE
from mmbench_baselines.mmvae_dreg import MMVAEDReG
from mmbench_baselines.mopoe import MoPoE
from mmbench_baselines.mvae import MVAE
from mmbench_baselines.mvtcae import MVTCAE
from mmbench_baselines.nexus import Nexus, aggregate, layers

from ..arithmetic import Array, assert_same, batch_norm, leaky, linear, part, randomise

SPEC = DatasetSpec(
    name="toy",
    title="Toy",
    modalities=(
        Modality(name="pen", shape=(1, 4, 4), network="mnist_mlp", latent=3, weight=2.0),
        Modality(name="sign", shape=(3, 3, 2), network="mnist_mlp", latent=5),
        Modality(name="ink", shape=(2, 3, 3), network="mnist_mlp", latent=2),
    ),
)
SUBSETS = [("pen",), ("sign", "ink"), ("pen", "sign", "ink")]
COUNT = 9

every_subset = pytest.mark.parametrize("given", SUBSETS, ids="+".join)


def build(cls: Any, **settings: Any) -> tuple[Any, dict[str, Array]]:
    """A model in float64 with random parameters and running statistics, and those."""
    with seeded_init(0):
        model = cls.build(SPEC, replace(cls.recipe(SPEC, "smoke"), latent=4, **settings), Networks())
    return model, randomise(model)


def noise() -> Noise:
    return Noise(torch.Generator().manual_seed(4), COUNT)


def draws(source: Noise, *shape: int) -> Array:
    return source.normal(*shape).double().numpy()


def condition(given: tuple[str, ...]) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(1)
    return {m.name: torch.from_numpy(rng.normal(size=(COUNT, *m.shape))) for m in SPEC.modalities if m.name in given}


def heads(model: Any, batch: dict[str, torch.Tensor]) -> dict[str, tuple[Array, Array]]:
    """(mu, logvar) of each encoder: its first head and its second."""
    with torch.no_grad():
        made = {name: model.encoders[name](x) for name, x in batch.items()}
    return {name: (mu.numpy(), second.numpy()) for name, (mu, second) in made.items()}


# ---------------------------------------------------------------------------------------- NEXUS


def stack(w: dict[str, Array], x: Array, count: int) -> Array:
    """`count` times Linear, BatchNorm by its running statistics, LeakyReLU(0.01)."""
    for k in range(count):
        x = leaky(batch_norm(part(w, str(3 * k + 1)), linear(part(w, str(3 * k)), x)), 0.01)
    return x


def nexus_posterior(w: dict[str, Array], z: dict[str, Array], keep: Array) -> tuple[Array, Array]:
    """Messages W_m z_m + b_m without activation; the mean of those kept; two layers; two heads, mu and logvar."""
    messages = np.stack([linear(part(w, f"messages.{m}"), z_m) for m, z_m in z.items()], 1)
    h = np.stack([messages[i][keep[i]].mean(0) for i in range(len(keep))])
    h = stack(part(w, "nexus_encoder"), h, 2)
    return linear(part(w, "nexus_heads.0"), h), linear(part(w, "nexus_heads.1"), h)


def nexus_decoded(w: dict[str, Array], name: str, c: Array) -> Array:
    """Three layers and a linear one."""
    below = part(w, f"nexus_decoders.{name}")
    return linear(part(below, "9"), stack(below, c, 3))


def test_nexus_layers() -> None:
    stacked, x = layers(5, 7, 6), np.random.default_rng(1).normal(size=(8, 5))
    w = randomise(stacked)
    assert_same(stacked(torch.from_numpy(x)), stack(w, x, 2))


def test_nexus_aggregate() -> None:
    rng = np.random.default_rng(1)
    messages, keep = rng.normal(size=(20, 3, 4)), rng.random((20, 3)) < 0.5
    keep[~keep.any(1), 1] = True
    expected = np.stack([messages[i][keep[i]].mean(0) for i in range(20)])
    assert_same(aggregate(torch.from_numpy(messages), torch.from_numpy(keep)), expected)


def test_nexus_upper_level() -> None:
    """Posterior and decoders in eval mode; hidden layers and messages have sizes of their own."""
    model, w = build(Nexus, message=6, hidden=7)
    rng = np.random.default_rng(1)
    z = {m.name: rng.normal(size=(COUNT, m.latent)) for m in SPEC.modalities}
    keep = rng.random((COUNT, 3)) < 0.5
    keep[~keep.any(1), 0] = True
    q = model.nexus_posterior({m: torch.from_numpy(z_m) for m, z_m in z.items()}, torch.from_numpy(keep))
    mu, logvar = nexus_posterior(w, z, keep)
    assert_same(q.mu, mu)
    assert_same(q.logvar, logvar)
    c = rng.normal(size=(COUNT, 4))
    for name in SPEC.names:
        assert_same(model.decode_nexus(name, torch.from_numpy(c)), nexus_decoded(w, name, c))
        with torch.no_grad():
            through = model.decoders[name](torch.from_numpy(nexus_decoded(w, name, c)))
        assert_same(model.decode(name, torch.from_numpy(c)), through.numpy())


@every_subset
def test_nexus_infers_by_both_levels(given: tuple[str, ...]) -> None:
    """z_m ~ q_m for the given modalities, all their messages, c ~ q(c | z): noise of each z_m in order, then of c."""
    model, w = build(Nexus, message=6, hidden=7)
    batch, source = condition(given), noise()
    z = {m: mu + np.exp(lv / 2) * draws(source, mu.shape[1]) for m, (mu, lv) in heads(model, batch).items()}
    mu, logvar = nexus_posterior(w, z, np.ones((COUNT, len(given)), bool))
    assert_same(model.infer(batch, noise()), mu + np.exp(logvar / 2) * draws(source, 4))


# ---------------------------------------------------------------------------------------- the other VAEs


def product(q: list[tuple[Array, Array]], prior: bool) -> tuple[Array, Array]:
    """Precisions add, the prior's 1 too; means are weighted by them: (mean, standard deviation)."""
    precision = sum(np.exp(-lv) for _, lv in q) + prior
    return sum(np.exp(-lv) * mu for mu, lv in q) / precision, precision**-0.5


@every_subset
@pytest.mark.parametrize(
    ("cls", "settings", "prior"),
    [
        (MVAE, {}, (True, True, True)),
        (MVTCAE, {}, (False, False, False)),
        (MVTCAE, {"prior_expert": True}, (True, True, True)),
        (MoPoE, {}, (False, False, True)),
    ],
    ids=["MVAE", "MVTCAE", "MVTCAE with prior", "MoPoE"],
)
def test_products_infer_a_sample(
    cls: Any, settings: dict[str, Any], prior: tuple[bool, ...], given: tuple[str, ...]
) -> None:
    """z = mean + deviation eps of the product of the given experts; `prior`: of one, of two and of all three."""
    model, _ = build(cls, **settings)
    batch = condition(given)
    mean, deviation = product(list(heads(model, batch).values()), prior[len(given) - 1])
    assert_same(model.infer(batch, noise()), mean + deviation * draws(noise(), 4))


@every_subset
@pytest.mark.parametrize("cls", [MMVAE, MMVAEDReG], ids=lambda cls: cls.__name__)
def test_mixtures_infer_a_sample_of_one_expert(cls: Any, given: tuple[str, ...]) -> None:
    """Each row is one expert's sample by the same noise: Gaussian, or Laplace with n1 n2 + n3 n4 and the scale
    softmax(second head) L + 1e-6. All given experts serve some row."""
    model, _ = build(cls)
    batch = condition(given)
    if cls is MMVAE:
        eps = draws(noise(), 4)
        candidates = [mu + np.exp(lv / 2) * eps for mu, lv in heads(model, batch).values()]
    else:
        n1, n2, n3, n4 = draws(noise(), 4, 4).transpose(1, 0, 2)
        experts = [(mu, np.exp(s)) for mu, s in heads(model, batch).values()]
        candidates = [mu + (e / e.sum(1, keepdims=True) * 4 + 1e-6) * (n1 * n2 + n3 * n4) for mu, e in experts]
    z = model.infer(batch, noise()).detach().numpy()
    distance = np.stack([np.abs(z - candidate).max(1) for candidate in candidates])
    assert distance.min(0).max() < (1e-9 if cls is MMVAE else 1e-6)
    assert set(distance.argmin(0)) == set(range(len(given)))


def test_dreg_scales_sum_to_the_latents_size() -> None:
    """Location: the first head; scale: softmax(second head) L + 1e-6."""
    model, _ = build(MMVAEDReG)
    batch = condition(SPEC.names)
    for name, (mu, logits) in heads(model, batch).items():
        q = model.posteriors(batch)[name]
        assert_same(q.loc, mu)
        assert_same(q.scale, np.exp(logits) / np.exp(logits).sum(1, keepdims=True) * 4 + 1e-6, 1e-10)


@pytest.mark.parametrize("cls", [MVAE, MMVAE, MoPoE, MVTCAE, MMVAEDReG, Nexus], ids=lambda cls: cls.__name__)
def test_joint_samples_are_decoded_from_one_draw_of_the_prior(cls: Any) -> None:
    """N(0, I); DReG: Laplace of scale softmax(logits) L. Every modality from the same draw, NEXUS' through its top."""
    model, w = build(cls, **({"message": 6, "hidden": 7} if cls is Nexus else {}))
    z = draws(noise(), 4)
    if cls is MMVAEDReG:
        n1, n2, n3, n4 = draws(noise(), 4, 4).transpose(1, 0, 2)
        scale = np.exp(w["prior_logits"])
        z = scale / scale.sum() * 4 * (n1 * n2 + n3 * n4)
    assert_same(model.prior(noise()), z, 1e-6 if cls is MMVAEDReG else 1e-9)
    model.prior = lambda noise: torch.from_numpy(z)
    made = model.generate({}, SPEC.names, count=COUNT, generator=torch.Generator().manual_seed(4))
    for name in SPEC.names:
        latent = nexus_decoded(w, name, z) if cls is Nexus else z
        with torch.no_grad():
            expected = model.decoders[name](torch.from_numpy(latent))
        assert_same(made[name], expected.numpy(), 1e-6)
