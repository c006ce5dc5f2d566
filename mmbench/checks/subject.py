"""A model on a toy: built, trained for a few steps through the harness's own loop, and sampled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..config import Budget, Schedule, override
from ..data.dataset import Dataset, Split
from ..modality import DatasetSpec, Task, subsets
from ..model import Batch, Model, Stage, draw
from ..networks import Networks
from ..plugins import MODELS, load
from ..seeding import generator, seeded_init
from ..training import stage_trainer

__all__ = ["STEPS", "ContractError", "StageTrial", "Subject", "stage_loss"]

STEPS = 20
"""Optimiser steps of each stage."""


class ContractError(AssertionError):
    """A model breaks its contract; the message says where, and what to change."""


@dataclass
class StageTrial:
    """What a few steps of one stage showed."""

    stage: Stage
    train: Split
    """The stage's own training set."""
    before: float = math.nan
    """Its loss on one batch, mean over a few draws, with the parameters before and after the steps. Buffers are those
    of after in both, so that a warm-up counted in one does not move the goal."""
    after: float = math.nan
    gradients: dict[str, float] = field(default_factory=dict)
    """Parameter -> largest absolute gradient seen; NaN where one was not finite; absent where there was none."""

    def batch(self) -> dict[str, Tensor]:
        return self.train.gather(torch.arange(len(self.train)), self.stage.modalities)


@dataclass
class Subject:
    """A model on one toy, with what several checks share."""

    model: str | type[Model]
    data: Dataset

    @property
    def spec(self) -> DatasetSpec:
        return self.data.spec

    @cached_property
    def cls(self) -> type[Model]:
        return load(MODELS, self.model, Model) if isinstance(self.model, str) else self.model

    def config(self, budget: Budget = "smoke") -> Any:
        """The recipe, made small by the model's own `check_settings` (as after --set)."""
        settings = getattr(self.cls, "check_settings", ())
        return override(self.cls.recipe(self.spec, budget), settings)

    def build(self, budget: Budget = "smoke", seed: int = 0) -> Model:
        return self.build_from(self.config(budget), seed)

    def build_from(self, config: Any, seed: int = 0) -> Model:
        with seeded_init(seed):
            return self.cls.build(self.spec, config, Networks())

    @cached_property
    def trial(self) -> tuple[Model, dict[str, StageTrial]]:
        """A model trained for a few steps, and the record of each stage."""
        model = self.build()
        return model, {stage.name: _try_stage(model, stage, self.data.train) for stage in model.stages()}

    @property
    def trained(self) -> Model:
        return self.trial[0]

    def given(self, names: Iterable[str], count: int, roll: Iterable[str] = ()) -> dict[str, Tensor]:
        """Test items (count, *shape) of the named modalities; those in `roll` belong to the neighbouring tuples."""
        batch = self.data.test.gather(torch.arange(count))
        return {n: batch[n].roll(1, 0) if n in set(roll) else batch[n] for n in names}

    def sample(
        self, task: Task, count: int, *, seed: int = 0, cut: int | None = None, roll: Iterable[str] = ()
    ) -> dict[str, Tensor]:
        """Samples of the trained model, as the harness draws them."""
        given = self.given(task.given, count, roll)
        rng = generator(seed, "check")
        return draw(self.trained, given, task.targets, count=count, generator=rng, batch_size=cut)

    def tasks(self) -> list[Task]:
        """Joint generation; every task of the dataset; the rest from every subset; reconstructions."""
        names = self.spec.names
        rest = [Task(s, tuple(n for n in names if n not in s)) for s in subsets(names)[:-1]]
        again = [Task(s, names) for s in subsets(names)]
        return list(dict.fromkeys([*self.spec.tasks(), *rest, *again]))

    def typical(self) -> tuple[Task, ...]:
        """Joint generation, all others from the first modality, and a reconstruction of everything."""
        names = self.spec.names
        return Task((), names), Task(names[:1], names[1:]), Task(names, names)


def stage_loss(stage: Stage, train: Split, draws: int = 1) -> float:
    """A stage's loss on the whole of its training set, mean over a few draws that are always the same."""
    split = stage.prepare(train) if stage.prepare else train
    batch = split.gather(torch.arange(len(split)), stage.modalities)
    rngs = [generator(k, "check") for k in range(draws)]
    return sum(float(stage.loss(batch, rng)["loss"].detach()) for rng in rngs) / draws


def _try_stage(model: Model, stage: Stage, train: Split) -> StageTrial:
    """A few steps of a stage, through the harness's own step."""
    model.eval()
    tuples = stage.prepare(train) if stage.prepare else train
    brief = replace(stage, schedule=_brief(stage.schedule), loss=_checked_loss(stage))
    run, trial = stage_trainer(model, brief, tuples, seed=0), StageTrial(stage, tuples)
    first = _copied(run.parameters)
    stage.module.train()
    for step in range(STEPS):
        run.step(step)
        _note_gradients(trial.gradients, run.parameters)
    model.eval()
    trial.after, last = _mean_loss(trial), _copied(run.parameters)
    _put(run.parameters, first)
    trial.before = _mean_loss(trial)
    _put(run.parameters, last)
    return trial


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.detach().clone() for name, t in tensors.items()}


@torch.no_grad()
def _put(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        tensors[name].copy_(value)


def _brief(schedule: Schedule) -> Schedule:
    return replace(schedule, epochs=None, steps=STEPS, warmup=min(schedule.warmup, 4), decay="none", ema=None)


def _checked_loss(stage: Stage) -> Callable[[Batch, torch.Generator], dict[str, Tensor]]:
    """The stage's loss, with its answer checked at every step."""

    def loss(batch: Batch, rng: torch.Generator) -> dict[str, Tensor]:
        terms = stage.loss(batch, rng)
        _check_terms(f"stage {stage.name!r}", terms)
        return dict(terms)

    return loss


def _check_terms(where: str, terms: Any) -> None:
    if not isinstance(terms, Mapping) or "loss" not in terms:
        raise ContractError(f"{where}: loss must return a dict of named terms with the one to minimise as 'loss'")
    for name, value in terms.items():
        _check_term(f"{where}: the term {name!r}", value)
    if not terms["loss"].requires_grad:
        raise ContractError(f"{where}: 'loss' has no gradient; do not detach it")


def _check_term(where: str, value: Any) -> None:
    if not isinstance(value, Tensor) or value.ndim:
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ContractError(f"{where} must be a scalar tensor, got {got}; take the mean")
    if not torch.isfinite(value):
        raise ContractError(f"{where} is {float(value.detach())} (NaN or infinite) on tame data")


def _mean_loss(trial: StageTrial, draws: int = 8) -> float:
    """The loss on one batch, mean over a few draws; the same draws at every call."""
    rngs = (generator(k, "check") for k in range(draws))
    return sum(float(_checked_loss(trial.stage)(trial.batch(), rng)["loss"].detach()) for rng in rngs) / draws


def _note_gradients(seen: dict[str, float], parameters: Mapping[str, torch.nn.Parameter]) -> None:
    for name, p in parameters.items():
        if p.grad is not None:
            largest, before = float(p.grad.abs().max()), seen.get(name, 0.0)
            seen[name] = math.nan if math.isnan(before) or not math.isfinite(largest) else max(largest, before)
