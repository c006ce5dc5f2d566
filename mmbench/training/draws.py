"""Where a training's randomness comes from: the order of the tuples, the loss's generator, the layers' own draws.

`PassDraws` is the stages': each pass over the tuples and each step has a seed of its own. `StreamDraws` is the frozen
networks' (judges, reference autoencoders): one stream for the order and one for the layers, as they were first trained,
so that their weights stay those of every number measured with them. Both can be saved and put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
from torch import Tensor

from ..seeding import derive, generator, seeded_globally

__all__ = ["Draws", "PassDraws", "StreamDraws"]


class Draws(Protocol):
    """The randomness of one training."""

    generator: torch.Generator
    """For the loss, on the training's device."""

    def rows(self, step: int) -> Tensor:
        """The tuples of a step, int64 (batch,)."""
        ...

    def layers(self, step: int) -> AbstractContextManager[None]:
        """torch's global random state for what takes no generator (dropout), put back after."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What must be saved to go on from here."""
        ...

    def restore(self, state: dict[str, Tensor]) -> None: ...


class _Passes:
    """Passes over `count` tuples in random order; the last, incomplete batch of a pass is dropped."""

    def __init__(self, count: int, batch_size: int) -> None:
        self.count, self.size = count, min(batch_size, count)
        self._order: tuple[int, Tensor] | None = None

    def rows(self, step: int) -> Tensor:
        number, position = divmod(step, self.count // self.size)
        if self._order is None or self._order[0] != number:
            self._order = number, self._permutation(number)
        return self._order[1][position * self.size : (position + 1) * self.size]

    def _permutation(self, number: int) -> Tensor:
        raise NotImplementedError


class PassDraws(_Passes):
    """Each pass is a permutation drawn from (seed, name, pass) alone, each step's layers from (seed, name, step)."""

    def __init__(self, seed: int, name: str, count: int, batch_size: int, device: torch.device) -> None:
        super().__init__(count, batch_size)
        self.seed, self.name, self.device = seed, name, device
        self.generator = generator(seed, "train", name, device=device)

    def _permutation(self, number: int) -> Tensor:
        order = torch.randperm(self.count, generator=generator(self.seed, "data", self.name, number))
        return order.to(self.device)

    def layers(self, step: int) -> AbstractContextManager[None]:
        return seeded_globally(derive(self.seed, "layers", self.name, step), self.device)

    def state(self) -> dict[str, Tensor]:
        return {"generator": self.generator.get_state()}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.generator.set_state(state["generator"])


class StreamDraws(_Passes):
    """The passes are consecutive permutations of one generator; the layers go on along one stream of their own.

    Arguments:
        order: (seed, *names) of the permutations' generator.
        layers: torch's CPU random state where the layers' stream begins: as it is after the network was built.
    """

    def __init__(
        self, order: tuple[int, *tuple[str, ...]], count: int, batch_size: int, device: torch.device, layers: Tensor
    ) -> None:
        super().__init__(count, batch_size)
        self.order, self.device = order, device
        self.generator = generator(*order, "loss", device=device)
        self._states = {"cpu": layers}
        if device.type == "cuda":
            self._states["cuda"] = torch.Generator(device).manual_seed(derive(*order, "layers")).get_state()

    def _permutation(self, number: int) -> Tensor:
        """Drawn anew from the first one on, so that there is nothing to save."""
        draws = generator(*self.order)
        for _ in range(number):
            torch.randperm(self.count, generator=draws)
        return torch.randperm(self.count, generator=draws).to(self.device)

    @contextmanager
    def layers(self, step: int) -> Iterator[None]:
        cuda = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):
            torch.set_rng_state(self._states["cpu"])
            if cuda:
                torch.cuda.set_rng_state(self._states["cuda"], self.device)
            yield
            self._states["cpu"] = torch.get_rng_state()
            if cuda:
                self._states["cuda"] = torch.cuda.get_rng_state(self.device)

    def state(self) -> dict[str, Tensor]:
        return {"generator": self.generator.get_state(), **{f"layers.{k}": v for k, v in self._states.items()}}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.generator.set_state(state["generator"])
        self._states = {k: state[f"layers.{k}"] for k in self._states}
