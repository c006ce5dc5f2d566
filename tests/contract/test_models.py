"""Every installed model keeps the contract: each one through every check."""

from __future__ import annotations

from collections.abc import Callable

from mmbench.checks import parametrize_with_checks
from mmbench.plugins import MODELS, available


@parametrize_with_checks(list(available(MODELS)))
def test_model(model: str, check: Callable[[str], None]) -> None:
    check(model)
