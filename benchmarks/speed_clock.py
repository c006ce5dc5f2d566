"""How `speed.py` takes its numbers: medians of repetitions, and the machine's own pace beside each of them."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable

import torch
from speed_compare import PACE

__all__ = ["Stopwatch", "product"]

PRODUCTS = 5
"""Matrix products timed beside each number."""
LEAST, MOST = 500.0, 100
"""Milliseconds that the repetitions of short work take in all, and repetitions at most."""


class Stopwatch:
    """Named medians in milliseconds; prints each as it is found.

    With one thread the time is that of this process and its children on the CPU, which others on the machine change
    little; with more threads it is wall time.
    """

    def __init__(self, threads: int) -> None:
        self.clock = cpu_seconds if threads == 1 else time.perf_counter
        self.product = product(torch.float32)
        self.products: list[float] = []
        self.found: dict[str, float] = {}

    def add(self, name: str, work: Callable[[], object], repeat: int = 7, *, per: int = 1, warm: bool = True) -> float:
        """Time `work`, `per` units of it in one call, `repeat` times, or more where it is short.

        Returns the median milliseconds of a unit.
        """
        if warm:
            work()
        self.products += [self.time(self.product) for _ in range(PRODUCTS)]
        first = self.time(work)
        count = max(repeat, min(MOST, int(LEAST / first)))
        self.found[name] = statistics.median([first, *(self.time(work) for _ in range(count - 1))]) / per
        print(f"{name:<64}{self.found[name]:>10.2f} ms", flush=True)
        return self.found[name]

    def time(self, work: Callable[[], object]) -> float:
        """Milliseconds of one call."""
        start = self.clock()
        work()
        return 1e3 * (self.clock() - start)

    def numbers(self) -> dict[str, float]:
        """Name -> milliseconds, with the median of all matrix products as the machine's own."""
        return {PACE: statistics.median(self.products), **self.found}


def product(dtype: torch.dtype) -> Callable[[], object]:
    """A matrix product of the score network's size: 0.52 GFLOP."""
    x, w = torch.randn(1000, 512).to(dtype), torch.randn(512, 512).to(dtype)
    return lambda: x @ w


def cpu_seconds() -> float:
    """Of this process, and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
