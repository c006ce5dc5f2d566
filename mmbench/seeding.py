"""One seed gives named, independent generators; and noise that belongs to the sample, not to the batch.

`torch.Generator` draws depend on how many values are asked for at once, so a sampler that calls `torch.randn` gives
other samples when the batch is cut differently. `Noise` draws one 63-bit key per sample from the generator and then
computes every normal number as a function of (key, index) with SplitMix64 (Steele, Lea and Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014) and the Box-Muller transform: sample 17 is the same in any batch and,
up to float rounding, on any device.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["Noise", "derive", "generator", "on_host", "seeded_globally", "seeded_init"]

_GAMMA = -7046029254386353131  # 0x9E3779B97F4A7C15, the golden ratio, as a signed 64-bit number
_MIX1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX2 = -7723592293110705685  # 0x94D049BB133111EB


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed that depends on the seed and all names: derive(0, 'train', 'score') differs from any other."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for one purpose, for instance generator(seed, 'train', 'score')."""
    return torch.Generator(device).manual_seed(derive(seed, *names))


def on_host(generator: torch.Generator) -> torch.Generator:
    """A generator of the CPU itself; of a GPU, a new one of the CPU, seeded with the GPU generator's seed and offset.

    The host knows both, while a number that the GPU draws must be waited for. So the choice is the same wherever a
    training is taken up again.
    """
    if generator.device.type == "cpu":
        return generator
    seed = derive(generator.initial_seed(), "host", generator.get_offset())
    return torch.Generator().manual_seed(seed)


@contextmanager
def seeded_init(seed: int) -> Iterator[None]:
    """Modules built inside draw their first parameters from `seed`; the global random state is put back after."""
    with seeded_globally(derive(seed, "init")):
        yield


@contextmanager
def seeded_globally(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """torch's global random state, of the CPU and of `device`, is seeded inside and put back after.

    For what takes no generator: first parameters, dropout, torchvision's transforms.
    """
    cuda = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        for one in cuda:
            with torch.cuda.device(one):
                torch.cuda.manual_seed(seed)
        yield


class Noise:
    """Standard normal noise for `count` samples, each with a stream of its own.

    Arguments:
        generator: a CPU generator; exactly `count` keys are drawn from it.
        count: number of samples B.
        device: where the noise is computed.

    Successive calls of `normal` go on along each sample's stream. Two 32-bit halves of one SplitMix64 output give
    two normal numbers.
    """

    def __init__(self, generator: torch.Generator, count: int, device: torch.device | str = "cpu") -> None:
        keys = torch.randint(2**63 - 1, (count,), generator=generator, dtype=torch.int64)
        self._keys = keys.to(device)[:, None]
        self._drawn = 0

    def __len__(self) -> int:
        return self._keys.shape[0]

    def bits(self, n: int) -> Tensor:
        """The next `n` 64-bit outputs of every stream, int64 (B, n)."""
        index = torch.arange(self._drawn + 1, self._drawn + 1 + n, device=self._keys.device)
        self._drawn += n
        z = self._keys + index * _GAMMA
        z = (z ^ _shift(z, 30)) * _MIX1
        z = (z ^ _shift(z, 27)) * _MIX2
        return z ^ _shift(z, 31)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal float32 (B, *shape)."""
        size = math.prod(shape)
        bits = self.bits((size + 1) // 2)
        # 24 bits each: u1 in (0, 1], u2 in [0, 1), exact in float32
        u1 = (_shift(bits, 40) + 1).float() * 2.0**-24
        u2 = ((bits >> 8) & 0xFFFFFF).float() * 2.0**-24
        radius, angle = torch.sqrt(-2.0 * torch.log(u1)), (2.0 * math.pi) * u2
        pairs = torch.cat((radius * torch.cos(angle), radius * torch.sin(angle)), dim=1)
        return pairs[:, :size].reshape(-1, *shape)


def _shift(z: Tensor, n: int) -> Tensor:
    """Logical (zero-filling) right shift of int64."""
    return (z >> n) & ((1 << (64 - n)) - 1)
