"""What was asked for on the command line, and which of its settings belong to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .. import plugins
from ..config import BUDGETS, Budget, Precision, named
from ..errors import ConfigError, near

__all__ = ["OWN", "Request", "budget_named", "expanded", "split_settings"]

OWN = "default"
"""What stands for a dataset's own metrics among those that are named."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for; the command line assembles it once (`cli.options`)."""

    models: Sequence[str]
    """Names of installed models, 'all', or 'module:Class'; for `evaluate`, none stands for every model with cells."""
    dataset: str
    views: int | None = None
    """How many modalities of a dataset that has a choice; None for all."""
    seeds: Sequence[int]
    """Training seeds; for `evaluate`, none stands for every seed with cells."""
    budget: Budget | None = None
    """None for the dataset's default; for `evaluate`, for every budget with cells."""
    metrics: Sequence[str] = ()
    """What is measured; none, and the word 'default', stand for the dataset's own metrics."""
    again: bool = False
    """Whether complete cells are computed anew (`run`), or measured anew (`evaluate`)."""
    stale: Literal["keep", "rerun"] = "keep"
    """What becomes of complete cells that other code made."""
    on_collapse: Literal["keep", "refuse"] = "keep"
    """What becomes of a model of which a stage has collapsed: measured and marked, or a failure."""
    keep: int = 0
    """Samples of each condition that are kept on disk."""
    keep_format: Literal["safetensors", "png"] = "safetensors"
    precision: Precision | None = None
    """The arithmetic of all models, where it is not the recipe's."""
    settings: Sequence[str] = ()
    """'field=value' for the models, 'eval.field=value' for the protocol, 'MODEL.field=value' for one of several.
    Several values, 'field=1,2', make cells of each (`run`) or choose those with one of them (`evaluate`, `sample`)."""
    networks: Sequence[str] = ()
    """'modality=network', of all models; the dataset's own where none is named."""
    latents: Sequence[str] = ()
    """'modality=size' of its uni-modal latent, of all models."""
    missing: float = 0.0
    """The probability with which each modality of a training tuple is dropped, of all models alike."""
    zip: bool = False
    """Whether the first values of all settings belong together, the second ones, ...; else every combination."""
    data_root: Path
    results: Path
    runs: Path
    weights: Path | None = None
    """A folder of pretrained weights that metrics may need."""
    device: str = "auto"
    allow_partial: bool = False
    """Run on a dataset of which only a part of the files is there, under a name that says so."""

    def __post_init__(self) -> None:
        if self.keep_format != "safetensors" and not self.keep:
            raise ConfigError("--save-format says how samples are kept: say how many with --save-samples N")
        if not 0 <= self.missing < 1:
            raise ConfigError(
                f"--missing {self.missing:g} is no probability to drop modalities with: write one from 0, for whole "
                "tuples, to less than 1"
            )


def budget_named(name: str) -> Budget:
    """Raises ConfigError for an unknown budget."""
    for budget in BUDGETS:
        if budget == name:
            return budget
    raise ConfigError(f"there is no budget {name!r}; {near(name, BUDGETS)}")


def expanded(models: Sequence[str]) -> list[str]:
    """The words typed after --model, 'all' replaced by every installed model but those of other libraries
    ('library:Name'), which are asked for by name; PluginError for an unknown one."""
    every = [name for name in plugins.available(plugins.MODELS) if ":" not in name] if "all" in models else []
    names = list(dict.fromkeys(n for model in models for n in (every if model == "all" else [model])))
    for name in names:
        plugins.find(plugins.MODELS, name)
    return names


def split_settings(settings: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """The settings of each model, with those of the protocol ('eval.count=100') among them, in their order.

    Raises ConfigError for one of a model that is not named, and for one that a model has of its own and as all have.
    """
    own: dict[str, list[str]] = {name: [] for name in names}
    installed = plugins.available(plugins.MODELS)
    theirs: set[tuple[str, str]] = set()
    for setting in settings:
        owner = next((n for n in sorted(names, key=len, reverse=True) if setting.startswith(f"{n}.")), None)
        if owner is not None:
            own[owner].append(setting.removeprefix(f"{owner}."))
            theirs.add((owner, named(own[owner][-1])[0]))
        elif setting.partition(".")[0] in installed:
            raise ConfigError(f"{setting!r} is for a model that this run does not name; add --model to name it")
        else:
            for chosen in own.values():
                chosen.append(setting)
    for owner, path in sorted(theirs):
        if any(not s.startswith(f"{owner}.") and named(s)[0] == path for s in settings):
            raise ConfigError(
                f"{path} is set for all models and for {owner} alone: name the model of each, {owner}.{path}=..."
            )
    return own
