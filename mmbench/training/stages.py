"""The stages of a model, in order: each one loaded where it was trained before, else trained and kept.

A trained stage is an artefact. Its key holds all that decides its weights: the data, the modalities as models see
them, the stage's own settings and schedule, its first weights, the seed, the code, the keys of the stages that it
needs. So a sampler's setting retrains nothing, and models share the stages that agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..config import Schedule, digest, to_json
from ..data.dataset import Split
from ..errors import PluginError, ResultError, TrainingError
from ..model import Model, Stage
from ..precision import arithmetic
from ..progress import Progress
from ..store.artefacts import Artefact, Artefacts
from ..tensors import Made, once
from .changes import Changes, put, size, trained
from .checkpoint import Checkpoints
from .draws import PassDraws
from .incomplete import loss_of, prepared
from .loop import Course, Trainer

__all__ = ["Keeper", "StageRecord", "first_weights", "stage_trainer", "train"]

OnCollapse = Literal["keep", "refuse"]


@dataclass(kw_only=True)
class StageRecord(Course):
    """What is known of a stage's training."""

    skill: dict[str, float | None] = field(default_factory=dict)
    """What the stage says of itself on validation tuples; None where it is not finite."""
    collapsed: list[str] = field(default_factory=list)
    """Why it counts as collapsed, a sentence for each skill that is too small."""
    precision: str = ""
    """The arithmetic that it was trained in, 'float32' or 'bfloat16'."""
    artefact: str = ""
    """Where it is kept, 'stage/<key>'; '' if nowhere."""
    parameters: int = 0
    """Trained ones."""
    gflop: float | None = None
    """10^9 floating-point operations of the whole training; None where they were not counted."""


@dataclass(frozen=True, kw_only=True)
class Keeper:
    """Where trained stages are kept, and what identifies them beside their own settings."""

    artefacts: Artefacts
    identity: Mapping[str, Any]
    """Data, modalities and code: JSON data that goes into every key."""
    config: Mapping[str, Any]
    """The model's whole configuration, for stages that do not say what they depend on."""
    owner: str
    """In print: 'mld on Glyphs, seed 0'."""
    device: torch.device = torch.device("cpu")
    """Where it is trained: it decides the arithmetic where a schedule leaves that open."""
    may_train: bool = True
    """Whether a stage that is not there is trained; a ResultError if not."""

    def artefact(self, model: Model, stage: Stage, start: str, seed: int, needs: Mapping[str, str]) -> Artefact:
        """The artefact of a stage; `start` is a hash of its first weights, `needs` has the keys of earlier stages."""
        whole = stage.settings is None
        identity = {
            **self.identity,
            "stage": stage.name,
            "loss": _qualified(stage.loss),
            "prepare": _qualified(stage.prepare) if stage.prepare else None,
            "class": _qualified(type(model)) if whole else None,
            "settings": dict(self.config) if whole else dict(stage.settings or {}),
            "schedule": {**to_json(stage.schedule), "precision": _precision(stage.schedule, self.device)},
            "modalities of a batch": list(stage.modalities or ()),
            "start": start,
            "seed": seed,
            "needs": dict(needs),
        }
        return self.artefacts.of("stage", identity)

    def all(self, model: Model, stages: Sequence[Stage], seed: int) -> dict[str, Artefact]:
        """The artefacts of all stages of a model that nobody has trained yet."""
        starts = {stage.name: first_weights(stage.module) for stage in stages}
        found: dict[str, Artefact] = {}
        for stage in stages:
            needs = {name: found[name].key for name in (list(found) if stage.needs is None else stage.needs)}
            found[stage.name] = self.artefact(model, stage, starts[stage.name], seed, needs)
        return found


def train(
    model: Model,
    train_split: Split,
    validation: Split,
    *,
    seed: int,
    keeper: Keeper | None = None,
    progress: Progress | None = None,
    on_collapse: OnCollapse = "keep",
) -> dict[str, StageRecord]:
    """Train all stages of `model` in place, or load those that are kept; returns a record for each stage.

    With a `keeper`, a stage's state is saved every two minutes and on an interruption, and a later call goes on from
    it to the same result. Skills are taken on `validation`, never on test tuples.

    Raises TrainingError on a loss that is not finite and, with `on_collapse` 'refuse', on a stage that has collapsed;
    ResultError if a stage is not there and the keeper may not train it.
    """
    progress = progress or Progress()
    stages = list(model.stages())
    artefacts = keeper.all(model, stages, seed) if keeper else {}
    records: dict[str, StageRecord] = {}
    for stage in stages:
        work = partial(_train_stage, model, stage, train_split, validation, seed, progress)
        if keeper:
            records[stage.name] = _kept(model, stage, keeper, artefacts[stage.name], work, progress)
        else:
            records[stage.name] = work(None)[1]
        if on_collapse == "refuse" and records[stage.name].collapsed:
            raise TrainingError("; ".join(records[stage.name].collapsed))
    model.eval()
    return records


def first_weights(module: nn.Module) -> str:
    """A hash of a module's parameters as they are: names, shapes, and sums to four digits, so that it is the same on
    machines whose random numbers differ in the last bit. Of parameters without values (torch's meta device) only names
    and shapes count."""
    found: dict[str, list[Any]] = {}
    for name, p in module.named_parameters():
        values = p.detach().double()
        sums = [] if p.is_meta else [f"{values.sum().item():.3e}", f"{values.abs().sum().item():.3e}"]
        found[name] = [list(p.shape), *sums]
    return digest(found)


Tensors = Callable[[], Mapping[str, Tensor]]
Work = Callable[[Checkpoints | None], tuple[dict[str, Tensor], StageRecord]]


def _kept(
    model: Model, stage: Stage, keeper: Keeper, artefact: Artefact, work: Work, progress: Progress
) -> StageRecord:
    """The stage from its artefact, which is made where it is not there yet."""

    def make() -> Made:
        if not keeper.may_train:
            raise ResultError(
                f"there is no trained {stage.name} of {keeper.owner} under {artefact.root}; give the --runs folder of "
                "its training, or train it again with `mmbench run`"
            )
        tensors, record = work(checkpoints)
        return tensors, asdict(record)

    checkpoints = Checkpoints(artefact.folder, progress.say)
    title, parameters = f"{stage.name} of {keeper.owner}", dict(model.named_parameters())
    tensors, facts = once(artefact, make, title, progress, checkpoints.clear, finite=parameters)
    put(model, stage, tensors)
    return StageRecord(**{**facts, "artefact": artefact.name, "parameters": size(stage)})


def _train_stage(
    model: Model,
    stage: Stage,
    train_split: Split,
    validation: Split,
    seed: int,
    progress: Progress,
    checkpoints: Checkpoints | None,
) -> tuple[dict[str, Tensor], StageRecord]:
    """The tensors that the stage changed, and its record."""
    model.eval()
    live = Changes(model, stage)
    tuples = prepared(stage, train_split)
    trainer = stage_trainer(model, stage, tuples, seed, live, live.places)
    stage.module.train()
    course = trainer.run(checkpoints, progress)
    model.eval()
    record = StageRecord(
        **asdict(course),
        precision=_precision(stage.schedule, model.device),
        parameters=size(stage),
        gflop=trainer.gflop,
    )
    if stage.skill:
        _judge(stage, stage.skill(validation), record)
    return {name: tensor.detach().clone() for name, tensor in live().items()}, record


def stage_trainer(
    model: Model, stage: Stage, tuples: Split, seed: int, live: Tensors = dict, places: Tensors = dict
) -> Trainer:
    """The training of a stage on its own (prepared) tuples; `live` gives what its checkpoints keep, `places` what else
    they may have kept."""
    return Trainer(
        title=f"train {stage.name}",
        who=f"stage {stage.name!r}",
        parameters=trained(stage),
        schedule=stage.schedule,
        total=stage.schedule.total_steps(len(tuples)),
        draws=PassDraws(seed, stage.name, len(tuples), stage.schedule.batch_size, model.device),
        loss=loss_of(model, stage, tuples),
        live=live,
        places=places,
    )


def _judge(stage: Stage, skill: Mapping[str, float], record: StageRecord) -> None:
    """Record the skills, and which of them are less than the least (a NaN too)."""
    record.skill = {name: value if math.isfinite(value) else None for name, value in skill.items()}
    for name, least in stage.least.items():
        if name not in skill:
            raise PluginError(f"stage {stage.name!r}: `least` names {name!r}, which `skill` does not return")
        if not skill[name] >= least:
            record.collapsed.append(
                f"stage {stage.name!r} has collapsed: {name} {skill[name]:.3g} on validation tuples, {least:g} needed"
            )


def _precision(schedule: Schedule, device: torch.device) -> str:
    return str(arithmetic(schedule.precision, device)).removeprefix("torch.")


def _qualified(thing: Any) -> str:
    """'module:Class.method' of a class, function, bound method or partial."""
    while isinstance(thing, partial):
        thing = thing.func
    thing = getattr(thing, "__func__", thing)
    kind = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{kind.__module__}:{kind.__qualname__}"
