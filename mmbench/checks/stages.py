"""Rules of `stages()`: names, modules, the parameters that each one trains, and what budgets may change."""

from __future__ import annotations

import math
from typing import Any

from ..config import BUDGETS, Budget
from ..model import Model
from .rule import Checks, refuse
from .subject import Subject, stage_loss

__all__ = ["CHECKS"]

CHECKS = Checks()


@CHECKS.add("build")
def check_stages(subject: Subject) -> None:
    """Stages have distinct names, a schedule, known modalities and something to train."""
    stages = list(subject.build().stages())
    refuse(not stages, "stages() is empty; return at least one Stage")
    names = [stage.name for stage in stages]
    refuse(not all(names), "a stage has no name; give it a word, such as 'autoencoder'")
    refuse(len(set(names)) < len(names), f"two stages have the same name: {', '.join(names)}; give each its own")
    for stage in stages:
        trainable = any(p.requires_grad for p in stage.module.parameters())
        refuse(not trainable, f"stage {stage.name!r} has no parameter to train; check its `module`")
        strange = set(stage.modalities or ()) - set(subject.spec.names)
        refuse(bool(strange), f"stage {stage.name!r} asks for modalities that do not exist: {sorted(strange)}")


@CHECKS.add("stages")
def check_parameters_in_one_stage(subject: Subject) -> None:
    """Each trainable parameter belongs to exactly one stage."""
    model = subject.build()
    owners = _owners(model)
    foreign = not set(owners) <= {id(p) for p in model.parameters()}
    advice = "would not be saved; assign its module to an attribute"
    refuse(foreign, f"a stage trains parameters that are not the model's and {advice}")
    for name, p in model.named_parameters():
        if p.requires_grad:
            _refuse_owners(f"parameter {name!r}", owners.get(id(p), []))


def _refuse_owners(where: str, stages: list[str]) -> None:
    advice = "put it in a stage's `module`, or freeze it with requires_grad_(False)"
    refuse(not stages, f"{where} is in no stage; {advice}")
    refuse(len(stages) > 1, f"{where} is trained by several stages ({', '.join(stages)}); keep stages apart")


def _owners(model: Model) -> dict[int, list[str]]:
    """Identity of a parameter -> the stages that train it."""
    owners: dict[int, list[str]] = {}
    for stage in model.stages():
        for p in stage.module.parameters():
            owners.setdefault(id(p), []).append(stage.name)
    return owners


@CHECKS.add("stages", "loss_draws")
def check_budgets(subject: Subject) -> None:
    """Budgets differ only in schedules and sampling: same stages, parameters and losses."""
    reference: dict[str, Any] = {}
    for budget in BUDGETS:
        for key, value in _objective(subject, budget).items():
            expected = reference.setdefault(key, value)
            refuse(
                not _close(value, expected),
                f"{key} is {value} at budget {budget!r} and {expected} at {BUDGETS[0]!r}; a budget may change "
                "schedules and sampling effort, never the architecture or the objective",
            )


def _close(value: Any, expected: Any) -> bool:
    return math.isclose(value, expected, rel_tol=1e-4) if isinstance(value, float) else value == expected


def _objective(subject: Subject, budget: Budget) -> dict[str, Any]:
    """What all budgets must share: stages, shapes of the parameters, and each stage's loss before any training."""
    model = subject.build(budget).eval()
    shapes = {n: tuple(t.shape) for n, t in model.state_dict().items()}
    stages = list(model.stages())
    found: dict[str, Any] = {"the list of stages": [s.name for s in stages], "the set of parameters": shapes}
    for stage in stages:
        found[f"the loss of stage {stage.name!r} before training"] = stage_loss(stage, subject.data.train)
    return found
