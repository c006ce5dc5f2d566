"""Every objective against a formula of its own in NumPy, float64: value and gradients to 1e-9.

The formulas are written with complex numbers: for an analytic f, the derivative at x is Im f(x + ih) / h for a tiny h,
without any cancellation, so h = 1e-30 gives it to the last digit (Squire and Trapp, 1998). Taking the real part of a
quantity then makes it a constant, which is exactly what a detach does.

The toy's decoders are affine, so that NumPy can follow the gradient through z; an offset added to each decoder output
gives the gradient with respect to that output. One modality is Laplace, one Gaussian, the third a text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Laplace

from mmbench.config import Schedule
from mmbench.modality import DatasetSpec, Modality, subsets
from mmbench.networks import Architecture, Networks
from mmbench.seeding import seeded_init
from mmbench_baselines.experts import Gaussian
from mmbench_baselines.mmvae import MMVAE, MMVAEConfig
from mmbench_baselines.mmvae_dreg import MMVAEDReG, MMVAEDReGConfig
from mmbench_baselines.mopoe import MoPoE, MoPoEConfig
from mmbench_baselines.mvae import MVAE, MVAEConfig
from mmbench_baselines.mvtcae import MVTCAE, MVTCAEConfig
from mmbench_baselines.nexus import Nexus, NexusConfig
from mmbench_baselines.vae import MultimodalVAE

Array = NDArray[Any]
Point = dict[str, Array]
"""Where a formula is evaluated: 'mu_a', 'logvar_a', ... and offsets such as 'out_a_0', of a's decoder in its call 0."""

L, B, MANY = 2, 9, 64
"""Latent; batch; and the batch of five modalities, whose 31 subsets have two rows each, the last four."""
BETA, SCALE = 1.7, {"a": 0.75, "b": 0.5, "d": 0.75, "e": 1.5}
SCHEDULE = Schedule(steps=10, batch_size=B, lr=1e-3)
MODALITIES = (
    Modality(name="a", shape=(1, 1, 3), network="affine", latent=2, weight=3.92),
    Modality(name="b", shape=(1, 2, 1), network="affine", latent=3, likelihood="gaussian", scale=0.5, weight=1.3),
    Modality(name="c", shape=(2,), network="affine", latent=2, likelihood="categorical", vocabulary=("x", "y", "z"),
             weight=0.7),
    Modality(name="d", shape=(1, 1, 2), network="affine", latent=2, weight=0.4),
    Modality(name="e", shape=(1, 1, 2), network="affine", latent=2, likelihood="gaussian", scale=1.5, weight=2.1),
)  # fmt: skip
WEIGHT = {m.name: m.weight for m in MODALITIES}


class AffineDecoder(nn.Module):
    """(B, latent) -> (B, *shape) or logits; keeps its outputs, and their gradients, by call."""

    def __init__(self, modality: Modality, latent: int) -> None:
        super().__init__()
        shape = (*modality.shape, len(modality.vocabulary)) if modality.is_text else modality.shape
        self.affine, self.unflatten = nn.Linear(latent, math.prod(shape)), nn.Unflatten(1, shape)
        self.outputs: list[Tensor] = []

    def forward(self, z: Tensor) -> Tensor:
        self.outputs.append(self.affine(z))
        self.outputs[-1].retain_grad()
        return self.unflatten(self.outputs[-1])


class NoEncoder(nn.Module):
    """The objectives start from given posteriors."""

    def __init__(self, modality: Modality, latent: int, heads: int) -> None:
        super().__init__()


def build(cls: type[MultimodalVAE[Any]], config: Any, M: int) -> Any:
    spec = DatasetSpec(name="toy", title="Toy", modalities=MODALITIES[:M])
    with seeded_init(M):
        return cls.build(spec, config, Networks(extra={"affine": Architecture(NoEncoder, AffineDecoder)})).double()


def make_batch(M: int, rows: int = B) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(10)
    a, b = (torch.rand(rows, *m.shape, generator=g, dtype=torch.float64) for m in MODALITIES[:2])
    c = torch.randint(3, (rows, 2), generator=g)
    d, e = (torch.rand(rows, *m.shape, generator=g, dtype=torch.float64) for m in MODALITIES[3:])
    return dict(list({"a": a, "b": b, "c": c, "d": d, "e": e}.items())[:M])


def make_experts(M: int, sizes: Mapping[str, int] | None = None, rows: int = B) -> dict[str, Gaussian]:
    g = torch.Generator().manual_seed(20)
    names = [m.name for m in MODALITIES[:M]]

    def leaf(name: str) -> Tensor:
        return torch.randn(rows, (sizes or {}).get(name, L), generator=g, dtype=torch.float64).requires_grad_()

    return {name: Gaussian(leaf(name), leaf(name)) for name in names}


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def leaves(experts: Mapping[str, Gaussian]) -> dict[str, Tensor]:
    return {f"{kind}_{m}": getattr(q, kind) for m, q in experts.items() for kind in ("mu", "logvar")}


def output_leaves(decoders: nn.ModuleDict) -> dict[str, Tensor]:
    return {f"out_{m}_{i}": out for m, d in decoders.items() for i, out in enumerate(d.outputs)}  # type: ignore


def numpy(tensor: Tensor) -> Array:
    return tensor.detach().numpy()


def affine(layer: nn.Linear, z: Array) -> Array:
    return z @ numpy(layer.weight).T + numpy(layer.bias)


# ---------------------------------------------------------------------------------------- formulas in NumPy


def derivative(f: Callable[[Point], Any], point: Point) -> Point:
    """df / dx for every element of every array, by a complex step."""
    gradient = {name: np.zeros(x.shape) for name, x in point.items()}
    for name, x in point.items():
        for i in np.ndindex(x.shape):
            moved = x.astype(complex)
            moved[i] += 1e-30j
            gradient[name][i] = np.imag(f({**point, name: moved})) / 1e-30
    return gradient


def logsumexp(x: Array, axis: int = -1) -> Array:
    top = np.real(x).max(axis, keepdims=True)
    return np.log(np.exp(x - top).sum(axis)) + top.squeeze(axis)


def absolute(x: Array) -> Array:
    return np.where(np.real(x) < 0, -x, x)


def nll(name: str, out: Array, x: Tensor) -> Array:
    """sum |x - xhat| / b + D log 2b;  sum (x - xhat)^2 / 2s^2 + D log(s sqrt(2 pi));  -sum log softmax."""
    target = numpy(x).reshape(len(x), -1)
    if name in "ad":
        return (absolute(target - out) / SCALE[name] + np.log(2 * SCALE[name])).sum(1)
    if name in "be":
        s = SCALE[name]
        return ((target - out) ** 2 / (2 * s**2) + np.log(s * np.sqrt(2 * np.pi))).sum(1)
    logits = out.reshape(len(x), 2, 3)
    picked = np.take_along_axis(logits, target[..., None], axis=2)[..., 0]
    return (logsumexp(logits, axis=2) - picked).sum(1)


def poe(mus: Sequence[Array], logvars: Sequence[Array], prior: bool) -> tuple[Array, Array]:
    """T_m = 1 / var_m (+ 1 for the prior's T, with mean 0): mu = sum T_m mu_m / sum T_m, var = 1 / sum T_m."""
    precisions = [1 / np.exp(lv) for lv in logvars]
    total = np.sum(precisions, axis=0) + (1.0 if prior else 0.0)
    weighted = np.sum([T * mu for T, mu in zip(precisions, mus, strict=True)], axis=0)
    return weighted / total, np.log(1 / total)


def kl_standard(mu: Array, logvar: Array) -> Array:
    """-1/2 sum (1 + log v - mu^2 - v)."""
    return -0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum(1)


def kl_gauss(mu0: Array, logvar0: Array, mu1: Array, logvar1: Array) -> Array:
    """-1/2 sum (1 - v0/v1 - (mu0 - mu1)^2 / v1 + log v0 - log v1)."""
    v0, v1 = np.exp(logvar0), np.exp(logvar1)
    return -0.5 * (1 - v0 / v1 - (mu0 - mu1) ** 2 / v1 + logvar0 - logvar1).sum(1)


def decoder_output(model: Any, name: str, z: Array, point: Point, call: int = 0) -> Array:
    return affine(model.decoders[name].affine, z) + point.get(f"out_{name}_{call}", 0.0)


def check(loss: Tensor, actual: Mapping[str, Tensor], formula: Callable[[Point], Any], offsets: Sequence[str]) -> None:
    """Value and gradients of `loss` against `formula`; `offsets` are the leaves that the formula has as offsets 0."""
    loss.backward()
    zero = {k: np.zeros(numpy(v).shape) for k, v in actual.items() if k.startswith(tuple(offsets))}
    point = {k: numpy(v) for k, v in actual.items()} | zero
    np.testing.assert_allclose(loss.item(), np.real(formula(point)), rtol=1e-9)
    expected = derivative(formula, point)
    for name, tensor in actual.items():
        assert tensor.grad is not None, name
        scale = np.abs(expected[name]).max()
        assert scale > 0, f"{name} has no gradient"
        np.testing.assert_allclose(numpy(tensor.grad), expected[name], rtol=1e-9, atol=1e-12 * scale, err_msg=name)


# ---------------------------------------------------------------------------------------- the objectives


BETWEEN = {2: [], 3: [("a", "c")], 5: [("b", "d"), ("a", "c", "d", "e")]}


@pytest.mark.parametrize("M", [2, 3, 5])
def test_mvae(M: int) -> None:
    """L = 1/B sum_i { sum_S R_S(i) + beta KL(q_S || N(0, I))(i) } over the full set, the singles, and `BETWEEN`.

    q_S is the product of the experts in S and the prior: precision 1 + sum_S 1/v_m, mean sum_S (mu_m/v_m) / precision.
    R_S = sum_{m in S} w_m NLL_m(z_S) for two or more modalities, plain NLL_m for a single one; z_S = mu_S + s_S eps_S.
    """
    model = build(MVAE, MVAEConfig(schedule=SCHEDULE, latent=L, beta=BETA), M)
    batch, experts = make_batch(M), make_experts(M)
    names = tuple(batch)
    chosen = [names, *[(m,) for m in names], *BETWEEN[M]]
    eps = normal(1, len(chosen), B, L)
    loss = model.objective(batch, experts, chosen, eps)["loss"]

    def formula(p: Point) -> Any:
        value, calls = 0.0, dict.fromkeys(names, 0)
        for S, e in zip(chosen, numpy(eps), strict=True):
            mu, logvar = poe([p[f"mu_{m}"] for m in S], [p[f"logvar_{m}"] for m in S], prior=True)
            z = mu + np.exp(logvar / 2) * e
            for m in S:
                out = decoder_output(model, m, z, p, calls[m])
                calls[m] += 1
                value = value + (WEIGHT[m] if len(S) > 1 else 1.0) * nll(m, out, batch[m])
            value = value + BETA * kl_standard(mu, logvar)
        return np.mean(value)

    check(loss, leaves(experts) | output_leaves(model.decoders), formula, ["out"])


@pytest.mark.parametrize("M", [2, 3])
def test_mmvae(M: int) -> None:
    """L = 1/B sum_i { sum_m w_m NLL_m(z_i) + beta/M sum_m KL(q_m || N(0, I)) }.

    z_i ~ q_k, k the chunk of row i: floor(B/M) rows for each modality in order, the last has the rest.
    """
    model = build(MMVAE, MMVAEConfig(schedule=SCHEDULE, latent=L, beta=BETA), M)
    batch, experts = make_batch(M), make_experts(M)
    eps = normal(1, B, L)
    loss = model.objective(batch, experts, eps)["loss"]
    owner = np.minimum(np.arange(B) // (B // M), M - 1)

    def formula(p: Point) -> Any:
        mus, logvars = ([p[f"{kind}_{m}"] for m in batch] for kind in ("mu", "logvar"))
        mu = np.stack([mus[owner[i]][i] for i in range(B)])
        logvar = np.stack([logvars[owner[i]][i] for i in range(B)])
        z = mu + np.exp(logvar / 2) * numpy(eps)
        value = sum(WEIGHT[m] * nll(m, decoder_output(model, m, z, p), batch[m]) for m in batch)
        return np.mean(value + BETA / M * sum(map(kl_standard, mus, logvars)))

    check(loss, leaves(experts) | output_leaves(model.decoders), formula, ["out"])


SETS = {
    2: "a b ab",
    3: "a b c ab ac bc abc",
    5: "a b c d e ab ac ad ae bc bd be cd ce de abc abd abe acd ace ade bcd bce bde cde abcd abce abde acde bcde abcde",
}


@pytest.mark.parametrize("M", [2, 3, 5])
def test_mopoe(M: int) -> None:
    """L = 1/B sum_i { sum_m w_m NLL_m(z_i) + beta/(2^M - 1) sum_S KL(q_S || N(0, I)) }.

    S runs over {a}, {b}, (..), {a, b}, (..), all; q_S is the product of its experts, with the prior if S is full.
    z_i ~ q_S, S the chunk of row i: floor(B/(2^M - 1)) rows each, the last (the full set) has the rest.
    """
    model = build(MoPoE, MoPoEConfig(schedule=SCHEDULE, latent=L, beta=BETA), M)
    rows = MANY if M == 5 else B
    batch, experts = make_batch(M, rows), make_experts(M, rows=rows)
    eps = normal(1, rows, L)
    loss = model.objective(batch, experts, eps)["loss"]
    sets = SETS[M].split()
    owner = np.minimum(np.arange(rows) // (rows // len(sets)), len(sets) - 1)

    def formula(p: Point) -> Any:
        q = [poe([p[f"mu_{m}"] for m in S], [p[f"logvar_{m}"] for m in S], prior=len(S) == M) for S in sets]
        z = np.stack([q[owner[i]][0][i] + np.exp(q[owner[i]][1][i] / 2) * numpy(eps)[i] for i in range(rows)])
        value = sum(WEIGHT[m] * nll(m, decoder_output(model, m, z, p), batch[m]) for m in batch)
        return np.mean(value + BETA / (2**M - 1) * sum(kl_standard(*q_S) for q_S in q))

    if M < 5:
        check(loss, leaves(experts) | output_leaves(model.decoders), formula, ["out"])
    else:  # in place of all 896 gradients some of them, one in each chunk
        loss.backward()
        point = {name: numpy(x) for name, x in leaves(experts).items()}
        np.testing.assert_allclose(loss.item(), formula(point), rtol=1e-9)
        for name, i in product(point, range(0, rows, 3)):
            moved = point[name].astype(complex)
            moved[i, i % L] += 1e-30j
            expected = np.imag(formula({**point, name: moved})) / 1e-30
            np.testing.assert_allclose(leaves(experts)[name].grad[i, i % L], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("prior", [False, True])
@pytest.mark.parametrize("M", [2, 3])
def test_mvtcae(M: int, prior: bool) -> None:
    """L = 1/B sum_i { (M-a)/M sum_m w_m NLL_m(z) + beta [ a/M sum_m KL(q || q_m) + (1-a) KL(q || N(0, I)) ] }, a = 5/6.

    q is the product of the experts, with or without the prior; z = mu + s eps from q.
    """
    config = MVTCAEConfig(schedule=SCHEDULE, latent=L, beta=BETA, prior_expert=prior)
    model = build(MVTCAE, config, M)
    batch, experts = make_batch(M), make_experts(M)
    eps = normal(1, B, L)
    loss = model.objective(batch, experts, eps)["loss"]
    reconstruction, to_expert, to_prior = {2: (7 / 12, 5 / 12, 1 / 6), 3: (13 / 18, 5 / 18, 1 / 6)}[M]

    def formula(p: Point) -> Any:
        mus, logvars = ([p[f"{kind}_{m}"] for m in batch] for kind in ("mu", "logvar"))
        mu, logvar = poe(mus, logvars, prior)
        z = mu + np.exp(logvar / 2) * numpy(eps)
        value = reconstruction * sum(WEIGHT[m] * nll(m, decoder_output(model, m, z, p), batch[m]) for m in batch)
        divergence = to_expert * sum(kl_gauss(mu, logvar, *q) for q in zip(mus, logvars, strict=True))
        return np.mean(value + BETA * (divergence + to_prior * kl_standard(mu, logvar)))

    check(loss, leaves(experts) | output_leaves(model.decoders), formula, ["out"])


def test_mvtcae_factors() -> None:
    """The printed factors for two modalities: 0.58333 of the reconstruction, 0.41667 and 0.16667 of the KL terms."""
    model, batch = build(MVTCAE, MVTCAEConfig(schedule=SCHEDULE, latent=L, beta=1.0), 2), make_batch(2)
    out = model.objective(batch, make_experts(2), normal(1, B, L))
    reconstruction = WEIGHT["a"] * out["nll_a"] + WEIGHT["b"] * out["nll_b"]
    expected = 0.58333 * reconstruction + 0.41667 * out["kl_experts"] + 0.16667 * out["kl"]
    assert out["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("M", [2, 3])
def test_nexus(M: int) -> None:
    """L = 1/B sum_i { bottom + top }, both levels' KL terms times the warm-up u:

    bottom = sum_m w_m NLL_m(z_m) + u b sum_m KL(q_m || N(0, I)),  z_m = mu_m + s_m eps_m, decoded by d_m alone;
    top    = sum_m g_m |z_m - zhat_m|^2 + u b_c KL(q_c || N(0, I)),  with z_m constant (its real part).

    q_c: h = mean over the kept messages W_m z_m + b_m; twice x -> LeakyReLU(BatchNorm(W x + b)); two linear heads.
    c = mu_c + s_c eps_c; zhat_m: three such layers and a linear one. BatchNorm while training is
    (x - mean) / sqrt(var + 1e-5) with the batch's own biased variance.
    KL is -1/2 sum(1 + log v - mu^2 - v), mu and logvar in their places.
    """
    g, b, b_c, u = {"a": 1.5, "b": 0.6, "c": 2.0}, 0.8, 5.0, 0.3
    weights = {m.name: g[m.name] for m in MODALITIES[:M]}
    config = NexusConfig(schedule=SCHEDULE, latent=L, beta=b, beta_c=b_c, top_weights=weights, message=4, hidden=5)
    model, batch = build(Nexus, config, M), make_batch(M)
    experts = make_experts(M, {m.name: m.latent for m in MODALITIES})
    eps = {m: normal(i, *q.mu.shape) for i, (m, q) in enumerate(experts.items())}
    keep = torch.rand(B, M, generator=torch.Generator().manual_seed(0)) < 0.5
    keep[~keep.any(1), 0] = True
    eps_c = normal(9, B, L)
    seen: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            output.retain_grad()
            seen[name] = output

        return hook

    for head, kind in zip(model.nexus_heads, ("mu", "logvar"), strict=True):
        head.register_forward_hook(watch(f"nexus_{kind}"))
    for m, decoder in model.nexus_decoders.items():
        decoder.register_forward_hook(watch(f"nexus_out_{m}"))
    loss = model.objective(batch, experts, eps, keep, eps_c, u)["loss"]

    def layer(modules: Sequence[Any], x: Array) -> Array:
        linear, norm, _ = modules
        h = affine(linear, x)
        h = (h - h.mean(0)) / np.sqrt(((h - h.mean(0)) ** 2).mean(0) + 1e-5) * numpy(norm.weight) + numpy(norm.bias)
        return np.where(np.real(h) > 0, h, 0.01 * h)

    def formula(p: Point) -> Any:
        z = {m: p[f"mu_{m}"] + np.exp(p[f"logvar_{m}"] / 2) * numpy(eps[m]) for m in batch}
        value = sum(WEIGHT[m] * nll(m, decoder_output(model, m, z[m], p), batch[m]) for m in batch)
        value = value + u * b * sum(kl_standard(p[f"mu_{m}"], p[f"logvar_{m}"]) for m in batch)
        data = {m: np.real(z_m) for m, z_m in z.items()}
        messages = np.stack([affine(model.messages[m], z_m) for m, z_m in data.items()], 1)
        h = np.stack([messages[i][keep[i].numpy()].mean(0) for i in range(B)])
        h = layer(model.nexus_encoder[3:6], layer(model.nexus_encoder[0:3], h))
        mu, logvar = (
            affine(head, h) + p[k] for head, k in zip(model.nexus_heads, ("nexus_mu", "nexus_logvar"), strict=True)
        )
        c = mu + np.exp(logvar / 2) * numpy(eps_c)
        for m in batch:
            d = model.nexus_decoders[m]
            hat = affine(d[9], layer(d[6:9], layer(d[3:6], layer(d[0:3], c)))) + p[f"nexus_out_{m}"]
            value = value + g[m] * ((data[m] - hat) ** 2).sum(1)
        return np.mean(value + u * b_c * kl_standard(mu, logvar))

    check(loss, leaves(experts) | output_leaves(model.decoders) | seen, formula, ["out", "nexus"])


@pytest.mark.parametrize("bound", ["looser", "tighter"])
@pytest.mark.parametrize("M", [2, 3])
def test_mmvae_dreg(M: int, bound: str) -> None:
    """The doubly reparametrised estimator of Tucker et al. (2019) for MMVAE's bounds.

    With z_rk = mu_r + b_r u_rk and w_rk = p(z) prod_m p(x_m|z)^{w_m} / [1/M sum_j q_j(z)], q_j constant, the bound is
    1/M sum_r log 1/K sum_k w_rk (looser) or log 1/(MK) sum_rk w_rk (tighter). With the normalised weights v_rk:

        d bound / d (mu_r, b_r) = sum_k v_rk^2 (d log w_rk / d z_rk) (1, u_rk)           (the squared weights)
        d bound / d out_rk      = v_rk d log w_rk / d out_rk,    same for the prior's logits: v_rk, once

    times 1/M for the looser bound. The loss is minus that over the batch size; its value is -sum v log w.
    """
    K = 3
    config = MMVAEDReGConfig(schedule=SCHEDULE, latent=L, samples=K, bound=bound)  # type: ignore[arg-type]
    model, batch = build(MMVAEDReG, config, M), make_batch(M)
    with torch.no_grad():
        model.prior_logits.copy_(torch.tensor([0.3, -0.4]))
    mu = {m: normal(i, B, L).requires_grad_() for i, m in enumerate(batch)}
    scale = {m: normal(i + 5, B, L).exp().requires_grad_() for i, m in enumerate(batch)}
    u = normal(30, M, K, B, L)
    out = model.objective(batch, {m: Laplace(mu[m], scale[m]) for m in batch}, u)
    out["loss"].backward()

    def laplace_log_prob(z: Array, loc: Any, b: Array) -> Array:
        return (-np.log(2 * b) - absolute(z - loc) / b).sum(-1)

    def log_w(p: Point) -> Array:
        logits = p["prior"]
        prior = np.exp(logits) / np.exp(logits).sum() * L
        value = laplace_log_prob(p["z"], 0.0, prior)
        for m in batch:
            likelihood = [
                nll(m, decoder_output(model, m, p["z"][i], {}) + p[f"out_{m}"][i], batch[m]) for i in range(M * K)
            ]
            value = value - WEIGHT[m] * np.stack(likelihood)
        each = np.stack([laplace_log_prob(p["z"], numpy(mu[m]), numpy(scale[m])) for m in batch])
        return value - (logsumexp(each, axis=0) - np.log(M))

    z = np.stack([numpy(mu[m]) + numpy(scale[m]) * numpy(u)[r] for r, m in enumerate(batch)]).reshape(M * K, B, L)
    sizes = {m: model.decoders[m].outputs[0].shape[-1] for m in batch}
    zero = {f"out_{m}": np.zeros((M * K, B, n)) for m, n in sizes.items()}
    point = {"z": z, "prior": numpy(model.prior_logits), **zero}

    value = log_w(point).reshape(M, K, B)
    group = value if bound == "looser" else value.reshape(1, M * K, B)
    top = group.max(1, keepdims=True)
    v = (np.exp(group - top) / np.exp(group - top).sum(1, keepdims=True)).reshape(M, K, B)
    share = 1 / M if bound == "looser" else 1.0
    assert out["loss"].item() == pytest.approx(-share * (v * value).sum((0, 1)).mean(), rel=1e-9)
    evidence = (np.log(np.exp(group - top).mean(1)) + top[:, 0]).mean(0).mean()
    assert out["iwae"].item() == pytest.approx(evidence, rel=1e-9)

    # log w_rk depends on its own z_rk and outputs only, so one sweep over sum v log w gives v d log w / d(.)
    weighted = derivative(lambda p: (v.reshape(M * K, B) * log_w(p)).sum() * -share / B, point)
    for m in batch:
        actual = numpy(model.decoders[m].outputs[0].grad).reshape(M * K, B, -1)
        np.testing.assert_allclose(actual, weighted[f"out_{m}"], rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(numpy(model.prior_logits.grad), weighted["prior"], rtol=1e-9)
    squared = v[..., None] * weighted["z"].reshape(M, K, B, L)
    for r, m in enumerate(batch):
        np.testing.assert_allclose(numpy(mu[m].grad), squared[r].sum(0), rtol=1e-9, atol=1e-13)  # type: ignore
        np.testing.assert_allclose(numpy(scale[m].grad), (squared[r] * numpy(u)[r]).sum(0), rtol=1e-9, atol=1e-13)  # type: ignore


def test_subsets_in_order() -> None:
    """The order of MoPoE's chunks: {1}, {2}, {1, 2}."""
    assert subsets(("a", "b")) == [("a",), ("b",), ("a", "b")]
