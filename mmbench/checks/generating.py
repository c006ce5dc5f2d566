"""Rules of one call of `generate`: what it returns, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..modality import Task
from ..model import Batch, Model
from ..seeding import generator
from .randomness import random_state_kept
from .rule import Checks, cause, refuse
from .subject import ContractError, Subject

__all__ = ["CHECKS", "DRAW"]

CHECKS = Checks()

DRAW = "draw noise with mmbench.seeding.Noise(generator, count, device)"


@CHECKS.add("losses")
def check_answers(subject: Subject) -> None:
    """`generate` gives the right names, shapes, dtypes and ranges for every split of the modalities."""
    cases = [(task, 5) for task in subject.tasks()] + [(subject.tasks()[0], 1)]
    for task, count in cases:
        try:
            subject.sample(task, count)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise ContractError(f"{task.name}, {count} samples: {cause(error)}") from error


@CHECKS.add("answers")
def check_random_state(subject: Subject) -> None:
    """`generate` leaves the global random state of torch, numpy and python as it was."""
    for task in subject.typical():
        with random_state_kept(f"generate ({task.name})", f"{DRAW} and seed nothing"):
            subject.sample(task, 3)


@CHECKS.add("answers")
def check_model_kept(subject: Subject) -> None:
    """`generate` leaves modes, parameters, buffers and the given items as they were."""
    advice = "leave train() and eval() to the harness and write to new tensors"
    for task in subject.typical():
        for training in (False, True):
            changed = _changed(subject, task, training)
            refuse(bool(changed), f"generate ({task.name}) changes {', '.join(changed[:3])}; {advice}")


def _changed(subject: Subject, task: Task, training: bool) -> list[str]:
    """What one call of `generate` changes; in training mode, where layers keep statistics, modes only."""
    model = subject.trained.train(training)
    given = subject.given(task.given, 3)
    before = _snapshot(model, given, tensors=not training)
    with torch.no_grad():
        model.generate(given, task.targets, count=3, generator=generator(0, "check"))
    return _differences(before, _snapshot(model, given, tensors=not training))


def _snapshot(model: Model, given: Batch, tensors: bool) -> dict[str, Any]:
    """Modes of all submodules; with `tensors`, also copies of everything else that sampling must leave alone."""
    found: dict[str, Any] = {f"the mode of {n or 'the model'}": m.training for n, m in model.named_modules()}
    if tensors:
        found |= {f"the given {n!r}": x.clone() for n, x in given.items()}
        found |= {f"buffer {n!r}": b.clone() for n, b in model.named_buffers()}
        for name, p in model.named_parameters():
            found |= {f"parameter {name!r}": p.detach().clone(), f"requires_grad of {name!r}": p.requires_grad}
    return found


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    def equal(key: str) -> bool:
        a, b = before.get(key), after.get(key)
        return torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a is b

    return [key for key in {**before, **after} if not equal(key)]
