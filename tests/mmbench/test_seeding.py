"""Seeds and noise, against a pure-Python SplitMix64 and a float64 Box-Muller transform."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from mmbench.seeding import Noise, derive, generator, seeded_init

MASK = 2**64 - 1


def splitmix64(key: int) -> Iterator[int]:
    """The 64-bit outputs of SplitMix64 as in the reference C code (Vigna, 2015): state += gamma, then mix."""
    state = key
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


def keys(rng: torch.Generator, count: int) -> list[int]:
    """The keys that Noise draws from a generator."""
    return torch.randint(2**63 - 1, (count,), generator=rng, dtype=torch.int64).tolist()


def fixed(key: int) -> Noise:
    """Noise of one stream with a known key."""
    noise = Noise(torch.Generator(), 1)
    noise._keys = torch.tensor([[key]])
    return noise


def test_the_published_outputs_of_splitmix64() -> None:
    """The first outputs for the seed 1234567, published with many implementations (Rosetta Code, 'SplitMix64')."""
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
    ]
    stream = splitmix64(1234567)
    assert [next(stream) for _ in expected] == expected
    assert [b & MASK for b in fixed(1234567).bits(4)[0].tolist()] == expected


def test_bits_equal_the_reference_in_every_stream() -> None:
    found = Noise(torch.Generator().manual_seed(3), 7).bits(50)
    for row, key in zip(found.tolist(), keys(torch.Generator().manual_seed(3), 7), strict=True):
        stream = splitmix64(key)
        assert [b & MASK for b in row] == [next(stream) for _ in row]


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_normal_numbers_equal_the_reference(size: int) -> None:
    """z1, z2 = sqrt(-2 ln u1) (cos, sin)(2 pi u2); u1 from the upper, u2 from the lower 32 bits, 24 bits of each."""
    found = Noise(torch.Generator().manual_seed(5), 4).normal(size)
    pairs = (size + 1) // 2
    for row, key in zip(found, keys(torch.Generator().manual_seed(5), 4), strict=True):
        stream = splitmix64(key)
        bits = [next(stream) for _ in range(pairs)]
        u1 = np.array([((b >> 40) + 1) / 2**24 for b in bits])
        u2 = np.array([((b >> 8) & 0xFFFFFF) / 2**24 for b in bits])
        radius, angle = np.sqrt(-2 * np.log(u1)), 2 * np.pi * u2
        expected = np.concatenate((radius * np.cos(angle), radius * np.sin(angle)))[:size]
        np.testing.assert_allclose(row.numpy(), expected, atol=2e-6)


def test_shape_and_type() -> None:
    noise = Noise(torch.Generator(), 3)
    assert len(noise) == 3
    assert noise.normal(2, 3, 5).shape == (3, 2, 3, 5)
    assert noise.normal(4).dtype == torch.float32
    assert noise.normal().shape == (3,)


def test_the_noise_is_standard_normal_and_independent() -> None:
    x = Noise(torch.Generator().manual_seed(0), 400).normal(500).double().numpy()
    assert stats.kstest(x.ravel(), "norm").pvalue > 1e-3
    assert stats.kstest(x[:, 0], "norm").pvalue > 1e-3
    assert abs(x.mean()) < 4 / np.sqrt(x.size)
    assert abs(x.var() - 1) < 4 * np.sqrt(2 / x.size)
    for a, b in ((x[:-1], x[1:]), (x[:, :-1], x[:, 1:]), (x[:, :250], x[:, 250:])):
        assert abs((a * b).mean()) < 4 / np.sqrt(a.size)
        assert abs((a**2 * b**2).mean() - 1) < 4 * np.sqrt(8 / a.size)


def test_the_extreme_uniform_gives_a_finite_number() -> None:
    noise = fixed(0)
    noise.bits = lambda n: torch.tensor([[0, -1]])  # u1 = 2^-24 and u1 = 1
    x = noise.normal(4)
    assert torch.isfinite(x).all()
    assert x.abs().max() == pytest.approx(np.sqrt(2 * 24 * np.log(2)), rel=1e-5)


@pytest.mark.parametrize("cut", [1, 3, 7, 20])
def test_the_cut_into_batches_does_not_matter(cut: int) -> None:
    whole = Noise(torch.Generator().manual_seed(1), 20).normal(9)
    rng = torch.Generator().manual_seed(1)
    parts = [Noise(rng, min(cut, 20 - start)).normal(9) for start in range(0, 20, cut)]
    assert torch.equal(torch.cat(parts), whole)


def test_streams_go_on() -> None:
    one, two = (Noise(torch.Generator().manual_seed(2), 6) for _ in range(2))
    assert torch.equal(torch.cat((one.bits(3), one.bits(4)), 1), two.bits(7))
    first, second = one.normal(4), one.normal(4)
    assert not torch.equal(first, second)
    assert torch.equal(first, two.normal(4))


def test_noise_draws_one_key_per_sample_and_nothing_else() -> None:
    rng, other = torch.Generator().manual_seed(4), torch.Generator().manual_seed(4)
    before = torch.get_rng_state()
    Noise(rng, 11).normal(1000)
    keys(other, 11)
    assert torch.equal(rng.get_state(), other.get_state())
    assert torch.equal(before, torch.get_rng_state())


def test_derived_seeds_depend_on_the_seed_and_every_name() -> None:
    names = [(), ("train",), ("data",), ("train", "a"), ("train", "a", 0), ("train", "a", 1), ("a", "train")]
    found = {derive(seed, *name) for seed in range(50) for name in names}
    assert len(found) == 50 * len(names)
    assert all(0 <= seed < 2**63 for seed in found)


def test_derived_seeds_are_pinned() -> None:
    """The first 63 bits of SHA-256('0/train/score'): a published result can be drawn again."""
    assert derive(0, "train", "score") == 6652719383770348907


def test_generators_of_different_purpose_differ() -> None:
    a, b, again = (torch.rand(4, generator=generator(0, name)) for name in ("a", "b", "a"))
    assert torch.equal(a, again)
    assert not torch.equal(a, b)


def test_seeded_parameters_leave_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    layers = []
    for seed in (0, 0, 1):
        with seeded_init(seed):
            layers.append(nn.Linear(3, 3).weight)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(layers[0], layers[1])
    assert not torch.equal(layers[0], layers[2])
