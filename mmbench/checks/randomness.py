"""The global random state of torch, numpy and python: read, put back, and watched."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .subject import ContractError

__all__ = ["changed_states", "random_state_kept", "random_states", "set_random_states"]


def random_states() -> dict[str, Any]:
    return {"torch": torch.get_rng_state(), "numpy": np.random.get_state(), "python": random.getstate()}


def set_random_states(states: Mapping[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    np.random.set_state(states["numpy"])
    random.setstate(states["python"])


@contextmanager
def random_state_kept(what: str, advice: str) -> Iterator[None]:
    """Refuse a change of the global random state of torch, numpy or python."""
    before = random_states()
    yield
    if changed := changed_states(before):
        raise ContractError(f"{what} touches the global random state of {' and '.join(changed)}; {advice}")


def changed_states(before: Mapping[str, Any]) -> list[str]:
    """Whose states are not what they were: 'torch', 'numpy', 'python'."""
    after = random_states()
    return [name for name in before if not _same_state(before[name], after[name])]


def _same_state(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    return (
        repr(a) == repr(b) if not isinstance(a, tuple) else all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    )
