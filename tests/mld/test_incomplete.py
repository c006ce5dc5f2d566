"""MLD on incomplete tuples: each autoencoder has its own, the score network sees latents that are there alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmbench.checks import toys
from mmbench.config import Schedule
from mmbench.data.missing import incomplete, mask
from mmbench.networks import Networks
from mmbench.seeding import seeded_init
from mmbench.training import train
from mmbench_mld.diffusion import conditions, loss_of_each, masked_multi_time_loss, unmasked_loss
from mmbench_mld.incomplete import NEVER, draw_given, known, loss_of_present, unmasked_loss_of_present
from mmbench_mld.inpaint import MLDInpaint
from mmbench_mld.latents import Layout
from mmbench_mld.model import MLD
from mmbench_mld.schedule import VPSDE
from mmbench_mld.uni import MLDUni

SIZES = {"a": 2, "b": 3, "c": 1}
LAYOUT, SDE, B = Layout(SIZES), VPSDE(), 48
SLICES = {"a": slice(0, 2), "b": slice(2, 5), "c": slice(5, 6)}


def draws(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Latents, times, noise, and what is there."""
    rng = torch.Generator().manual_seed(seed)
    z, eps = torch.randn(2, B, 6, generator=rng)
    return z, 0.05 + 0.9 * torch.rand(B, generator=rng), eps, mask(B, 3, 0.4, seed)


class Seen:
    """A network that keeps what it sees, and answers something of it."""

    def __call__(self, r: Tensor, tau: Tensor) -> Tensor:
        self.r, self.tau = r, tau
        return 0.3 * r - 0.1 * tau.sum(1, keepdim=True)


def test_the_loss_tuple_by_tuple() -> None:
    """In NumPy, for an A2 of each tuple: what the network sees of every modality, the loss, and its weight."""
    z, t, eps, there = draws()
    given = mask(B, 3, 0.5, seed=9)
    z = torch.where(LAYOUT.spread(there.float()).bool(), z, 0.0)
    seen = Seen()
    found = loss_of_present(seen, z, t, eps, given, there, LAYOUT, SDE).item()
    total = 0.0
    for b in range(B):
        known_, asked = [n for k, n in enumerate(SIZES) if there[b, k]], dict(zip(SIZES, given[b], strict=True))
        fixed = [n for n in known_ if asked[n]]
        fixed = [] if fixed == known_ else fixed
        moved = [n for n in known_ if n not in fixed]
        for k, (n, where) in enumerate(SLICES.items()):
            clean, noise = z[b, where].numpy(), eps[b, where].numpy()
            m, s = SDE.mean(t[b]).item(), SDE.sigma(t[b]).item()
            state = m * clean + s * noise if n in moved else clean if n in fixed else 0 * clean
            np.testing.assert_allclose(seen.r[b, where], state, rtol=1e-5, atol=1e-6)
            time = t[b].item() if n in moved else 0.0 if n in fixed else NEVER
            assert seen.tau[b, k].item() == pytest.approx(time)
        o = 0.3 * seen.r[b].numpy() - 0.1 * seen.tau[b].sum().item()
        errors = sum(((o[SLICES[n]] + eps[b, SLICES[n]].numpy()) ** 2).sum() for n in moved)
        total += sum(SIZES[n] for n in known_) / sum(SIZES[n] for n in moved) * errors
    assert found == pytest.approx(total / B, rel=1e-5)


def test_a_network_that_answers_nothing_has_the_loss_of_what_is_there() -> None:
    """dim(A) for each tuple, whatever is given."""
    n = 40_000
    rng = torch.Generator().manual_seed(0)
    z, eps = torch.randn(2, n, 6, generator=rng)
    there, t = mask(n, 3, 0.4, seed=0), torch.rand(n, generator=rng)
    expected = (there.double() @ torch.tensor([2.0, 3.0, 1.0]).double()).mean().item()
    silent = lambda r, tau: torch.zeros_like(r)  # noqa: E731
    for given in ((False, False, False), (True, False, True)):
        asked = torch.tensor(given).expand(n, -1)
        found = loss_of_present(silent, z, t, eps, asked, there, LAYOUT, SDE).item()
        assert found == pytest.approx(expected, rel=0.02)
    assert unmasked_loss_of_present(silent, z, t[:, None], eps, there, LAYOUT, SDE).item() == pytest.approx(
        expected, rel=0.02
    )


@pytest.mark.parametrize("given", conditions(tuple(SIZES)), ids="+".join)
def test_whole_tuples_have_the_loss_of_whole_tuples(given: tuple[str, ...]) -> None:
    z, t, eps, _ = draws()
    there = torch.ones(B, 3, dtype=torch.bool)
    asked = torch.tensor([name in given for name in SIZES]).expand(B, -1)
    found = loss_of_present(Seen(), z, t, eps, asked, there, LAYOUT, SDE)
    expected = masked_multi_time_loss(Seen(), z, t, eps, given, LAYOUT, SDE)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for times in (t[:, None], t[:, None] * torch.tensor([1.0, 0.5, 0.2])):
        one = unmasked_loss_of_present(Seen(), z, times, eps, there, LAYOUT, SDE)
        assert one.item() == pytest.approx(unmasked_loss(Seen(), z, times, eps, LAYOUT, SDE).item(), rel=1e-6)


@pytest.mark.parametrize("subsets", ["batch", "sample"])
def test_what_is_given_is_drawn_as_for_whole_tuples(subsets: str) -> None:
    z, t, eps, _ = draws()
    there = torch.ones(B, 3, dtype=torch.bool)
    rng = [torch.Generator().manual_seed(5) for _ in range(2)]
    given = draw_given(LAYOUT, 0.4, subsets, B, rng[0])
    found = loss_of_present(Seen(), z, t, eps, given, there, LAYOUT, SDE).item()
    if subsets == "sample":
        from mmbench_mld.diffusion import choose_each

        expected = loss_of_each(Seen(), z, t, eps, choose_each(tuple(SIZES), 0.4, B, rng[1]), LAYOUT, SDE)
        assert len(given.unique(dim=0)) > 3
    else:
        from mmbench_mld.diffusion import choose_given

        expected = masked_multi_time_loss(Seen(), z, t, eps, choose_given(tuple(SIZES), 0.4, rng[1]), LAYOUT, SDE)
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_latents_that_are_missing_are_not_looked_at() -> None:
    z, _, _, there = draws()
    batch, present = LAYOUT.split(z), dict(zip(SIZES, there.unbind(1), strict=True))
    bad = {n: x.masked_fill(~present[n][:, None], float("nan")) for n, x in batch.items()}
    (one, a), (other, b) = known(batch, present, LAYOUT), known(bad, present, LAYOUT)
    assert torch.equal(one, other)
    assert torch.equal(a, b)
    assert torch.equal(a, there)
    assert (one[~LAYOUT.spread(there.float()).bool()] == 0).all()


def small(cls: type[MLD], steps: int = 3) -> Any:
    data = toys()[1]
    brief = Schedule(steps=steps, batch_size=16, lr=1e-3)
    config = cls.recipe(data.spec, "smoke")
    config = replace(config, width=16, time_embed=8, groups=4, blocks=1, score=brief)
    config = replace(config, autoencoders=dict.fromkeys(data.spec.names, brief))
    with seeded_init(0):
        return cls.build(data.spec, config, Networks())


@pytest.mark.parametrize("cls", [MLD, MLDUni, MLDInpaint])
def test_every_stage_is_trained_on_what_is_there(cls: type[MLD], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tuple of the toy has items of its own: none of those that are missing is ever seen, whole batches are, and
    the score network is trained on the latents of the rest."""
    data, model = toys()[1], small(cls, steps=40)
    split = incomplete(data.train, 0.4, seed=0)
    assert split.present is not None
    kept = {
        name: {x.numpy().tobytes() for x in split.gather(split.present[:, k].nonzero()[:, 0], (name,))[name]}
        for k, name in enumerate(data.spec.names)
    }
    seen: dict[str, set[bytes]] = {name: set() for name in data.spec.names}
    encode = MLD._encode

    def loss(self: MLD, name: str, batch: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        assert len(batch[name]) == 16
        seen[name] |= {x.numpy().tobytes() for x in batch[name]}
        return {"loss": self._autoencoder(name).loss(batch[name])}

    def watched(self: MLD, name: str, x: Tensor) -> Tensor:
        if not self.training and len(x) != len(data.validation):
            seen[name] |= {one.numpy().tobytes() for one in x}
        return encode(self, name, x)

    monkeypatch.setattr(MLD, "_autoencoder_loss", loss)
    monkeypatch.setattr(MLD, "_to_latents", _watching(MLD._to_latents, monkeypatch, watched))
    records = train(model, split, data.validation, seed=0)
    assert set(records) == {*(f"autoencoder.{name}" for name in data.spec.names), "score"}
    for name in data.spec.names:
        assert seen[name] == kept[name]


def _watching(prepare: Any, monkeypatch: pytest.MonkeyPatch, encode: Any) -> Any:
    """`prepare` under which `_encode` is watched."""

    def prepared(self: MLD, split: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(MLD, "_encode", encode)
            return prepare(self, split)

    return prepared


@pytest.mark.parametrize("cls", [MLD, MLDUni, MLDInpaint])
def test_a_training_is_the_same_whatever_the_missing_hold(cls: type[MLD]) -> None:
    """All weights, bit for bit, with other data in the place of what is missing."""
    data = toys()[1]
    split = incomplete(data.train, 0.4, seed=0)
    assert split.present is not None
    items = {}
    for k, (name, x) in enumerate(data.train.items.items()):
        gone = data.train.index[~split.present[:, k], k].long()
        items[name] = x.clone()
        items[name][gone] = 0
    weights = []
    for one in (data.train, replace(data.train, items=items)):
        model = small(cls)
        train(model, incomplete(one, 0.4, seed=0), data.validation, seed=0)
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
