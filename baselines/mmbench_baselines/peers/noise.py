"""Randomness of code that draws from the global generators of torch and numpy.

In training the global generators are seeded from the loss's generator, and put back after. In generation every draw of
torch is answered from the streams of the samples (`mmbench.seeding.Noise`), so that noise belongs to the sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mmbench.errors import PluginError
from mmbench.seeding import Noise, seeded_globally

__all__ = ["SampleNoise", "choosing", "drawing_from", "uniform", "whole"]


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[int]:
    """torch's and numpy's global random states are seeded from one draw of `generator` inside, and put back after.

    Yields the seed.
    """
    seed = int(torch.randint(2**31 - 1, (), generator=generator, device=generator.device))
    state = np.random.get_state()
    try:
        with seeded_globally(seed, generator.device):
            np.random.seed(seed)
            yield seed
    finally:
        np.random.set_state(state)


def uniform(noise: Noise, *shape: int) -> Tensor:
    """Uniform float32 (B, *shape) in (0, 1), of 23 bits."""
    bits = noise.bits(int(np.prod(shape)))
    return (((bits >> 41) & 0x7FFFFF).float() + 0.5).mul(2.0**-23).view(-1, *shape)


def whole(noise: Noise, n: int) -> Tensor:
    """Uniform integers (B,) in [0, n)."""
    return (noise.bits(1)[:, 0] >> 32 & 0x7FFFFFFF) % n


class SampleNoise(TorchDispatchMode):
    """Inside, torch's own random operators answer from the streams of `noise`: one row for each sample.

    Raises PluginError for a draw whose first extent is not the number of samples (for one sample, it may be missing),
    and for an operator that is not known here.
    """

    def __init__(self, noise: Noise) -> None:
        super().__init__()
        self.noise = noise

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **(kwargs or {}))
        return self._drawn(func.overloadpacket.__name__, args, kwargs or {})

    def _drawn(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
        if name == "normal" and isinstance(args[0], Tensor):
            return args[0] + args[1] * self._rows(args[0].shape, normal=True).to(args[0])
        if name == "uniform_":
            low, high = (*args[1:], 0.0, 1.0)[:2] if len(args) != 2 else (args[1], 1.0)
            return args[0].copy_(low + (high - low) * self._rows(args[0].shape, normal=False))
        if name == "normal_":
            mean, std = (*args[1:], 0.0, 1.0)[:2] if len(args) != 2 else (args[1], 1.0)
            return args[0].copy_(mean + std * self._rows(args[0].shape, normal=True))
        if name in ("randn_like", "rand_like"):
            return self._rows(args[0].shape, normal=name == "randn_like").to(args[0])
        if name in ("randn", "rand"):
            return self._rows(args[0], normal=name == "randn").to(kwargs.get("device") or "cpu")
        if name == "multinomial" and args[0].numel() == args[0].shape[-1] and args[1] == len(self.noise):
            return self._classes(args[0].reshape(-1)).view(*args[0].shape[:-1], -1)
        raise PluginError(f"a sample's noise cannot be drawn by torch.{name}; teach it to SampleNoise")

    def _rows(self, shape: Sequence[int], *, normal: bool) -> Tensor:
        draw = self.noise.normal if normal else lambda *rest: uniform(self.noise, *rest)
        if shape and shape[0] == len(self.noise):
            return draw(*shape[1:])
        if len(self.noise) == 1:
            return draw(*shape)[0]
        raise PluginError(f"noise of shape {tuple(shape)} is not one row for each of {len(self.noise)} samples")

    def _classes(self, probabilities: Tensor) -> Tensor:
        """One class for each sample, int64 (B,)."""
        share = probabilities.cumsum(0) / probabilities.sum()
        return torch.searchsorted(share, uniform(self.noise)).clamp(max=len(share) - 1)


@contextmanager
def choosing(one: str | None) -> Iterator[None]:
    """`numpy.random.choice` gives `one` inside; with None it raises PluginError."""

    def choice(*values: Any, **more: Any) -> str:
        if one is None:
            raise PluginError("a sample's choice cannot be drawn by numpy.random.choice; choose before")
        return one

    with patch.object(np.random, "choice", choice):
        yield
