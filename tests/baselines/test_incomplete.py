"""VAEs on incomplete tuples: multivae's own losses of them, on the same networks, tuples and noise; and by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmbench.abilities import Incomplete
from mmbench.data.missing import filled, mask
from mmbench.modality import DatasetSpec, Modality
from mmbench.networks import Networks
from mmbench.plugins import MODELS, available, load
from mmbench.seeding import seeded_init
from mmbench_baselines.experts import Gaussian, mean_present, product, stratified_present, whole_subsets
from mmbench_baselines.mmvae_dreg import double_reparametrisation

B, LATENT, K = 40, 5, 3
SHAPES = {"a": (1, 4, 4), "b": (2, 3, 3), "c": (1, 3, 3)}
VAES = ("mmvae", "mmvae_dreg", "mopoe", "mvae", "mvtcae")


def spec(weight: float = 0.5) -> DatasetSpec:
    modalities = [Modality(name=n, shape=s, network="mnist_mlp", latent=4) for n, s in SHAPES.items()]
    modalities[1] = replace(modalities[1], weight=weight)
    return DatasetSpec(name="three", title="Three", modalities=tuple(modalities))


def built(name: str, dataset: DatasetSpec, **changes: Any) -> Any:
    cls = load(MODELS, name)
    with seeded_init(0):
        return cls.build(dataset, replace(cls.recipe(dataset, "smoke"), latent=LATENT, **changes), Networks()).train()


def tuples() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A batch, and what is there of it: of every pattern some tuples."""
    rng, there = torch.Generator().manual_seed(0), mask(B, 3, 0.45, seed=0)
    assert len(there.unique(dim=0)) == 7
    present = dict(zip(SHAPES, there.unbind(1), strict=True))
    batch = {n: torch.rand(B, *s, generator=rng) for n, s in SHAPES.items()}
    return {n: filled(x, present[n]) for n, x in batch.items()}, present


NOISE = torch.randn(LATENT, generator=torch.Generator().manual_seed(1))


def sampled(mu: Tensor, logvar: Tensor, *_: Any, **__: Any) -> Tensor:
    """In the place of multivae's own draw: the same noise for every row."""
    return mu + torch.exp(0.5 * logvar) * NOISE


class FixedLaplace(torch.distributions.Laplace):
    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.loc + self.scale * laplace_noise()[: sample_shape[0], None]


def laplace_noise() -> Tensor:
    return torch.distributions.Laplace(0.0, 1.0).icdf(torch.linspace(0.1, 0.9, K * LATENT).view(K, LATENT))


def of_mvae(theirs: Any, inputs: Any) -> Tensor:
    """multivae takes the mean of each subset over the tuples that have some of it, the suite over all."""
    total = torch.zeros(())
    for S in (list(SHAPES), *[[name] for name in SHAPES]):
        whole = inputs, torch.ones(B)
        some, rows = theirs._filter_inputs_with_masks(inputs, S) if hasattr(inputs, "masks") else whole
        total = total + theirs._compute_elbo_subset(some, S, theirs.beta)[0] * rows.sum() / B
    return total


def of_mixture(theirs: Any, inputs: Any) -> Tensor:
    """Which component of a tuple's mixture is drawn is the suite's choice; it is tested below."""
    theirs.random_mixture_component_selection = lambda mus, logvars, weights: stratified_present(
        Gaussian(mus, logvars), weights > 0
    )
    return theirs(inputs).loss


def of_mmvae(theirs: Any, inputs: Any) -> Tensor:
    theirs.model_config.K, theirs.post_dist = K, FixedLaplace
    return theirs(inputs).loss / B


TWINS: dict[str, tuple[str, float, dict[str, Any], Callable[..., Tensor]]] = {
    "mvae": ("MVAE", 1.0, {"random_subsets": 0}, of_mvae),
    "mvtcae": ("MVTCAE", 0.5, {}, lambda theirs, inputs: theirs(inputs).loss),
    "mopoe": ("MoPoE", 0.5, {}, of_mixture),
    "mmvae": ("MoPoE", 0.5, {}, of_mixture),
    "mmvae_dreg": ("MMVAE", 0.5, {"samples": K}, of_mmvae),
}


@pytest.mark.parametrize("missing", [True, False], ids=["incomplete", "whole"])
@pytest.mark.parametrize("name", TWINS)
def test_losses_and_gradients_are_multivaes(name: str, missing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """MMVAE with Gaussian experts is MoPoE with the subsets of one modality. multivae adds 1e-8 to each variance."""
    models = pytest.importorskip("multivae.models", reason="multivae is not installed")
    from multivae.data.datasets.base import (  # pyright: ignore[reportMissingImports]
        IncompleteDataset,
        MultimodalBaseDataset,
    )

    title, weight, changes, loss_of = TWINS[name]
    for part in ("mvae.mvae_model", "mvtcae.mvtcae_model", "mopoe.mopoe_model"):
        monkeypatch.setattr(f"{models.__name__}.{part}.rsample_from_gaussian", sampled)
    ours = built(name, spec(weight), **changes)
    theirs = built(f"multivae:{title}", spec(weight), **({"samples": K} if title == "MMVAE" else {})).model
    if name == "mmvae":
        theirs.set_subsets([[m] for m in SHAPES])
    for m in SHAPES:
        theirs.encoders[m].body.load_state_dict(ours.encoders[m].state_dict())
        theirs.decoders[m].body.load_state_dict(ours.decoders[m].state_dict())
    batch, present = tuples()
    if missing:
        expected = loss_of(theirs, IncompleteDataset(data=dict(batch), masks=dict(present)))
    else:
        expected, present = loss_of(theirs, MultimodalBaseDataset(data=dict(batch))), None
    rows = laplace_noise()[:, None].expand(K, B, LATENT)
    if name == "mmvae_dreg":
        found = ours.objective(batch, ours.posteriors(batch), torch.stack([rows] * 3), present)["loss"]
    elif name == "mvae":
        eps = NOISE.expand(len(ours.fixed), B, LATENT)
        found = ours.objective(batch, ours.encode(batch), ours.fixed, eps, present)["loss"]
    else:
        found = ours.objective(batch, ours.encode(batch), NOISE.expand(B, LATENT), present)["loss"]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    found.backward()
    expected.backward()
    for m in SHAPES:
        for one, other in ((ours.encoders[m], theirs.encoders[m].body), (ours.decoders[m], theirs.decoders[m].body)):
            for (n, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
                torch.testing.assert_close(
                    p.grad, q.grad, rtol=2e-4, atol=1e-6 + 1e-5 * q.grad.abs().max().item(), msg=n
                )


@pytest.mark.parametrize("name", ["mmvae", "mmvae_dreg", "mvae"])
def test_a_tuple_alone_is_the_model_of_what_it_has(name: str) -> None:
    """A tuple of three modalities that lacks 'c' has the loss of a model of two. (MVTCAE's factors are those of all
    three, MoPoE's full set alone has the prior's expert: these are compared with multivae above.)"""
    whole, two = spec(), spec()
    two = replace(two, modalities=two.modalities[:2])
    changes = {"samples": K} if name == "mmvae_dreg" else {"random_subsets": 0} if name == "mvae" else {}
    big, small = built(name, whole, **changes), built(name, two, **changes)
    small.load_state_dict({n: p for n, p in big.state_dict().items() if n in small.state_dict()})
    batch = {n: x[:1] for n, x in tuples()[0].items()}
    present = {"a": torch.tensor([True]), "b": torch.tensor([True]), "c": torch.tensor([False])}
    few = {n: batch[n] for n in ("a", "b")}
    if name == "mmvae_dreg":
        u = laplace_noise()[None, :, None].expand(3, K, 1, LATENT)
        found = big.objective(batch, big.posteriors(batch), u, present)
        expected = small.objective(few, small.posteriors(few), u[:2])
    elif name == "mvae":
        eps = NOISE.expand(4, 1, LATENT)
        found = big.objective(batch, big.encode(batch), big.fixed, eps, present)
        expected = small.objective(few, small.encode(few), small.fixed, eps[:3])
    else:
        eps = NOISE.expand(1, LATENT)
        found = big.objective(batch, big.encode(batch), eps, present)
        expected = small.objective(few, small.encode(few), eps)
    assert found["loss"].item() == pytest.approx(expected["loss"].item(), rel=1e-5)


@pytest.mark.parametrize("bound", ["looser", "tighter"])
def test_the_bounds_of_what_is_there_by_hand(bound: str) -> None:
    rng = np.random.default_rng(0)
    log_w, there = rng.normal(size=(3, K, B)), mask(B, 3, 0.45, seed=1).T
    z = torch.zeros(3, K, B, 1)
    _, found = double_reparametrisation(torch.from_numpy(log_w), z, bound, there)
    for b in range(B):
        rows = [log_w[r, :, b] for r in range(3) if there[r, b]]
        if bound == "tighter":
            assert found.flatten()[b].item() == pytest.approx(np.log(np.exp(np.concatenate(rows)).mean()), abs=1e-6)
        else:
            mean = mean_present(found[:, 0], there)[b].item()
            assert mean == pytest.approx(np.mean([np.log(np.exp(row).mean()) for row in rows]))


def test_the_tighter_bound_learns_from_what_is_there_alone() -> None:
    model = built("mmvae_dreg", spec(), samples=K, bound="tighter")
    batch, present = tuples()
    terms = []
    for garbage in (float("nan"), 3.0):
        model.zero_grad()
        bad = {n: torch.where(present[n].view(-1, 1, 1, 1), x, garbage) for n, x in batch.items()}
        loss = model.incomplete_loss(bad, present, torch.Generator().manual_seed(0))["loss"]
        loss.backward()
        terms.append((loss, [p.grad.clone() for p in model.parameters()]))
    assert torch.equal(terms[0][0], terms[1][0])
    assert torch.isfinite(terms[0][0])
    for one, other in zip(terms[0][1], terms[1][1], strict=True):
        assert torch.isfinite(one).all()
        assert torch.equal(one, other)


def test_the_mixture_of_what_is_there_is_stratified() -> None:
    """The tuples that have the same modalities draw each of them equally often, wherever they stand."""
    rows = 6000
    there = mask(rows, 3, 0.4, seed=0).T
    q = Gaussian(*torch.arange(3.0)[:, None, None].expand(2, 3, rows, 1))
    chosen = stratified_present(q, there).mu[:, 0].long()
    assert there[chosen, torch.arange(rows)].all()
    for pattern in there.T.unique(dim=0):
        mine = chosen[(pattern == there.T).all(1)]
        n, count = len(mine), int(pattern.sum())
        for k in pattern.nonzero()[:, 0].tolist():
            assert (mine == k).sum().item() == pytest.approx(n / count, abs=5 * np.sqrt(n))


def test_products_and_subsets_of_what_is_there_by_hand() -> None:
    rng = np.random.default_rng(0)
    mu, logvar = rng.normal(size=(2, 3, B, 2))
    experts = [Gaussian(torch.from_numpy(m), torch.from_numpy(v)) for m, v in zip(mu, logvar, strict=True)]
    there = mask(B, 3, 0.45, seed=0)
    for prior in (False, True):
        q = product(experts, prior=prior, present=list(there.unbind(1)))
        for b in range(B):
            own = [k for k in range(3) if there[b, k]]
            precision = np.exp(-logvar[own, b]).sum(0) + prior
            mean = (np.exp(-logvar[own, b]) * mu[own, b]).sum(0) / precision
            np.testing.assert_allclose(q.mu[b], mean, rtol=1e-10)
            np.testing.assert_allclose(q.logvar[b], -np.log(precision), atol=1e-10)
    sets = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
    expected = [[bool(there[b, list(S)].all()) for b in range(B)] for S in sets]
    assert whole_subsets(list(there.unbind(1))).tolist() == expected


def test_who_can_and_who_cannot() -> None:
    """What `mmbench.abilities` asks of the class."""
    own = [name for name in available(MODELS) if ":" not in name]
    able = {name for name in own if issubclass(load(MODELS, name), Incomplete)}
    assert able == {*VAES, "mld", "mld_star", "mld_uni", "mld_inpaint"}
    assert "nexus" in own
