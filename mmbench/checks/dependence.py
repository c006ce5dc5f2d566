"""Rules of what a stage says its training depends on: `settings` and `needs`, by which models share trained stages."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch

from ..config import digest, from_json, to_json
from ..data.dataset import Split
from ..model import Model, Stage
from ..seeding import seeded_globally
from .rule import Checks, refuse
from .subject import Subject, stage_loss

__all__ = ["CHECKS"]

CHECKS = Checks()

ROWS, DRAWS = 16, 4
"""Tuples that a loss is taken on, and how often: enough to tell equal from other."""

Path = tuple[str | int, ...]


@CHECKS.add("losses")
def check_settings(subject: Subject) -> None:
    """A stage's `settings` are plain JSON data that the configuration alone decides."""
    first = subject.build()
    told = {stage.name: deepcopy(stage.settings) for stage in first.stages()}
    for name, settings in told.items():
        _refuse_no_json(f"stage {name!r}", settings)
    cases = {"asked again": first, "under another seed": subject.build(seed=1), "after training": subject.trained}
    for when, model in cases.items():
        for stage in model.stages():
            was, now = told.get(stage.name), stage.settings
            refuse(was != now, f"stage {stage.name!r}: settings are {now}, {when}, and were {was}; copy the config's")


def _refuse_no_json(where: str, settings: Any) -> None:
    good = settings is None or (isinstance(settings, dict) and _is_json(settings))
    advice = "finite numbers, words, lists and dicts by word, such as parts of mmbench.config.to_json(config)"
    refuse(not good, f"{where}: settings must be a dict of plain JSON data ({advice}), got {settings!r}")


def _is_json(value: Any) -> bool:
    """Whether a value comes back from JSON as it was."""
    try:
        return json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError):
        return False


@CHECKS.add("stages")
def check_needs(subject: Subject) -> None:
    """A stage's `needs` is a tuple of names of earlier stages."""
    earlier: list[str] = []
    for stage in subject.build().stages():
        needs = stage.needs or ()
        refuse(isinstance(needs, str), f"stage {stage.name!r}: needs must be a tuple of names, got {needs!r}")
        strange = ", ".join(repr(name) for name in needs if name not in earlier)
        refuse(bool(strange), f"stage {stage.name!r} needs {strange}; the stages before it are {earlier}")
        earlier.append(stage.name)


@CHECKS.add("settings", "needs", "loss_draws")
def check_settings_complete(subject: Subject) -> None:
    """A stage's loss before training depends on no number of the configuration that it does not tell.

    Told are its settings, schedule and first weights, and those of the stages that it needs. Each number of the
    configuration is changed in turn. Says nothing of numbers that act only later, nor where all settings are None.
    """
    config, train = subject.config(), _few(subject)
    base = subject.build()
    if all(stage.settings is None for stage in base.stages()):
        return
    told, losses = _told(base, config), _losses(base, train)
    for path, value in _numbers(to_json(config)):
        for name, loss in _varied(subject, config, path, _others(value), told).items():
            refuse(
                not _equal(losses[name], loss),
                f"stage {name!r}: {'.'.join(map(str, path))} changes its loss, but neither its settings, schedule and "
                "first weights nor those of the stages that it needs; name it in `settings`",
            )


def _varied(
    subject: Subject, config: Any, path: Path, values: Sequence[Any], told: Mapping[str, str]
) -> dict[str, float]:
    """The losses of the stages that tell the same as before, with the first of these values that the model takes."""
    for value in values:
        try:
            other = from_json(type(config), _replaced(to_json(config), path, value))
            model = subject.build_from(other)
            now = _told(model, other)
            silent = [name for name in told if now.get(name) == told[name]]
            return _losses(model, _few(subject), silent)
        except (Exception, SystemExit):  # a value that this model refuses
            continue
    return {}


def _told(model: Model, config: Any) -> dict[str, str]:
    """Stage -> hash of all that it says it depends on, by way of the stages that it needs too."""
    told: dict[str, str] = {}
    for stage in model.stages():
        needs = list(told) if stage.needs is None else stage.needs
        settings = to_json(config) if stage.settings is None else stage.settings
        told[stage.name] = digest([settings, to_json(stage.schedule), _weights(stage), [told[n] for n in needs]])
    return told


def _weights(stage: Stage) -> str:
    """Hash of the parameters and buffers of a stage's module."""
    found = hashlib.sha256()
    for name, tensor in stage.module.state_dict().items():
        found.update(f"{name} {tuple(tensor.shape)}".encode())
        found.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _numbers(data: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """(path, value) of every number in JSON data."""
    if isinstance(data, int | float):
        yield path, data
    elif isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _numbers(value, (*path, key))


def _others(value: Any) -> list[Any]:
    """Other values to try: a fraction stays one, a number that is divided may be doubled."""
    if isinstance(value, bool):
        return [not value]
    return [value + 1, 2 * value, value - 1] if isinstance(value, int) else [value / 8 if value else 0.5, 2 * value]


def _replaced(data: Any, path: Path, value: Any) -> Any:
    node = data
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return data


@CHECKS.add("needs", "parameters_in_one_stage", "loss_draws")
def check_needs_complete(subject: Subject) -> None:
    """A stage's loss depends on the weights of no earlier stage that it does not need."""
    stages = list(subject.build().stages())
    base: dict[str, float] = {}
    for number, stage in enumerate(stages):
        free = _free(stages[: number + 1])
        if not free:
            continue
        base = base or _losses(subject.build(), _few(subject))
        found = _losses(_moved(subject.build(), free), _few(subject))
        refuse(
            not _equal(base[stage.name], found[stage.name]),
            f"stage {stage.name!r}: its loss depends on the weights of {' or '.join(free)}; name those in `needs`",
        )


def _free(stages: Sequence[Stage]) -> list[str]:
    """The stages before the last one that it says it does not need, nor does any that it needs."""
    needed = {stages[-1].name}
    for number in reversed(range(len(stages))):
        stage, earlier = stages[number], [s.name for s in stages[:number]]
        if stage.name in needed:
            needed.update(earlier if stage.needs is None else stage.needs)
    return [stage.name for stage in stages if stage.name not in needed]


@torch.no_grad()
def _moved(model: Model, names: Sequence[str]) -> Model:
    """The model with other weights in the stages of these names."""
    for stage in model.stages():
        if stage.name in names:
            for p in stage.module.parameters():
                p.mul_(0.9).add_(0.1)
    return model


def _losses(model: Model, train: Split, names: Collection[str] | None = None) -> dict[str, float]:
    """The loss of all stages, or of these, on a few tuples as in training, always with the same draws."""
    found: dict[str, float] = {}
    for stage in model.stages():
        if names is None or stage.name in names:
            model.eval()
            stage.module.train()
            with seeded_globally(0):
                found[stage.name] = stage_loss(stage, train, DRAWS)
    return found


def _few(subject: Subject) -> Split:
    return subject.data.train.take(torch.arange(ROWS))


def _equal(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6)
