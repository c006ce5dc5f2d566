"""What drawing a batch of samples takes: calls of the model's modules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..model import Model

__all__ = ["Effort", "watched"]


@dataclass
class Effort:
    """What a batch took. A module inside of another that was called, too, is not counted."""

    calls: Counter[str] = field(default_factory=Counter)
    """Module, by its qualified name -> forward calls."""
    items: Counter[str] = field(default_factory=Counter)
    """The same -> items that went through it: a batch may be cut into parts, or hold a sample several times."""

    def per_sample(self, size: int) -> dict[str, float]:
        """Module -> how often it computes for one of `size` samples."""
        return {name: items / size for name, items in self.items.items()}


@contextmanager
def watched(model: Model) -> Iterator[Effort]:
    """Count what is called inside."""
    effort, depth = Effort(), 0

    def enter(*_: Any) -> None:
        nonlocal depth
        depth += 1

    def leave(name: str, inputs: Any, output: Any) -> None:
        nonlocal depth
        depth -= 1
        if depth == 0:
            effort.calls[name] += 1
            effort.items[name] += _rows((inputs, output))

    hooks = []
    for name, module in model.named_modules():
        if module is not model:
            hooks.append(module.register_forward_pre_hook(enter))
            hooks.append(module.register_forward_hook(lambda _, i, o, name=name: leave(name, i, o)))
    try:
        yield effort
    finally:
        for hook in hooks:
            hook.remove()


def _rows(values: Any) -> int:
    """The length of the first tensor in nested tuples, lists and dictionaries that has one; 1 where there is none."""
    return next(_lengths(values), 1)


def _lengths(values: Any) -> Iterator[int]:
    if isinstance(values, Tensor):
        if values.ndim:
            yield len(values)
    elif isinstance(values, dict | list | tuple):
        for value in values.values() if isinstance(values, dict) else values:
            yield from _lengths(value)
