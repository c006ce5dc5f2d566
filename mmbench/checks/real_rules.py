"""Rules of a model on the data that it is meant for: it is built on their spec, trained for two steps, and sampled."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from ..config import Schedule
from ..data.declared import check_name, check_texts
from ..modality import Task
from ..model import Model, draw
from ..networks import Networks
from ..networks.fitting import refuse_misfits
from ..plugins import MODELS, load
from ..seeding import generator, seeded_init
from ..training import stage_trainer
from .dataset_subject import DatasetSubject
from .rule import Checks, refuse

__all__ = ["REAL_CHECKS", "RealSubject"]

REAL_CHECKS = Checks()
STEPS, SAMPLES, BATCH = 2, 4, 16


@dataclass
class RealSubject:
    """A model on a dataset."""

    model: str | type[Model]
    source: DatasetSubject

    @cached_property
    def cls(self) -> type[Model]:
        return load(MODELS, self.model, Model) if isinstance(self.model, str) else self.model

    @cached_property
    def built(self) -> Model:
        spec = self.source.spec
        with seeded_init(0):
            return self.cls.build(spec, self.cls.recipe(spec, "smoke"), Networks())

    def tasks(self) -> list[Task]:
        """Joint generation, then what is not given from each modality alone and from all but one."""
        names = self.source.spec.names
        subsets = dict.fromkeys([*((n,) for n in names), *(tuple(o for o in names if o != n) for n in names)])
        return [Task((), names), *(Task(s, tuple(n for n in names if n not in s)) for s in subsets)]


@REAL_CHECKS.add()
def check_data(subject: RealSubject) -> str:
    """The dataset can be loaded."""
    first, typed = subject.source.first, subject.source.typed
    if first.error:
        raise first.error
    check_name(subject.source.spec, typed)
    check_texts(subject.source.spec)
    data = subject.source.data
    return f"{data.spec.title}: {len(data.train):,} training tuples of {', '.join(data.spec.names)}"


@REAL_CHECKS.add("data")
def check_networks(subject: RealSubject) -> None:
    """The network of every modality fits it."""
    refuse_misfits(subject.source.spec.modalities)


@REAL_CHECKS.add("networks")
def check_fits(subject: RealSubject) -> None:
    """The model does not refuse such data."""
    reason = subject.cls.unfit(subject.source.spec)
    refuse(bool(reason), f"the model refuses it: {reason}")


@REAL_CHECKS.add("fits")
def check_build(subject: RealSubject) -> str:
    """It is built on the real spec."""
    return f"{sum(p.numel() for p in subject.built.parameters()):,} parameters"


@REAL_CHECKS.add("build")
def check_training(subject: RealSubject) -> str:
    """Each of its stages takes two steps, with a finite loss."""
    model, train, told = subject.built, subject.source.few.train, []
    for stage in model.stages():
        model.eval()
        tuples = stage.prepare(train) if stage.prepare else train
        brief = Schedule(steps=STEPS, batch_size=min(BATCH, len(tuples)), lr=stage.schedule.lr)
        run = stage_trainer(model, replace(stage, schedule=brief), tuples, seed=0)
        stage.module.train()
        for step in range(STEPS):
            run.step(step)
        model.eval()
        told.append(f"{stage.name} {_loss(model, stage.name, train):.4g}")
    return f"losses after {STEPS} steps: {', '.join(told)}"


@torch.no_grad()
def _loss(model: Model, name: str, train: object) -> float:
    """The loss of a stage on a batch."""
    stage = next(stage for stage in model.stages() if stage.name == name)
    tuples = stage.prepare(train) if stage.prepare else train  # type: ignore[arg-type]
    batch = tuples.gather(torch.arange(min(BATCH, len(tuples))), stage.modalities)  # type: ignore[attr-defined, arg-type]
    value = float(stage.loss(batch, generator(0, "check"))["loss"])
    refuse(
        not math.isfinite(value), f"the loss of stage {name!r} is {value} after {STEPS} steps: look at the data's range"
    )
    return value


@REAL_CHECKS.add("training")
def check_samples(subject: RealSubject) -> str:
    """It generates every modality, alone and given others."""
    test, tasks = subject.source.few.test, subject.tasks()
    count = min(SAMPLES, len(test))
    for task in tasks:
        given = test.gather(torch.arange(count), task.given) if task.given else {}
        draw(subject.built, given, task.targets, count=count, generator=generator(0, "check", task.name))
    return ", ".join(task.name for task in tasks)
