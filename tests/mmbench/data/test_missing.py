"""Incomplete training tuples: how many modalities are missing, whose mask it is, and that what is missing is gone."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from mmbench.checks import toys
from mmbench.data.dataset import Split
from mmbench.data.missing import filled, incomplete, mask
from mmbench.errors import DataError

N = 60_000


@pytest.mark.parametrize(("M", "share"), [(2, 0.2), (3, 0.2), (5, 0.5), (2, 0.9)])
def test_the_share_that_is_missing(M: int, share: float) -> None:
    """Each pattern has its probability: that of independent drops, and of losing all 1/M for each single one. So a
    modality is missing with share - share^M / M."""
    found = mask(N, M, share, seed=3)
    assert found.any(1).all()
    for pattern in product([False, True], repeat=M):
        kept = sum(pattern)
        p = share ** (M - kept) * (1 - share) ** kept * (kept > 0) + (kept == 1) * share**M / M
        counted = (found == torch.tensor(pattern)).all(1).sum().item()
        assert counted == pytest.approx(N * p, abs=5 * np.sqrt(N * p) + 1e-9)
    lost = (~found).double().mean(0).numpy()
    expected = share - share**M / M
    np.testing.assert_allclose(lost, expected, atol=5 * np.sqrt(expected / N))


def test_the_mask_is_the_seeds_alone_and_a_larger_share_drops_more() -> None:
    one = mask(500, 3, 0.3, seed=0)
    torch.manual_seed(1)
    assert torch.equal(one, mask(500, 3, 0.3, seed=0))
    assert not torch.equal(one, mask(500, 3, 0.3, seed=1))
    shares = [mask(500, 3, p, seed=0) for p in (0.0, 0.1, 0.3, 0.6, 0.99)]
    assert shares[0].all()
    for more, less in zip(shares[1:], shares[:-1], strict=True):
        assert (less | ~more).all(), "what is there at a larger share is there at a smaller one"
    assert (shares[-1].sum(1) == 1).float().mean() > 0.9


def test_tuples_are_as_they_were_where_nothing_is_missing_and_share_zero_changes_nothing() -> None:
    split = toys()[1].train
    assert incomplete(split, 0.0, seed=0) is split
    found = incomplete(split, 0.4, seed=0)
    assert found.present is not None
    assert torch.equal(found.present, mask(len(split), 3, 0.4, seed=0))
    assert torch.equal(found.index[found.present], split.index[found.present])
    assert found.items is split.items
    assert torch.equal(found.labels, split.labels)  # type: ignore[arg-type]


def test_an_item_that_is_missing_everywhere_cannot_be_read() -> None:
    """Each tuple has items of its own, so what is missing in it is nowhere else."""
    split = toys()[1].train
    found = incomplete(split, 0.4, seed=0)
    assert found.present is not None
    for k, name in enumerate(split.names):
        gone = set(split.index[~found.present[:, k], k].tolist())
        assert gone
        assert not gone & set(found.used(name).tolist())
        batch = found.gather(torch.arange(len(found)), (name,))[name]
        there = found.there(torch.arange(len(found)), (name,))[name]
        assert torch.equal(there, found.present[:, k])
        assert torch.equal(batch[there], split.gather(torch.arange(len(found)), (name,))[name][there])


def test_the_mask_goes_with_the_tuple() -> None:
    """Through take, to and gather, in whatever order and batches."""
    found = incomplete(toys()[1].train, 0.4, seed=0)
    assert found.present is not None
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))
    taken = found.take(order).to("cpu")
    assert torch.equal(taken.present, found.present[order])  # type: ignore[arg-type]
    parts = [found.there(rows, ("flag",))["flag"] for rows in order.split(7)]
    assert torch.equal(torch.cat(parts), found.there(order, ("flag",))["flag"])


def test_a_mask_must_fit_its_tuples() -> None:
    items = {"a": torch.zeros(3, 1, 2, 2, dtype=torch.uint8), "b": torch.zeros(3, 1, 2, 2, dtype=torch.uint8)}
    index = torch.arange(3)[:, None].expand(3, 2)
    for bad in (torch.ones(3, 1, dtype=torch.bool), torch.ones(3, 2)):
        with pytest.raises(DataError, match=r"present must be torch.bool \(3, 2\)"):
            Split(items, index, None, bad)
    with pytest.raises(DataError, match=r"no training tuple keeps '[ab]': use more data"):
        incomplete(Split(items, index[:1].clone()), 0.9, seed=0)


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 7.0])
def test_filled_keeps_what_is_there_and_takes_the_rest_from_it(garbage: float) -> None:
    x = torch.arange(24.0).view(6, 2, 2)
    there = torch.tensor([False, True, False, False, True, False])
    x[~there] = garbage
    found = filled(x, there)
    assert torch.equal(found[there], x[there])
    assert torch.equal(found[:, 0, 0], torch.tensor([4.0, 4.0, 4.0, 16.0, 16.0, 16.0]))
    assert torch.equal(filled(x, torch.zeros(6, dtype=torch.bool)), torch.zeros_like(x))
    assert torch.equal(filled(x[there], torch.ones(2, dtype=torch.bool)), x[there])
    tokens = filled(torch.tensor([[1, 2], [9, 9], [3, 4]]), torch.tensor([True, False, True]))
    assert tokens.tolist() == [[1, 2], [3, 4], [3, 4]]
