"""Noise in blocks is the noise that was asked for step by step."""

import pytest
import torch

from mmbench.seeding import Noise
from mmbench_mld import draws
from mmbench_mld.draws import normals

CPU = torch.device("cpu")


def noise(count):
    return Noise(torch.Generator().manual_seed(5), count)


@pytest.mark.parametrize("dim", [1, 2, 5, 16, 80])
@pytest.mark.parametrize("room", [1, 1000, 2**20], ids=["one at a time", "in blocks", "all at once"])
def test_blocks_hold_the_same_numbers(monkeypatch, dim, room):
    """Bit for bit, whatever the block, an incomplete last one among them."""
    monkeypatch.setitem(draws.ROOM, "cpu", room)
    single, count, total = noise(13), 13, 23
    made = list(normals(noise(count), dim, total, CPU))
    assert len(made) == total
    for values in made:
        assert torch.equal(values, single.normal(dim))


def test_no_more_is_drawn_than_is_used(monkeypatch):
    """What is drawn later goes on where the last step ended, as it did step by step."""
    monkeypatch.setitem(draws.ROOM, "cpu", 13 * 6 * 4)
    blocks, single = noise(13), noise(13)
    assert len(list(normals(blocks, 6, 11, CPU))) == 11
    for _ in range(11):
        single.normal(6)
    assert torch.equal(blocks.normal(6), single.normal(6))
