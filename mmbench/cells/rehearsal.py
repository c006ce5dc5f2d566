"""How long a sampler takes, without most of its network calls.

A walk of 2,410 steps calls the same network 2,410 times, and takes as long whatever that answers. So a rehearsal
computes the first calls of each kind, gives the last answer again from then on, and adds the time that was saved. What
is drawn so is worth nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

__all__ = ["REAL", "Watch", "rehearsed"]

REAL = 4
"""Calls of a kind that are computed: the first warms up, the others are timed."""
Watch = Callable[[Callable[[], object]], float]
"""Carries work out and gives its seconds."""


@dataclass
class _Calls:
    """Of one module with inputs of the same shapes."""

    seconds: list[float] = field(default_factory=list)
    answer: Any = None
    skipped: int = 0

    @property
    def saved(self) -> float:
        return self.skipped * statistics.fmean(self.seconds[1:]) if self.skipped else 0.0


def rehearsed(work: Callable[[], object], watch: Watch) -> float:
    """The seconds that `work` would have taken."""
    calls: dict[Any, _Calls] = {}
    with _answering(calls, watch):
        seconds = watch(work)
    return seconds + sum(each.saved for each in calls.values())


@contextmanager
def _answering(calls: dict[Any, _Calls], watch: Watch) -> Iterator[None]:
    """Every module answers by itself only a few times, those that another module calls left alone."""
    plain, inside = nn.Module.__call__, False

    def call(module: nn.Module, *inputs: Any, **named: Any) -> Any:
        nonlocal inside
        if inside:
            return plain(module, *inputs, **named)
        mine = calls.setdefault((id(module), *map(_shape, inputs), *map(_shape, named.values())), _Calls())
        if len(mine.seconds) >= REAL:
            mine.skipped += 1
            return mine.answer
        inside, answers = True, list[Any]()
        try:
            mine.seconds.append(watch(lambda: answers.append(plain(module, *inputs, **named))))
        finally:
            inside = False
        (mine.answer,) = answers
        return mine.answer

    nn.Module.__call__ = call
    try:
        yield
    finally:
        nn.Module.__call__ = plain


def _shape(value: Any) -> Any:
    return (tuple(value.shape), value.dtype) if isinstance(value, Tensor) else type(value)
