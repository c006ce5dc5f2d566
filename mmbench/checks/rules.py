"""All rules of the contract, in the order in which they are checked."""

from __future__ import annotations

from . import building, generating, sampling, stages, training
from .rule import Check

__all__ = ["CHECKS"]

CHECKS: dict[str, Check] = {
    name: check for part in (building, stages, training, generating, sampling) for name, check in part.CHECKS.items()
}
"""All checks by name, in the order in which they are run."""
