"""What is installed: versions, and the extras of this distribution."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires, version

from ..store.provenance import versions

__all__ = ["extras", "installed"]

NAMES = ("mmbench", "torch", "torchvision", "numpy", "pydantic", "safetensors")
NEED = re.compile(r"\s*([\w.-]+).*;.*extra\s*==\s*['\"]([\w.-]+)['\"]")
"""'transformers>=4.50; extra == "clip"'."""
DEVELOPERS = "dev"


def installed() -> dict[str, str]:
    """Python's version and those of the packages that decide numbers."""
    return versions(*NAMES)


def extras() -> dict[str, list[str]]:
    """Extra -> its packages that are not installed; none for an extra that is there."""
    found: dict[str, list[str]] = {}
    for need in _requirements():
        if (match := NEED.match(need)) and match[2] != DEVELOPERS:
            missing = found.setdefault(match[2], [])
            missing += [] if _there(match[1]) else [match[1]]
    return found


def _requirements() -> list[str]:
    try:
        return requires("mmbench") or []
    except PackageNotFoundError:
        return []


def _there(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
