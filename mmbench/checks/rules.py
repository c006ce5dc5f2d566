"""All rules of the contract, in the order in which they are checked."""

from __future__ import annotations

from . import building, dependence, generating, incomplete, sampling, stages, training
from .rule import Check

__all__ = ["CHECKS"]

PARTS = (building, stages, training, incomplete, dependence, generating, sampling)

CHECKS: dict[str, Check] = {name: check for part in PARTS for name, check in part.CHECKS.items()}
"""All checks by name, in the order in which they are run."""
