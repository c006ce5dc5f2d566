"""ln p(X) by importance sampling against what it is: closed forms and quadrature, for every proposal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor, nn

from mmbench.abilities import Likely, Representing
from mmbench.config import Schedule
from mmbench.modality import DatasetSpec, Modality
from mmbench.networks import Architecture, Networks
from mmbench.plugins import MODELS, load
from mmbench.seeding import seeded_init
from mmbench_baselines.evidence import log_density, shares
from mmbench_baselines.experts import Gaussian
from mmbench_baselines.mmvae import MMVAE, MMVAEConfig
from mmbench_baselines.mopoe import MoPoE, MoPoEConfig
from mmbench_baselines.mvae import MVAE, MVAEConfig
from mmbench_baselines.mvtcae import MVTCAE, MVTCAEConfig

L = 1
MODALITIES = (
    Modality(name="a", shape=(1, 1, 3), network="affine", latent=L, likelihood="gaussian", scale=0.9, weight=3.0),
    Modality(name="b", shape=(1, 2, 1), network="affine", latent=L, likelihood="gaussian", scale=1.1),
)
SPEC = DatasetSpec(name="own", title="Own", modalities=MODALITIES)
MODELS_OF = {MVAE: MVAEConfig, MMVAE: MMVAEConfig, MoPoE: MoPoEConfig, MVTCAE: MVTCAEConfig}


class Heads(nn.Module):
    """An encoder whose posterior is wide: a good proposal, whatever it is."""

    def __init__(self, modality: Modality, latent: int, heads: int) -> None:
        super().__init__()
        self.mean = nn.Linear(modality.size, latent)

    def forward(self, x: Tensor) -> list[Tensor]:
        mu = 0.1 * self.mean(x.flatten(1))
        return [mu, torch.zeros_like(mu)]


class Decoder(nn.Module):
    def __init__(self, modality: Modality, latent: int) -> None:
        super().__init__()
        self.affine, self.shape = nn.Linear(latent, modality.size), modality.shape

    def forward(self, z: Tensor) -> Tensor:
        return self.affine(z).unflatten(1, self.shape)


def build(cls: Any, spec: DatasetSpec = SPEC) -> Any:
    affine = Architecture(encoder=Heads, decoder=Decoder)
    config = MODELS_OF[cls](schedule=Schedule(steps=1, batch_size=2, lr=1e-3), latent=L, beta=3.0)
    with seeded_init(3):
        return cls.build(spec, config, Networks(extra={"affine": affine})).double()


def items(n: int) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return {m.name: torch.rand(n, *m.shape, generator=rng, dtype=torch.float64) for m in MODALITIES}


@pytest.mark.parametrize("cls", MODELS_OF, ids=lambda c: c.__name__)
def test_a_linear_gaussian_model_has_a_closed_form(cls: Any) -> None:
    """X = W z + c + noise: Gaussian with mean c and covariance W W^T + diag(scales squared), weights and beta apart."""
    model, batch = build(cls), items(6)
    weights = [model.decoders[m.name].affine.weight.detach().numpy() for m in MODALITIES]
    biases = [model.decoders[m.name].affine.bias.detach().numpy() for m in MODALITIES]
    W, c = np.concatenate(weights), np.concatenate(biases)
    noise = np.diag(np.repeat([m.scale**2 for m in MODALITIES], [m.size for m in MODALITIES]))
    x = np.concatenate([batch[m.name].flatten(1).numpy() for m in MODALITIES], axis=1)
    exact = multivariate_normal(c, W @ W.T + noise).logpdf(x)
    found = model.log_likelihood(batch, samples=4000, generator=torch.Generator().manual_seed(0))
    assert found.numpy() == pytest.approx(exact, abs=0.05)


@pytest.mark.parametrize("cls", MODELS_OF, ids=lambda c: c.__name__)
def test_more_samples_come_nearer_from_below(cls: Any) -> None:
    """On average, the bound of few samples is the lower one."""
    model, batch = build(cls), items(200)
    few, many = (
        model.log_likelihood(batch, samples=k, generator=torch.Generator().manual_seed(k)).mean().item()
        for k in (1, 500)
    )
    assert few < many - 0.01


def test_against_quadrature_where_nothing_is_gaussian() -> None:
    """A Laplace image and a text, one latent: the integral over z on a fine grid."""
    word = Modality(
        name="b", shape=(2,), network="affine", latent=1, likelihood="categorical", vocabulary=("x", "y", "z")
    )
    image = Modality(name="a", shape=(1, 1, 3), network="affine", latent=1, scale=0.75)

    class Logits(Decoder):
        def __init__(self, modality: Modality, latent: int) -> None:
            nn.Module.__init__(self)
            self.shape = (*modality.shape, len(modality.vocabulary)) if modality.is_text else modality.shape
            self.affine = nn.Linear(latent, math.prod(self.shape))

    class Tokens(Heads):
        def forward(self, x: Tensor) -> list[Tensor]:
            return super().forward(x.double())

    spec = DatasetSpec(name="own", title="Own", modalities=(image, word))
    config = MoPoEConfig(schedule=Schedule(steps=1, batch_size=2, lr=1e-3), latent=1, beta=1.0)
    with seeded_init(5):
        model = MoPoE.build(
            spec, config, Networks(extra={"affine": Architecture(encoder=Tokens, decoder=Logits)})
        ).double()
    batch = {"a": items(3)["a"], "b": torch.tensor([[0, 1], [2, 2], [1, 0]])}
    z = np.linspace(-9, 9, 6001)
    with torch.no_grad():
        a = model.decoders["a"](torch.from_numpy(z)[:, None]).flatten(1).numpy()
        b = model.decoders["b"](torch.from_numpy(z)[:, None]).log_softmax(-1).numpy()
    exact = []
    for k in range(3):
        log_a = (-np.abs(batch["a"][k].flatten().numpy() - a) / 0.75 - np.log(1.5)).sum(1)
        log_b = sum(b[:, i, int(token)] for i, token in enumerate(batch["b"][k]))
        density = np.exp(log_a + log_b - z**2 / 2) / math.sqrt(2 * math.pi)
        exact.append(np.log(np.trapezoid(density, z)))
    found = model.log_likelihood(batch, samples=4001, generator=torch.Generator().manual_seed(0))
    assert found.numpy() == pytest.approx(np.array(exact), abs=0.03)


def test_components_take_turns() -> None:
    assert shares(7, 3) == [3, 2, 2]
    assert shares(2, 3) == [1, 1, 0]


def test_a_density_is_scipys() -> None:
    q = Gaussian(torch.tensor([[0.5, -1.0]]).double(), torch.tensor([[0.3, -0.7]]).double())
    z = torch.tensor([[1.0, 2.0]]).double()
    exact = multivariate_normal(q.mu[0].numpy(), np.diag(q.logvar[0].exp().numpy())).logpdf(z[0].numpy())
    assert log_density(q, z).item() == pytest.approx(exact)


def test_a_representation_is_the_mean_of_its_components() -> None:
    model, batch = build(MMVAE), items(4)
    mean = torch.stack([model.encoders[name](batch[name])[0] for name in "ab"]).mean(0)
    assert torch.allclose(model.represent(batch), mean)


@pytest.mark.parametrize(
    ("name", "likely", "representing"),
    [
        *((name, True, True) for name in ("mvae", "mmvae", "mopoe", "mvtcae")),
        *((name, False, True) for name in ("nexus", "mld", "mld_star")),
        ("mmvae_dreg", False, False),
    ],
)
def test_which_models_offer_what(name: str, likely: bool, representing: bool) -> None:
    cls = load(MODELS, name)
    assert issubclass(cls, Likely) == likely
    assert issubclass(cls, Representing) == representing
