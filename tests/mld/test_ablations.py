"""MLD-Inpaint and MLD-Uni: losses by hand, laws with exact scores of Gaussians, what they share with MLD."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from mmbench.config import override
from mmbench.errors import ConfigError
from mmbench.modality import DatasetSpec, Modality
from mmbench.model import draw
from mmbench.networks import Networks
from mmbench.seeding import Noise, seeded_init
from mmbench.store import Artefacts
from mmbench.store.provenance import code_of_class
from mmbench.training import Keeper
from mmbench_mld.inpaint import MLDInpaint
from mmbench_mld.model import MLD
from mmbench_mld.moves import FEW_CALLS, Restart, Sampler
from mmbench_mld.schedule import TimePath
from mmbench_mld.uni import MLDUni

from .gaussians import COVARIANCE, MEAN, kernel

SPEC = DatasetSpec(
    name="toy",
    title="Toy",
    modalities=(
        Modality(name="a", shape=(1, 4, 4), network="mnist_mlp", latent=2),
        Modality(name="b", shape=(2, 3, 3), network="mnist_mlp", latent=1),
    ),
)
ALL = [MLD, MLDUni, MLDInpaint]
LINEAR, UP_AND_DOWN = TimePath(steps=60, resample=1), TimePath(steps=60, jump=5, resample=3)
SHORT = TimePath(steps=10, jump=2, resample=2)
SDE_STEPS = Sampler(kind="sde", steps=12, restarts=(Restart(low=0.1, high=0.3, steps=3, times=2),))


def build(cls, **changes):
    small = {"width": 32, "time_embed": 16, "sampler": Sampler(), "path": LINEAR, "sampling_precision": "float32"}
    with seeded_init(0):
        return cls.build(SPEC, replace(cls.recipe(SPEC, "smoke"), **{**small, **changes}), Networks()).eval()


def noise(count, seed=0):
    return Noise(torch.Generator().manual_seed(seed), count)


# ---------------------------------------------------------------------------------------- losses


class Affine(torch.nn.Module):
    """o = r W + tau V, with what it was asked."""

    def __init__(self, times):
        super().__init__()
        rng = np.random.default_rng(0)
        self.W, self.V, self.asked = rng.normal(size=(3, 3)), rng.normal(size=(times, 3)), []

    def forward(self, r, tau):
        self.asked.append((r.double().numpy(), tau.double().numpy()))
        return (r.double() @ torch.from_numpy(self.W) + tau.double() @ torch.from_numpy(self.V)).float()


@pytest.mark.parametrize(("cls", "times"), [(MLDUni, 2), (MLDInpaint, 1)])
def test_losses_by_hand(cls, times):
    """|o + eps|^2 over all latents, element by element: no mask, no Omega; t ~ U(1e-6, 1) for each modality and sample,
    or one for all, the generator's first draws, the noise its next."""
    n, model = 9, build(cls)
    model.score = network = Affine(times)
    z = np.random.default_rng(1).normal(size=(n, 3)).astype("float32")
    batch = {"a": torch.from_numpy(z[:, :2]), "b": torch.from_numpy(z[:, 2:])}
    terms = model._score_loss(batch, torch.Generator().manual_seed(5))
    again = torch.Generator().manual_seed(5)
    t = 1e-6 + (1 - 1e-6) * torch.rand(n, times, generator=again).double().numpy()
    eps = torch.randn(n, 3, generator=again).double().numpy()
    expected = 0.0
    for i in range(n):
        r = np.empty(3)
        for k in range(3):
            m, s2 = kernel(t[i, min(times - 1, k // 2)])
            r[k] = m * z[i, k] + np.sqrt(s2) * eps[i, k]
        expected += ((r @ network.W + t[i] @ network.V + eps[i]) ** 2).sum() / n
    assert set(terms) == {"loss"}
    assert terms["loss"].item() == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(network.asked[0][1], t, rtol=2e-7, atol=1e-10)


@pytest.mark.parametrize("cls", [MLDUni, MLDInpaint])
def test_the_initial_loss_is_the_number_of_latents(cls):
    n, model = 20_000, build(cls)
    batch = {"a": torch.randn(n, 2), "b": torch.randn(n, 1)}
    loss = model._score_loss(batch, torch.Generator().manual_seed(0))["loss"].item()
    assert loss == pytest.approx(3.0, abs=5 * np.sqrt(2 * 3 / n))


# ---------------------------------------------------------------------------------------- laws


class ExactScore(torch.nn.Module):
    """sigma(t_m) times the score of N(MEAN, COVARIANCE), each modality diffused to its own time."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, r, tau):
        self.seen.append((r.double().numpy(), tau.double().numpy()))
        t = tau[0].double().numpy()
        m, s2 = kernel(t[[0, 0, 1]] if len(t) == 2 else t[[0, 0, 0]])
        spread = m[:, None] * COVARIANCE * m + np.diag(s2)
        centred = r.double().numpy() - m * MEAN
        return torch.from_numpy(-np.linalg.solve(spread, centred.T).T * np.sqrt(s2)).float()


def exact(t):
    """The conditional score of the first two latents given b, from Schur's complement: -G x + h + k b, no noise."""
    m, s2 = kernel(t)
    gain = COVARIANCE[:2, 2] / COVARIANCE[2, 2]
    G = np.linalg.inv(m**2 * (COVARIANCE[:2, :2] - np.outer(gain, COVARIANCE[2, :2])) + s2 * np.eye(2))
    return G, m * G @ (MEAN[:2] - gain * MEAN[2]), m * G @ gain, np.zeros(2)


def inpainted(t):
    """The joint score of the first two latents where the third is m b + sigma xi: -G x + h + k b + c xi."""
    m, s2 = kernel(t)
    P = np.linalg.inv(m**2 * COVARIANCE + s2 * np.eye(3))
    return P[:2, :2], m * P[:2] @ MEAN, -m * P[:2, 2], -np.sqrt(s2) * P[:2, 2]


def recursion(path, score):
    """Offset, slope in b and covariance after every Euler-Maruyama move; each one is affine with Gaussian noise."""
    offset, slope, covariance, dt = np.zeros(2), np.zeros(2), np.eye(2), 1 / path.steps
    indices = path.indices()
    for a, b in zip(indices, indices[1:], strict=False):
        beta = 0.1 + 19.9 * a / path.steps
        if b > a:
            gain, h, k, added = (1 - beta * dt / 2) * np.eye(2), 0.0, 0.0, beta * dt * np.eye(2)
        else:
            G, h, k, c = score(a / path.steps)
            gain, step = np.eye(2) + dt * beta * (np.eye(2) / 2 - G), dt * beta
            h, k, added = step * h, step * k, (a > 1) * step * np.eye(2) + step**2 * np.outer(c, c)
        offset, slope, covariance = gain @ offset + h, gain @ slope + k, gain @ covariance @ gain.T + added
    return offset, slope, covariance


def drawn(cls, path, count=6000):
    """What is given, and what an exact score gets from it through the model's own sampler."""
    model = build(cls, path=path)
    model.score = network = ExactScore()
    b = MEAN[2] + np.sqrt(COVARIANCE[2, 2]) * np.random.default_rng(0).normal(size=count)
    given = torch.from_numpy(b[:, None]).float()
    made = model._complete({"b": given}, count, noise(count))
    assert torch.equal(made["b"], given)
    return given[:, 0].double().numpy(), made["a"].double().numpy(), network


@pytest.mark.parametrize("path", [LINEAR, UP_AND_DOWN], ids=["linear", "resampling"])
@pytest.mark.parametrize(("cls", "score"), [(MLDUni, exact), (MLDInpaint, inpainted)])
def test_samples_follow_the_law_of_their_score(cls, score, path):
    """Least squares of 6,000 samples on what was given: five standard errors around the exact discrete law."""
    b, a, _ = drawn(cls, path)
    offset, slope, covariance = recursion(path, score)
    design = np.column_stack((np.ones(len(b)), b))
    found, *_ = np.linalg.lstsq(design, a, rcond=None)
    errors = np.sqrt(np.outer(np.diag(np.linalg.inv(design.T @ design)), np.diag(covariance)))
    assert (np.abs(found - [offset, slope]) < 5 * errors).all()
    spread = np.cov((a - design @ found).T)
    assert np.abs(spread - covariance).max() < 5 * covariance.max() * np.sqrt(2 / len(b))


def test_unis_law_is_the_conditional_one_and_inpaintings_leans_to_the_marginal():
    """The true slope is that of regression; in-painting's score has m^3 of the covariance where it needs m, so a part
    of what was given is never heard: the slope is too small, the variance too large, and more resampling helps."""
    path = TimePath(steps=500, resample=1)
    truth = COVARIANCE[:2, 2] / COVARIANCE[2, 2]
    schur = COVARIANCE[:2, :2] - np.outer(truth, COVARIANCE[2, :2])
    _, slope, covariance = recursion(path, exact)
    np.testing.assert_allclose(slope, truth, rtol=0.02)
    np.testing.assert_allclose(covariance, schur, rtol=0.05, atol=0.01)
    heard = {}
    for name, walked in {"linear": path, "resampling": TimePath(steps=500, jump=10, resample=10)}.items():
        _, slope, covariance = recursion(walked, inpainted)
        heard[name] = slope @ truth / (truth @ truth)
        assert np.trace(covariance) > np.trace(recursion(walked, exact)[2]) + 0.01
    assert 0.4 < heard["linear"] < 0.6 < heard["resampling"] < 0.95


def test_the_given_part_is_shown_diffused_with_fresh_noise():
    """m(t) z + sigma(t) xi at the one time of each call, of a batch that is given one value."""
    count, model = 4000, build(MLDInpaint, path=TimePath(steps=4, resample=1))
    model.score = network = ExactScore()
    model._complete({"b": torch.full((count, 1), 3.0)}, count, noise(count))
    shown = np.stack([r[:, 2] for r, _ in network.seen])
    assert [tau.tolist() for _, tau in network.seen] == [[[1.0]], [[0.75]], [[0.5]], [[0.25]]]
    for t, values in zip((1.0, 0.75, 0.5, 0.25), shown, strict=True):
        m, s2 = kernel(t)
        assert values.mean() == pytest.approx(3 * m, abs=5 * np.sqrt(s2 / count))
        assert values.var() == pytest.approx(s2, rel=5 * np.sqrt(2 / count))
    assert np.abs(np.corrcoef(shown) - np.eye(4)).max() < 5 / np.sqrt(count)


def test_uni_shows_the_given_part_clean_at_time_0():
    _, _, network = drawn(MLDUni, TimePath(steps=4, resample=1), count=5)
    for r, tau in network.seen:
        assert tau[0, 1] == 0.0 < tau[0, 0]
        assert np.array_equal(r[:, 2], network.seen[0][0][:, 2])


# ---------------------------------------------------------------------------------------- samples


SAMPLERS = [
    *((cls, {"path": SHORT}) for cls in (MLDUni, MLDInpaint)),
    *((cls, {"sampler": SDE_STEPS}) for cls in (MLDUni, MLDInpaint)),
    (MLDInpaint, {"sampler": replace(SDE_STEPS, kind="ddim")}),
    (MLDUni, {"sampler": FEW_CALLS}),
]


@pytest.mark.parametrize(("cls", "settings"), SAMPLERS, ids=lambda v: v.__name__ if isinstance(v, type) else "")
@pytest.mark.parametrize("given", [(), ("b",)], ids=["joint", "conditional"])
def test_noise_belongs_to_the_sample_and_given_parts_stay(cls, settings, given):
    """Cut into batches of four and of one; what is given comes back as its reconstruction; the calls are counted."""
    model, count = build(cls, **settings), 10
    torch.nn.init.normal_(model.score.out[-1].weight, std=0.05, generator=torch.Generator().manual_seed(0))
    calls = []
    hook = model.score.register_forward_hook(lambda *_: calls.append(1))
    batch = {"b": torch.rand(count, 2, 3, 3, generator=torch.Generator().manual_seed(1))}
    batch = {name: batch[name] for name in given}

    def made(size):
        rng = torch.Generator().manual_seed(2)
        return draw(model, batch, SPEC.names, count=count, generator=rng, batch_size=size)

    whole = made(None)
    assert len(calls) == model.config.calls
    hook.remove()
    for size in (4, 1):
        for name, values in made(size).items():
            assert torch.allclose(values, whole[name], atol=1e-5)
    for name in given:
        z = model._latents(batch)[name]
        assert torch.equal(whole[name], model._decode(name, z))


# ---------------------------------------------------------------------------------------- sharing


def keys(cls, folder, seed=0):
    keeper = Keeper(artefacts=Artefacts(folder), identity={"code": code_of_class(cls)}, config={}, owner="toy")
    model = build(cls)
    return {name: artefact.key for name, artefact in keeper.all(model, model.stages(), seed).items()}


def test_one_training_of_the_autoencoders_serves_all_three(tmp_path):
    """And no two share a score network."""
    mld, uni, inpaint = (keys(cls, tmp_path) for cls in ALL)
    for name in ("autoencoder.a", "autoencoder.b"):
        assert mld[name] == uni[name] == inpaint[name] != keys(MLDUni, tmp_path, seed=1)[name]
    assert len({mld["score"], uni["score"], inpaint["score"]}) == 3


def test_they_differ_from_mld_in_what_is_ablated_alone():
    """Recipes at every budget but p_joint, and the laptop's sampler, by which in-painting cannot go; the network's size
    but for its times."""
    for budget in ("smoke", "laptop", "paper"):
        mld = asdict(MLD.recipe(SPEC, budget))
        del mld["p_joint"], mld["subsets"]
        assert asdict(MLDUni.recipe(SPEC, budget)) == mld
        along = override(MLD.recipe(SPEC, budget), ["sampler.kind=path"]) if budget == "laptop" else None
        path = mld if along is None else {**mld, "sampler": asdict(Sampler())}
        assert asdict(MLDInpaint.recipe(SPEC, budget)) == path
    assert MLDInpaint.recipe(SPEC, "laptop").calls == 205
    sizes = {cls: {n: tuple(p.shape) for n, p in build(cls).score.named_parameters()} for cls in ALL}
    assert sizes[MLD] == sizes[MLDUni]
    assert {n for n in sizes[MLD] if sizes[MLD][n] != sizes[MLDInpaint][n]} == {"embed.0.weight"}
    assert sizes[MLDInpaint]["embed.0.weight"] == (16, 1)


def test_skills_are_those_of_the_tasks_that_the_network_knows():
    """An exact score of N(0, I) has the skill 1 - E sigma^2 of a joint step, MLD's own number."""

    class Standard(torch.nn.Module):
        def forward(self, r, tau):
            t = tau.double()
            t = t if t.shape[1] == 1 else t[:, [0, 0, 1]]
            return -(r * (-torch.expm1(-0.1 * t - 9.95 * t**2)).sqrt()).float()

    z = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    expected = {MLD: {"skill", "skill given a", "skill given b", "best skill"}, MLDInpaint: {"skill", "best skill"}}
    expected[MLDUni] = expected[MLD]
    grid = (np.arange(100_000) + 0.5) / 100_000
    truth = 1 - np.mean(np.exp(-0.1 * grid - 9.95 * grid**2))
    for cls in ALL:
        model = build(cls)
        model.score, model._held_out_latents = Standard(), lambda held_out: z
        skills = model._score_skill(None)
        assert set(skills) == expected[cls]
        assert skills["skill"] == pytest.approx(truth, abs=0.02)


@pytest.mark.parametrize("kind", ["dpm2m", "sde2m", "heun"])
def test_a_sampler_that_compares_two_answers_is_refused_for_inpainting(kind):
    with pytest.raises(ConfigError, match="take one of path, ddim, sde"):
        override(MLDInpaint.recipe(SPEC, "laptop"), [f"sampler.kind={kind}"])
    override(MLDUni.recipe(SPEC, "laptop"), [f"sampler.kind={kind}"])


@pytest.mark.parametrize("cls", [MLDUni, MLDInpaint])
def test_the_probability_of_a_joint_step_is_no_setting(cls):
    with pytest.raises(ConfigError, match="there is no setting 'p_joint'"):
        override(cls.recipe(SPEC), ["p_joint=0.3"])
    assert "ablation" in cls.unfit(SPEC), "not a part of --model all"
