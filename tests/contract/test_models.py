"""Every installed model keeps the contract: each one through every check (those of other libraries: test_peers)."""

from __future__ import annotations

from collections.abc import Callable

from mmbench.checks import parametrize_with_checks
from mmbench.plugins import MODELS, available


@parametrize_with_checks([name for name in available(MODELS) if ":" not in name])
def test_model(model: str, check: Callable[[str], None]) -> None:
    check(model)
