"""Which of the installed metrics find here what they need beside data: weights, packages."""

from __future__ import annotations

from pathlib import Path

from .. import plugins
from ..errors import PluginError
from ..metric import Metric
from ..progress import one_line

__all__ = ["lacking"]


def lacking(weights: Path | None, cache: Path) -> dict[str, str]:
    """Metric -> what it lacks, one sentence; '' for nothing."""
    return {name: _of(name, weights, cache) for name in plugins.available(plugins.METRICS)}


def _of(name: str, weights: Path | None, cache: Path) -> str:
    try:
        return plugins.load(plugins.METRICS, name, Metric).lacks(weights, cache)
    except PluginError as error:
        return str(error)
    except Exception as error:  # a stranger's metric may raise anything
        return f"{name} failed with {type(error).__name__}: {one_line(str(error))}; tell its author"
