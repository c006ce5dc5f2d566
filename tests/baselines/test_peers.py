"""multivae's models through the adapter: its own losses to the digit, and noise that belongs to the sample."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import log_softmax
from torch.distributions import Categorical, Laplace, Normal

from mmbench.config import Schedule
from mmbench.data.glyphs import SPEC as GLYPHS
from mmbench.data.mnist_svhn import SPEC as MNIST_SVHN
from mmbench.errors import ConfigError, PluginError
from mmbench.modality import DatasetSpec, Modality
from mmbench.model import draw
from mmbench.networks import Networks
from mmbench.seeding import Noise, seeded_init

multivae = pytest.importorskip(
    "multivae.models", reason="multivae is not installed: pip install 'mmbench[multivae]'", exc_type=ImportError
)

from multivae.data.datasets.base import MultimodalBaseDataset  # noqa: E402  # pyright: ignore[reportMissingImports]

from mmbench_baselines.peers import hierarchy, joint, models  # noqa: E402
from mmbench_baselines.peers.noise import SampleNoise, drawing_from  # noqa: E402
from mmbench_baselines.peers.peer import Peer, log_likelihood  # noqa: E402

IMAGES = (
    Modality(name="a", shape=(1, 4, 4), network="mnist_mlp", latent=4),
    Modality(name="b", shape=(2, 3, 3), network="mnist_mlp", latent=3, likelihood="gaussian", scale=0.4, weight=0.5),
)
WORD = Modality(
    name="c", shape=(3,), network="word_mlp", latent=2, likelihood="categorical", vocabulary=tuple("vwxyz"), weight=2.0
)
TWO = DatasetSpec(name="two", title="Two", modalities=IMAGES)
THREE = DatasetSpec(name="three", title="Three", modalities=(*IMAGES, WORD))
B = 12
PEERS: list[type[Peer]] = [
    *(models.CMVAE, models.CRMVAE, models.DMVAE, models.JMVAE, models.MMVAE, models.MMVAEPlus, models.MVAE),
    *(models.MVTCAE, models.MoPoE, models.Nexus, joint.JNF, joint.TELBO, hierarchy.MHVAE),
]
names = pytest.mark.parametrize("cls", PEERS, ids=lambda cls: cls.__name__)


def build(cls: type[Peer], spec: DatasetSpec = TWO, **changes: Any) -> Any:
    with seeded_init(0):
        return cls.build(spec, replace(cls.recipe(spec, "smoke"), latent=5, **changes), Networks())


def batch(spec: DatasetSpec = TWO, n: int = B) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return {
        m.name: torch.randint(5, (n, *m.shape), generator=rng) if m.is_text else torch.rand(n, *m.shape, generator=rng)
        for m in spec.modalities
    }


def noise(count: int, seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed), count)


# ---------------------------------------------------------------------------------------- losses

COMMON = {
    "n_modalities": 2,
    "latent_dim": 5,
    "input_dims": {"a": (1, 4, 4), "b": (2, 3, 3)},
    "uses_likelihood_rescaling": True,
    "rescale_factors": {"a": 1.0, "b": 0.5},
    "decoders_dist": {"a": "laplace", "b": "normal"},
    "decoder_dist_params": {"a": {"scale": 0.75}, "b": {"scale": 0.4}},
}
BY_HAND: dict[str, tuple[dict[str, Any], tuple[str, ...], dict[str, int]]] = {
    # its configuration, what beside encoders and decoders it is built from, and the epoch
    "CMVAE": ({"K": 10, "modalities_specific_dim": 20, "number_of_clusters": 10}, (), {}),
    "CRMVAE": ({"beta": 2.5}, (), {}),
    "DMVAE": ({"modalities_specific_dim": {"a": 20, "b": 20}}, (), {}),
    "JMVAE": ({"alpha": 0.1, "warmup": 4}, ("joint_encoder",), {"epoch": 2}),
    "MMVAE": ({"K": 30}, (), {}),
    "MMVAEPlus": ({"K": 10, "modalities_specific_dim": 20}, (), {}),
    "MVAE": ({"beta": 5.0, "warmup": 0}, (), {}),
    "MVTCAE": ({"beta": 5.0, "alpha": 5 / 6}, (), {}),
    "MoPoE": ({"beta": 5.0}, (), {}),
    "Nexus": (
        {
            "modalities_specific_dim": {"a": 4, "b": 3},
            "dropout_rate": 0.5,
            "msg_dim": 256,
            "top_beta": 5.0,
            "gammas": {"a": 2 * 192.0, "b": 2 * 170.67},
            "warmup": 8,
        },
        ("top_encoders", "top_decoders", "joint_encoder"),
        {"epoch": 4},
    ),
    "JNF": ({}, ("joint_encoder", "flows"), {"epoch": 11}),
    "TELBO": ({}, ("joint_encoder",), {"epoch": 11}),
    "MHVAE": ({"n_latent": 3}, ("bottom_up_blocks", "top_down_blocks", "posterior_blocks", "prior_blocks"), {}),
}


def itself(cls: type[Peer], ours: Peer) -> tuple[Any, dict[str, int]]:
    """multivae's class, called with arguments written out here and copies of the networks; and its epoch."""
    own, more, epoch = BY_HAND[cls.__name__]
    settings = getattr(multivae, f"{cls.__name__}Config")(**COMMON, **own)
    parts = {part: copy.deepcopy(getattr(ours.model, part)) for part in ("encoders", "decoders", *more)}
    theirs = getattr(multivae, cls.__name__)(settings, **parts)
    theirs.load_state_dict(ours.model.state_dict())
    return theirs.train(), epoch


@names
def test_losses_are_multivaes_own(cls: type[Peer]) -> None:
    """With its own likelihoods, on copies of the networks, under the seed that the generator gives."""
    ours = build(cls).train()
    if isinstance(ours, models.WarmedUp) and not isinstance(ours, models.MVAE):  # half of the warm-up is over
        ours.warmup_steps.fill_(10)
        ours.steps_done.fill_(4)
    theirs, epoch = itself(cls, ours)
    found = ours.stages()[-1].loss(batch(), torch.Generator().manual_seed(3))["loss"]
    seed = int(torch.randint(2**31 - 1, (), generator=torch.Generator().manual_seed(3)))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)
        expected = theirs(MultimodalBaseDataset(data=batch()), **epoch).loss
    sum_over_batch = cls.__name__ in ("CMVAE", "CRMVAE", "MMVAE", "MMVAEPlus", "MHVAE")
    assert found.item() == pytest.approx(expected.item() / (B if sum_over_batch else 1), rel=2e-5)


@pytest.mark.parametrize("cls", [joint.JNF, joint.TELBO])
def test_the_first_phase_is_the_joint_elbo(cls: type[Peer]) -> None:
    ours = build(cls).train()
    theirs, _ = itself(cls, ours)
    found = ours.stages()[0].loss(batch(), torch.Generator().manual_seed(3))["loss"]
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(2**31 - 1, (), generator=torch.Generator().manual_seed(3))))
        expected = theirs(MultimodalBaseDataset(data=batch()), epoch=1).loss
    assert found.item() == pytest.approx(expected.item(), rel=2e-5)


def test_the_likelihood_of_a_text_by_hand() -> None:
    """Over leading extents, too: log softmax at the token, summed over the positions."""
    rng = np.random.default_rng(0)
    logits, x = rng.normal(size=(4, B, 3, 5)), batch(THREE)["c"]
    found = log_likelihood(WORD)(torch.from_numpy(logits), x)
    picked = np.take_along_axis(log_softmax(logits, -1), np.broadcast_to(x.numpy(), (4, B, 3))[..., None], -1)
    assert found.shape == (4, B, 1)
    np.testing.assert_allclose(found[..., 0].numpy(), picked[..., 0].sum(-1), rtol=1e-6)


@names
def test_a_loss_changes_no_global_state_and_heeds_numpys_too(cls: type[Peer]) -> None:
    ours = build(cls, THREE).train()
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()
    one, two = (ours.stages()[-1].loss(batch(THREE), torch.Generator().manual_seed(0))["loss"].item() for _ in "ab")
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == np.random.get_state()[1].tolist()
    if not isinstance(ours, models.WarmedUp):
        assert one == pytest.approx(two, rel=1e-6)


@names
def test_encoders_and_decoders_are_the_suites(cls: type[Peer]) -> None:
    """Layer by layer the shapes of what `Networks` gives; a private latent makes the heads wider."""
    ours, networks = build(cls), Networks()
    for m in TWO.modalities:
        latent, private = ours.sizes(m)
        encoder = networks.encoder(m, ours.config.width, heads=1) if cls is hierarchy.MHVAE else None
        encoder = encoder or networks.encoder(m, latent + private, heads=2)
        for made, expected in (
            (ours.model.encoders[m.name].body, encoder),
            (ours.model.decoders[m.name].body, networks.decoder(m, latent + private)),
        ):
            assert {n: p.shape for n, p in made.named_parameters()} == {
                n: p.shape for n, p in expected.named_parameters()
            }


@names
def test_the_papers_networks_and_a_text_fit(cls: type[Peer]) -> None:
    """Convolutions of MNIST-SVHN, the letters of Glyphs: a loss, and samples of every kind of task."""
    for spec in (MNIST_SVHN, GLYPHS):
        config = cls.recipe(spec, "smoke")
        config = replace(config, mcmc_steps=1) if cls is joint.JNF else config
        with seeded_init(0):
            ours = cls.build(spec, config, Networks()).train()
        tuples = batch(spec, 3)
        for stage in ours.stages():
            assert torch.isfinite(stage.loss(tuples, torch.Generator().manual_seed(0))["loss"])
        for given in ((), spec.names[:1], spec.names[:2]):
            known = {name: tuples[name] for name in given}
            made = draw(ours, known, spec.names, count=3, generator=torch.Generator().manual_seed(0))
            assert set(made) == set(spec.names), "draw itself refuses wrong shapes, dtypes and ranges"


# ---------------------------------------------------------------------------------------- phases and warm-ups


@pytest.mark.parametrize("cls", [joint.JNF, joint.TELBO])
def test_the_second_phase_leaves_the_first_alone(cls: type[Peer]) -> None:
    """Its gradients go to the encoders (and flows) only; switches are put back; each phase has half of the steps."""
    ours = build(cls, schedule=Schedule(steps=9, batch_size=4, lr=1e-3, warmup=3)).train()
    first, second = ours.stages()
    assert [(s.schedule.steps, s.schedule.warmup) for s in (first, second)] == [(4, 1), (4, 1)]
    second.loss(batch(), torch.Generator().manual_seed(0))["loss"].backward()
    assert all(p.grad is None and p.requires_grad for p in first.module.parameters())
    assert all(p.grad is not None for p in second.module.parameters())


@pytest.mark.parametrize(("cls", "before"), [(models.MVAE, 1), (models.JMVAE, 0), (models.Nexus, 0)])
def test_a_warm_up_is_a_share_of_the_training(cls: type[Peer], before: int) -> None:
    """In hundredths, counted by the steps of training; none where the share is 0."""
    steps = Schedule(steps=20, batch_size=4, lr=1e-3)
    ours = build(cls, schedule=steps, warmup=0.2).train()
    assert [ours.clock()["epoch"] - before for _ in range(6)] == [25.0, 50.0, 75.0, 100.0, 100.0, 100.0]
    ours.eval()
    ours.steps_done.fill_(1)
    assert ours.clock()["epoch"] - before == 25.0
    assert build(cls, schedule=steps, warmup=0.0).train().clock()["epoch"] - before == 100.0


# ---------------------------------------------------------------------------------------- noise


def draws(count: int, seed: int = 0) -> list[np.ndarray]:
    with SampleNoise(noise(count, seed)):
        many = [
            torch.normal(torch.full((count, 3), 2.0), torch.full((count, 3), 0.5)),
            Normal(torch.zeros(count, 3), 2.0).rsample(),
            Laplace(torch.zeros(count, 3), 1.0).rsample(),
            torch.rand(count),
            torch.randn_like(torch.zeros(count, 2)),
            torch.empty(count, 3).uniform_(-1, 3),
            torch.randn(count, 3),
            Categorical(logits=torch.tensor([0.0, 1.0, 2.0])).sample([count]),
        ]
    return [x.numpy() for x in many]


LAWS = [
    stats.norm(2, 0.5),
    stats.norm(0, 2),
    stats.laplace(0, 1),
    stats.uniform(0, 1),
    stats.norm(0, 1),
    stats.uniform(-1, 4),
    stats.norm(0, 1),
]


def test_torchs_random_operators_have_their_laws() -> None:
    found = draws(4000)
    for x, law in zip(found, LAWS, strict=False):
        assert stats.kstest(x.flatten(), law.cdf).pvalue > 1e-4
    assert abs(np.corrcoef(found[0][:, 0], found[1][:, 0])[0, 1]) < 5 / np.sqrt(4000)
    share = np.exp([0.0, 1.0, 2.0]) / np.exp([0.0, 1.0, 2.0]).sum()
    assert stats.chisquare(np.bincount(found[-1], minlength=3), 4000 * share).pvalue > 1e-4


def test_noise_belongs_to_the_sample_in_torchs_operators() -> None:
    """Twenty samples, and the first seven of the same generator's keys: the same rows."""
    for whole, part in zip(draws(20), draws(7), strict=True):
        assert np.array_equal(whole[:7], part)


@pytest.mark.parametrize(
    "draw", [lambda: torch.randperm(4), lambda: torch.randn(3, 4), lambda: torch.bernoulli(torch.full((4,), 0.5))]
)
def test_a_draw_that_is_no_row_for_each_sample_is_refused(draw: Any) -> None:
    with SampleNoise(noise(4)), pytest.raises(PluginError, match=r"sample"):
        draw()


def test_seeding_is_put_back_after_an_error() -> None:
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()

    def fail() -> None:
        with drawing_from(torch.Generator().manual_seed(0)):
            raise ValueError(f"boom {torch.rand(3)} {np.random.rand(3)}")

    with pytest.raises(ValueError, match="boom"):
        fail()
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == np.random.get_state()[1].tolist()


# ---------------------------------------------------------------------------------------- inference


@pytest.mark.parametrize("cls", [models.MMVAE, models.MMVAEPlus, models.CMVAE])
def test_each_sample_of_a_mixture_has_an_expert_of_its_own(cls: type[Peer]) -> None:
    """z is that of one of the given modalities with the sample's own noise; both occur about equally often."""
    n, ours = 400, build(cls).eval()
    ours.model.device = ours.device
    given = batch(n=n)
    with torch.no_grad():
        z = ours.posterior(given, noise(n)).z
        found = []
        for name in ("a", "b"):
            source = noise(n)
            source.bits(1)  # the choice
            found.append((ours.encoded(given, source, chosen=name).z == z).all(1))
    assert (found[0] ^ found[1]).all()
    assert found[0].float().mean().item() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(n))


def test_telbo_multiplies_experts_between_one_and_all() -> None:
    """The mean of many samples is the precision-weighted one, with the prior's precision 1."""
    ours, n = build(joint.TELBO, THREE).eval(), 20_000
    given = {name: x[:1].expand(n, *x.shape[1:]) for name, x in batch(THREE).items() if name != "c"}
    with torch.no_grad():
        z = ours.posterior(given, noise(n)).z.double().numpy()
        experts = [ours.model.encoders[name](given[name][:1]) for name in ("a", "b")]
    means = np.stack([q.embedding[0].double().numpy() for q in experts])
    precisions = np.exp([-q.log_covariance[0].double().numpy() for q in experts])
    variance = 1 / (1 + precisions.sum(0))
    assert (np.abs(z.mean(0) - variance * (precisions * means).sum(0)) < 5 * np.sqrt(variance / n)).all()
    np.testing.assert_allclose(z.var(0), variance, rtol=5 * np.sqrt(2 / n))


def test_mhvaes_prior_goes_down_the_hierarchy() -> None:
    """Where the heads of the prior answer constants, the shallowest latent has their law."""
    ours, n = build(hierarchy.MHVAE).eval(), 5000
    for k, head in enumerate(ours.model.prior_blocks):
        for linear, value in ((head.mean, 3.0 + k), (head.logvar, -1.0 - k)):
            torch.nn.init.zeros_(linear.weight)
            torch.nn.init.constant_(linear.bias, value)
    with torch.no_grad():
        z = ours.prior(noise(n)).z.double().numpy()
    assert stats.kstest(z.flatten(), stats.norm(3, np.exp(-0.5)).cdf).pvalue > 1e-4


def test_jnf_starts_its_chain_at_the_samples_own_expert() -> None:
    """Where the chain begins: a draw of one of the given modalities' experts, both about equally often."""
    n, ours = 300, build(joint.JNF, THREE, mcmc_steps=1).eval()
    seen = []

    def flat(subset: Any, z: torch.Tensor, *more: Any, **settings: Any) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(z)
        return torch.zeros(n), 0 * z

    ours.model._compute_poe_posterior = flat
    given = {name: x for name, x in batch(THREE, n).items() if name != "c"}
    with torch.no_grad():
        ours.posterior(given, noise(n))
        source = noise(n)
        source.bits(1)
        eps = source.normal(5)
        each = [ours.model.encoders[name](given[name]) for name in ("a", "b")]
    hit = [torch.isclose(seen[0], q.embedding + (q.log_covariance / 2).exp() * eps).all(1) for q in each]
    assert (hit[0] ^ hit[1]).all()
    assert hit[0].float().mean().item() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(n))


# ---------------------------------------------------------------------------------------- recipes


@pytest.mark.parametrize(
    ("cls", "steps"), [(models.MMVAE, 100), (models.MMVAEPlus, 300), (models.CMVAE, 300), (models.MoPoE, 1000)]
)
def test_short_trainings_decode_as_many_samples(cls: type[Peer], steps: int) -> None:
    """K = 30 of MMVAE, and a third of it; the paper's schedule, in epochs, stays; a budget changes nothing else."""
    smoke, paper = (cls.recipe(GLYPHS, budget) for budget in ("smoke", "paper"))
    assert (smoke.schedule.steps, smoke.schedule.warmup) == (steps, steps // 20)
    assert paper.schedule.epochs == (150 if cls is models.MoPoE else 30)
    assert replace(smoke, schedule=paper.schedule) == paper


# ---------------------------------------------------------------------------------------- versions


def test_numbers_of_another_version_are_refused() -> None:
    config = models.MVAE.recipe(TWO, "smoke")
    with pytest.raises(ConfigError, match=r"this is for multivae '0\.9', and .* is installed"):
        replace(config, multivae="0.9")
