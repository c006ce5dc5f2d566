"""Rules of a stage's training: its loss, its draws, its gradients, what a few steps bring, and how it is judged."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from ..errors import TrainingError
from ..model import Model
from ..seeding import generator
from .randomness import random_state_kept
from .rule import Checks, refuse
from .subject import STEPS, ContractError, StageTrial, Subject

__all__ = ["CHECKS"]

CHECKS = Checks()


@CHECKS.add("stages")
def check_losses(subject: Subject) -> None:
    """Every stage's loss is a dict of finite scalars with 'loss', before and during a few steps."""
    _, trials = subject.trial
    assert trials


@CHECKS.add("losses")
def check_loss_draws(subject: Subject) -> None:
    """All random draws of a loss come from its generator, but for those of dropout layers, which the harness seeds."""
    model, trials = subject.trial
    for name, trial in trials.items():
        _train_without_dropout(trial.stage.module)
        one, two = _two_losses(model, trial, f"the loss of stage {name!r}")
        for term in one:
            _refuse_unequal(f"stage {name!r}: the term {term!r}", one[term], two.get(term, torch.tensor(math.nan)))


def _train_without_dropout(module: nn.Module) -> None:
    module.train()
    for layer in module.modules():
        if isinstance(layer, _DropoutNd):
            layer.eval()


def _two_losses(model: Model, trial: StageTrial, what: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The loss twice, on one batch and with the same draws."""
    batch, buffers = trial.batch(), {n: b.clone() for n, b in model.named_buffers()}
    advice = "draw with generator=generator, and for dropout use a layer such as nn.Dropout"
    with random_state_kept(what, advice):
        one = trial.stage.loss(batch, generator(0, "check"))
    for n, b in model.named_buffers():  # a counter of steps may well move
        b.copy_(buffers[n])
    return one, trial.stage.loss(batch, generator(0, "check"))


def _refuse_unequal(what: str, one: Tensor, two: Tensor) -> None:
    a, b = float(one.detach()), float(two.detach())
    refuse(
        not math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-7),
        f"{what} is {a:.6g} and then {b:.6g} under the same generator; keep no random state of your own and draw with "
        "generator=generator",
    )


@CHECKS.add("losses", "parameters_in_one_stage")
def check_gradients(subject: Subject) -> None:
    """Each trainable parameter gets a finite gradient, other than 0, within a few steps."""
    for name, trial in subject.trial[1].items():
        for parameter, p in trial.stage.module.named_parameters():
            if p.requires_grad:
                _refuse_gradient(f"stage {name!r}: parameter {parameter!r}", trial.gradients.get(parameter))


def _refuse_gradient(where: str, largest: float | None) -> None:
    refuse(largest is None, f"{where} never gets a gradient; use it in the loss or freeze it")
    refuse(largest == 0.0, f"{where} has gradient 0 at every step; does the loss depend on it?")
    refuse(math.isnan(largest or 0.0), f"{where} gets a gradient that is not finite; bound exp, log and divisions")


@CHECKS.add("loss_draws")
def check_learning(subject: Subject) -> None:
    """A few steps lower the loss of every stage."""
    for name, trial in subject.trial[1].items():
        refuse(
            not trial.after < trial.before,
            f"stage {name!r}: {STEPS} steps at learning rate {trial.stage.schedule.lr:g} take the loss from "
            f"{trial.before:.6g} to {trial.after:.6g}, no lower; check its sign, its gradient and the learning rate",
        )


@CHECKS.add("losses")
def check_skill(subject: Subject) -> None:
    """A stage's `skill` returns finite numbers by name; what a collapse means is not the model's matter."""
    for name, trial in subject.trial[1].items():
        found = _skill(subject, trial)
        good = isinstance(found, Mapping) and all(isinstance(v, float) and math.isfinite(v) for v in found.values())
        refuse(not good, f"stage {name!r}: skill must return a dict of finite floats, got {found!r}")


def _skill(subject: Subject, trial: StageTrial) -> Mapping[str, float]:
    """What the stage says of itself after a few steps; nothing where it has no `skill`."""
    stage = trial.stage
    try:
        return stage.skill(subject.data.test) if stage.skill else {}
    except TrainingError as error:
        advice = "return the numbers whatever they are, with the least of a sound stage in `least`"
        raise ContractError(f"stage {stage.name!r}: skill raises TrainingError ({error}); {advice}") from error


@CHECKS.add("skill")
def check_least(subject: Subject) -> None:
    """`least` gives finite values of numbers that `skill` returns."""
    for name, trial in subject.trial[1].items():
        least, found = trial.stage.least, _skill(subject, trial) if trial.stage.least else {}
        strange = ", ".join(repr(key) for key in least if key not in found)
        refuse(bool(strange), f"stage {name!r}: least names {strange}, skill returns {sorted(found) or 'nothing'}")
        infinite = [key for key, value in least.items() if not math.isfinite(value)]
        refuse(bool(infinite), f"stage {name!r}: least of {', '.join(infinite)} is not a finite number")
