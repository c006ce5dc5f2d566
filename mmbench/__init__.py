"""mmbench: multi-modal generative models on equal terms.

    import mmbench

    mmbench.run("mvae", dataset="glyphs", budget="smoke", set={"beta": [0.5, 1]}, seeds=3)  # as `mmbench run`
    table = mmbench.load_results("results")  # a tidy DataFrame, see `load_results`
    model = mmbench.load_model("results/glyphs/mvae/smoke-0123456789/seed-0.json")

What is here is imported when it is first used: `from mmbench import load_results` needs no torch. See `mmbench.model`
for the contract of a model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import evaluate, load_model, load_results, run, sample
    from .checks import check_dataset, check_metric, check_model, check_network
    from .data.dataset import Dataset, DatasetSource, Split
    from .metric import Metric
    from .modality import DatasetSpec, Modality
    from .model import Model, Stage
    from .networks import Architecture

_HOMES = {
    "api": ("evaluate", "load_model", "load_results", "run", "sample"),
    "checks": ("check_dataset", "check_metric", "check_model", "check_network"),
    "data.dataset": ("Dataset", "DatasetSource", "Split"),
    "metric": ("Metric",),
    "modality": ("DatasetSpec", "Modality"),
    "model": ("Model", "Stage"),
    "networks": ("Architecture",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Architecture",
    "Dataset",
    "DatasetSource",
    "DatasetSpec",
    "Metric",
    "Modality",
    "Model",
    "Split",
    "Stage",
    "check_dataset",
    "check_metric",
    "check_model",
    "check_network",
    "evaluate",
    "load_model",
    "load_results",
    "run",
    "sample",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOME[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
