"""Tests that need a GPU: skipped without one. MMBENCH_TEST_DEVICE=cpu runs those that also hold on a CPU there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mmbench.engine.device import tune

SLOW = ("DReG", "MLD", "cub")
"""What makes a test slow, rising."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quickest of this folder first: where the time is limited, few are left out."""
    places = [k for k, item in enumerate(items) if item.path.parent == Path(__file__).parent]
    own = sorted(
        (items[k] for k in places), key=lambda item: sum((word in item.name) << k for k, word in enumerate(SLOW))
    )
    for place, item in zip(places, own, strict=True):
        items[place] = item


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The GPU, or the device that MMBENCH_TEST_DEVICE names."""
    name = os.environ.get("MMBENCH_TEST_DEVICE", "cuda")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device, and none is to be seen here")
    return torch.device(name)


@pytest.fixture(scope="session")
def gpu(device: torch.device) -> torch.device:
    """The GPU, for what makes no sense on a CPU."""
    if device.type != "cuda":
        pytest.skip("needs a CUDA device: there is no TensorFloat-32 on a CPU")
    return device


@pytest.fixture
def tuned(device: torch.device) -> Iterator[torch.device]:
    """The device as the engine sets it before its cells; put back after."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    tune(device)
    yield device
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    torch.backends.cudnn.benchmark = benchmark
    torch.set_flush_denormal(False)
