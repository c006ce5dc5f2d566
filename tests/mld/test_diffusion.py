"""Loss, mask, Omega and the choice of A2, against Equation 9 and Algorithm 1 written out in NumPy."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad

from mmbench.modality import DatasetSpec, Modality
from mmbench.networks import Networks
from mmbench.seeding import Noise
from mmbench_mld.diffusion import (
    T_MIN,
    choose_each,
    choose_given,
    conditions,
    loss_of_each,
    masked_multi_time_loss,
    proper_subsets,
    score_skills,
)
from mmbench_mld.latents import Layout
from mmbench_mld.model import MLD
from mmbench_mld.moves import Sampler
from mmbench_mld.schedule import VPSDE, TimePath
from mmbench_mld.score import ScoreNetwork

LAYOUT = Layout({"mnist": 16, "svhn": 64})
THREE = Layout({"a": 2, "b": 3, "c": 5})
GIVEN = [(), *proper_subsets(THREE.names)]


def batch(dim, n=64, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=g), torch.rand(n, generator=g), torch.randn(n, dim, generator=g)


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_omega_balances_the_sizes(given):
    """Equation 9: Omega = 1 + dim(A2) / dim(A1), so Omega dim(A1) = D."""
    frozen = sum(THREE.sizes[name] for name in given)
    assert THREE.omega(given) == pytest.approx(1 + frozen / (10 - frozen))
    assert THREE.omega(given) * (10 - frozen) == pytest.approx(THREE.dim)


WEIGHTS = np.random.default_rng(0).normal(size=(13, 10))


def linear(r, tau):
    """o(r, tau) = r W + tau V in double precision."""
    return r @ torch.from_numpy(WEIGHTS[:10]) + tau @ torch.from_numpy(WEIGHTS[10:])


def by_hand(z, t, eps, given):
    """Algorithm 1's loss of one sample for `linear`, written out element by element."""
    beta_integral = 0.1 * t + 19.9 * t**2 / 2
    m, sigma = np.exp(-beta_integral / 2), np.sqrt(1 - np.exp(-beta_integral))
    r, tau, diffused, k = np.empty(10), np.empty(3), np.zeros(10, bool), 0
    for j, (name, size) in enumerate(THREE.sizes.items()):
        cut = slice(k, k + size)
        diffused[cut] = name not in given
        tau[j] = t if name not in given else 0.0
        r[cut] = m * z[cut] + sigma * eps[cut] if name not in given else z[cut]
        k += size
    residual = (r @ WEIGHTS[:10] + tau @ WEIGHTS[10:] + eps)[diffused]
    return (residual**2).sum() * (10 / diffused.sum())


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_loss_against_numpy(given):
    """Of a batch with one A2."""
    z, t, eps = (x.double() for x in batch(10, 8))
    expected = np.mean([by_hand(*(x[i].numpy() for x in (z, t, eps)), given) for i in range(8)])
    got = masked_multi_time_loss(linear, z, t, eps, given, THREE, VPSDE())
    assert got.item() == pytest.approx(expected, rel=1e-6)


def test_loss_of_samples_with_an_a2_of_their_own():
    """The same loss, each sample's with its own A2 and Omega."""
    z, t, eps = (x.double() for x in batch(10, 21))
    chosen = torch.arange(21) % len(GIVEN)
    expected = np.mean([by_hand(*(x[i].numpy() for x in (z, t, eps)), GIVEN[chosen[i]]) for i in range(21)])
    assert loss_of_each(linear, z, t, eps, chosen, THREE, VPSDE()).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("p_joint", [0.0, 0.3, 1.0])
def test_choice_of_a2_for_each_sample(p_joint):
    """The same law as `choose_given`'s, in one draw."""
    n = 20_000
    counts = Counter(choose_each(THREE.names, p_joint, n, torch.Generator().manual_seed(0)).tolist())
    assert conditions(THREE.names) == tuple(GIVEN)
    assert set(counts) <= set(range(7))
    for place in range(7):
        p = (1 - p_joint) / 6 if place else p_joint
        assert counts[place] / n == pytest.approx(p, abs=4.5 * np.sqrt(p * (1 - p) / n))


@pytest.mark.parametrize("given", [(), ("mnist",), ("svhn",)], ids=str)
def test_initial_loss_is_dim(given):
    """The output layer starts at zero: the expected loss is D = 80 for every A1 (variance 2 D Omega / n)."""
    network = ScoreNetwork(80, 2, width=32, time=16, blocks=2, groups=8)
    n = 50_000
    z, t, eps = batch(80, n)
    loss = masked_multi_time_loss(network, z, t, eps, given, LAYOUT, VPSDE()).item()
    assert loss == pytest.approx(80.0, abs=5 * np.sqrt(2 * 80 * LAYOUT.omega(given) / n))


def test_given_modalities_are_neither_diffused_nor_scored():
    seen = {}

    def network(r, tau):
        seen["r"], seen["tau"] = r, tau
        return torch.full_like(r, 7.0)

    z, t, eps = batch(10)
    loss = masked_multi_time_loss(network, z, t, eps, ("b",), THREE, VPSDE())
    assert torch.equal(seen["r"][:, 2:5], z[:, 2:5])
    assert not torch.allclose(seen["r"][:, :2], z[:, :2])
    assert torch.equal(seen["tau"][:, 1], torch.zeros(64))
    assert torch.equal(seen["tau"][:, 0], t)
    kept = torch.cat((eps[:, :2], eps[:, 5:]), dim=1)
    assert loss.item() == pytest.approx((10 / 7) * (7.0 + kept).square().sum(1).mean().item(), rel=1e-5)


@pytest.mark.parametrize("p_joint", [0.0, 0.3, 0.5, 1.0])
def test_choice_of_a2(p_joint):
    """Empty with p_joint, the 2^M - 2 proper subsets evenly otherwise, the full set never; 4.5 standard errors."""
    n, g = 20_000, torch.Generator().manual_seed(0)
    counts = Counter(choose_given(THREE.names, p_joint, g) for _ in range(n))
    assert THREE.names not in counts
    for given in GIVEN:
        p = p_joint if given == () else (1 - p_joint) / 6
        assert counts[given] / n == pytest.approx(p, abs=4.5 * np.sqrt(p * (1 - p) / n))


def test_choice_of_a2_of_five_modalities():
    """Joint with p, each of the 30 proper subsets with (1 - p) / 30; so k are given with (1 - p) C(5, k) / 30."""
    n, g, names = 30_000, torch.Generator().manual_seed(0), tuple("abcde")
    drawn = [choose_given(names, 0.8, g) for _ in range(n)]
    counts = Counter(drawn)
    assert len(counts) == 31
    assert names not in counts
    for given, count in counts.items():
        p = 0.2 / 30 if given else 0.8
        assert count / n == pytest.approx(p, abs=4.5 * np.sqrt(p * (1 - p) / n))
    sizes = Counter(map(len, drawn))
    for k, choose in enumerate((5, 10, 10, 5), start=1):
        p = 0.2 * choose / 30
        assert sizes[k] / n == pytest.approx(p, abs=4.5 * np.sqrt(p * (1 - p) / n))


def test_omega_of_five_modalities():
    """Equation 9 with views of 160: given k of 5, the other (5 - k) 160 latents weigh 5 / (5 - k)."""
    views = Layout(dict.fromkeys("abcde", 160))
    for given in proper_subsets(views.names):
        assert views.omega(given) == pytest.approx(5 / (5 - len(given)))


def test_of_many_modalities_not_all_subsets_are_asked_for_their_skill():
    """With ten modalities 20 of 1,022; a stage's record holds a hundred numbers."""
    layout = Layout(dict.fromkeys("abcdefghij", 1))
    z = torch.randn(4, 10, generator=torch.Generator().manual_seed(0))
    skills = score_skills(lambda r, tau: 0.1 * r, z, layout, VPSDE(), torch.Generator().manual_seed(0))
    assert len(skills) == 22
    assert {"skill", "best skill", "skill given c", f"skill given {' and '.join('bcdefghij')}"} <= set(skills)


def test_skill_of_the_exact_score_of_a_gaussian():
    """z ~ N(0, S): given A2, the best answer leaves dim(A1) - sigma^2 tr((m^2 S_{1|2} + sigma^2 I)^-1) at time t.

    The mean over t by SciPy; the standard error of the estimates is below 0.003.
    """
    rng = np.random.default_rng(0)
    root = rng.normal(size=(10, 10)) / np.sqrt(10)
    S, sizes = root @ root.T, np.repeat(np.arange(3), (2, 3, 5))
    blocks = {given: np.isin(sizes, ["abc".index(name) for name in given]) for given in GIVEN}

    def conditional(known):
        """Coefficients and covariance of z_1 given z_2."""
        gain = S[~known][:, known] @ np.linalg.inv(S[known][:, known])
        return gain, S[~known][:, ~known] - gain @ S[known][:, ~known]

    def kernel(t):
        m2 = np.exp(-0.1 * t - 9.95 * t**2)
        return m2, 1 - m2

    def expected(given):
        _, C = conditional(blocks[given])
        values = np.linalg.eigvalsh(C)

        def at(t):
            m2, s2 = kernel(t)
            return (s2 / (m2 * values + s2)).mean()

        return quad(at, T_MIN, 1, points=[1e-3, 0.01, 0.1], limit=200)[0]

    def exact(r, tau):
        known = (tau[0] == 0).numpy()[sizes]
        gain, C = conditional(known)
        values, vectors = np.linalg.eigh(C)
        m2, s2 = (x[:, None] for x in kernel(tau.max(1).values.double().numpy()))
        r = r.double().numpy()
        centred = (r[:, ~known] - np.sqrt(m2) * (r[:, known] @ gain.T)) @ vectors
        out = np.zeros_like(r)
        out[:, ~known] = -np.sqrt(s2) * (centred / (m2 * values + s2)) @ vectors.T
        return torch.from_numpy(out)

    z = torch.from_numpy((rng.normal(size=(100_000, 10)) @ root.T).astype(np.float32))
    got = score_skills(exact, z, THREE, VPSDE(), torch.Generator().manual_seed(0))
    assert got.pop("best skill") == max(got.values())
    assert list(got) == ["skill", *(f"skill given {' and '.join(given)}" for given in GIVEN[1:])]
    assert list(got.values()) == pytest.approx([expected(given) for given in GIVEN], abs=0.01)


@pytest.mark.parametrize("answer", [0.0, 0.2])
def test_a_score_that_answers_nothing_has_no_skill(answer):
    """0, and a constant, which is worse."""
    z, rng = batch(10)[0], torch.Generator().manual_seed(0)
    got = score_skills(lambda r, tau: torch.full_like(r, answer), z, THREE, VPSDE(), rng)
    assert got["best skill"] == 0 if answer == 0 else got["best skill"] < 0


def test_one_nan_is_the_best_skill():
    """A network that breaks for one choice of A2, the third, is broken: the largest of the others does not hide it."""
    z, rng = batch(10)[0], torch.Generator().manual_seed(0)

    def network(r, tau):
        return torch.full_like(r, torch.nan if (tau[:, 1] == 0).all() else 0.0)

    got = score_skills(network, z, THREE, VPSDE(), rng)
    assert got["skill"] == got["skill given a"] == 0
    assert math.isnan(got["skill given b"])
    assert math.isnan(got["best skill"])


# --------------------------------------------------------------------------------- the times, and the network's noise


class Recorder(torch.nn.Module):
    """Answers 0, and keeps what it was asked."""

    def __init__(self):
        super().__init__()
        self.r, self.tau = [], []

    def forward(self, r, tau):
        self.r.append(r)
        self.tau.append(tau)
        return torch.zeros_like(r)


def recorded(p_joint=1.0):
    """An MLD of latents of 2 and 3 whose score network is a recorder."""
    modalities = tuple(
        Modality(name=name, shape=(1, 2, 2), network="mnist_mlp", latent=size) for name, size in (("a", 2), ("b", 3))
    )
    spec = DatasetSpec(name="toy", title="Toy", modalities=modalities)
    model = MLD.build(spec, replace(MLD.recipe(spec, "smoke"), p_joint=p_joint), Networks())
    model.score = Recorder()
    return model


def score_loss(model, batch, generator=None):
    (*_, stage) = model.stages()
    return stage.loss(batch, generator or torch.Generator().manual_seed(0))


def test_t_min_is_the_papers():
    """t ~ U(1e-6, 1): the paper's code draws from there, and so does this suite."""
    assert T_MIN == 1e-6


@pytest.mark.parametrize(("u", "t"), [(0.0, 1e-6), (0.25, 0.25000075), (0.5, 0.5000005), (1 - 2**-24, 1.0)])
def test_training_times_are_a_linear_map_of_uniform_draws(monkeypatch, u, t):
    """t = 1e-6 + (1 - 1e-6) u: at u = 0, 1e-6 itself, which float32 holds to 14 digits after the point."""
    model = recorded()
    monkeypatch.setattr(torch, "rand", lambda *shape, **more: torch.full(shape, u))
    score_loss(model, {"a": torch.zeros(4, 2), "b": torch.zeros(4, 3)})
    (tau,) = model.score.tau
    assert tau.shape == (4, 2)
    np.testing.assert_allclose(tau.numpy(), t, rtol=1.2e-7, atol=0)


def test_training_times_noise_and_diffused_latents_are_the_generators():
    """The times are the generator's first draws, the noise its next: r = m(t) z + sigma(t) eps, loss sum eps^2."""
    model, n = recorded(), 4000
    rng = np.random.default_rng(0)
    z = {name: torch.from_numpy(rng.normal(size=(n, size)).astype("float32")) for name, size in (("a", 2), ("b", 3))}
    terms = score_loss(model, z, torch.Generator().manual_seed(7))
    again = torch.Generator().manual_seed(7)
    t = 1e-6 + (1 - 1e-6) * torch.rand(n, generator=again).double().numpy()
    eps = torch.randn(n, 5, generator=again).double().numpy()
    np.testing.assert_allclose(model.score.tau[0].numpy(), np.stack((t, t), 1), rtol=2e-7, atol=1e-10)
    log_mean = -(t**2) * 19.9 / 4 - 0.05 * t
    whole = torch.cat((z["a"], z["b"]), 1).double().numpy()
    r = np.exp(log_mean)[:, None] * whole + np.sqrt(-np.expm1(2 * log_mean))[:, None] * eps
    np.testing.assert_allclose(model.score.r[0].numpy(), r, rtol=1e-5, atol=2e-6)
    assert terms["loss"].item() == pytest.approx((eps**2).sum(1).mean(), rel=1e-6)
    assert stats.kstest(t, "uniform").pvalue > 1e-3


def test_a_conditional_step_shows_the_given_latents_clean_at_time_0():
    model = recorded(p_joint=0.0)
    z = {"a": torch.ones(6, 2), "b": 2 * torch.ones(6, 3)}
    for seed in range(8):
        score_loss(model, z, torch.Generator().manual_seed(seed))
    seen = set()
    for r, tau in zip(model.score.r, model.score.tau, strict=True):
        a_given, b_given = (tau[:, m].eq(0).all().item() for m in (0, 1))
        assert a_given != b_given
        assert (r[:, :2] == 1).all().item() is a_given
        assert (r[:, 2:] == 2).all().item() is b_given
        seen.add(a_given)
    assert seen == {True, False}


def test_with_subsets_of_each_sample_a_batch_holds_every_task():
    """subsets=sample: rows with a given, rows with b given and, p_joint = 1/2, joint ones, each clean where given."""
    model = recorded(p_joint=0.5)
    model.config = replace(model.config, subsets="sample")
    z = {"a": torch.ones(60, 2), "b": 2 * torch.ones(60, 3)}
    terms = score_loss(model, z)
    ((r,), (tau,)) = model.score.r, model.score.tau
    assert set(terms) == {"loss"}
    assert {tuple(row) for row in tau.eq(0).tolist()} == {(False, False), (True, False), (False, True)}
    for (name, cut), column in zip({"a": slice(0, 2), "b": slice(2, 5)}.items(), tau.unbind(1), strict=True):
        clean = column == 0
        assert torch.equal(r[clean][:, cut], z[name][clean])
        assert not (r[~clean][:, cut] == z[name][~clean]).any()


def test_held_out_times_are_one_from_each_nth_of_the_same_range(monkeypatch):
    """(k + u) / n, and never less than 1e-6."""
    for u in (0.0, 0.5):
        monkeypatch.setattr(torch, "rand", lambda n, u=u, **more: torch.full((n,), u))
        network = Recorder()
        score_skills(network, batch(10, 8)[0], THREE, VPSDE(), torch.Generator().manual_seed(0))
        times = np.maximum((np.arange(8) + u) / 8, 1e-6)
        np.testing.assert_allclose(network.tau[0].numpy(), np.stack([times] * 3, 1), rtol=1.2e-7)


def test_sampling_divides_by_sigma_and_gives_the_known_time_0():
    """The samples of a path of three moves, in NumPy: score o / sigma(t), tau = t for what is made and 0 for b."""
    model, count = recorded(), 5
    rng = np.random.default_rng(0)
    W, V = rng.normal(size=(5, 5)), rng.normal(size=(2, 5))
    asked = []

    class Affine(torch.nn.Module):
        def forward(self, r, tau):
            asked.append(tau.double().numpy())
            return (r.double() @ torch.from_numpy(W) + tau.double() @ torch.from_numpy(V)).float()

    model.score = Affine()
    path = TimePath(steps=3, resample=1)
    model.config = replace(model.config, sampler=Sampler(), path=path, sampling_precision="float32")
    b = rng.normal(size=(count, 3)).astype("float32")
    noise = Noise(torch.Generator().manual_seed(2), count)
    made = model._complete({"b": torch.from_numpy(b)}, count, Noise(torch.Generator().manual_seed(2), count))
    x = np.concatenate((noise.normal(5).double().numpy()[:, :2], b), 1)
    for n in (3, 2, 1):
        t = n / 3
        beta, sigma = 0.1 + 19.9 * t, np.sqrt(1 - np.exp(-(t**2) * 19.9 / 2 - 0.1 * t))
        score = (x @ W + np.array([t, 0.0]) @ V) / sigma
        x[:, :2] += (beta / 2 * x[:, :2] + beta * score[:, :2]) / 3
        if n > 1:
            x[:, :2] += np.sqrt(beta / 3) * noise.normal(5).double().numpy()[:, :2]
    np.testing.assert_allclose(np.concatenate(asked), [[1, 0], [2 / 3, 0], [1 / 3, 0]], rtol=1e-6)
    np.testing.assert_allclose(made["a"].numpy(), x[:, :2], rtol=1e-5, atol=1e-4)
    assert np.array_equal(made["b"].numpy(), b)
