"""The rules of the contract, one small function each, that raises ContractError with what to change."""

from __future__ import annotations

import dataclasses
import math
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.dropout import _DropoutNd

from ..config import BUDGETS, Budget, canonical, digest, from_json, to_json
from ..errors import MmbenchError, TrainingError
from ..modality import Task, subsets
from ..model import Batch, Model, draw
from ..seeding import generator
from ..training import load_tensors, save_tensors
from .randomness import random_state_kept
from .subject import STEPS, ContractError, Subject

__all__ = ["CHECKS", "Check", "cause"]

EXACT = 1e-6
"""Two samples that must be equal may differ by this much (images in [0, 1]): float32 rounding."""
CUT = 0.01
"""How much a cut into batches may change samples, as a share of what another seed changes. Float32 rounding and
bfloat16 sampling give less than 1e-5; noise that depends on the batch gives about 1."""
DRAW = "draw noise with mmbench.seeding.Noise(generator, count, device)"


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of the contract."""

    name: str
    """The word used in `known_failures`, in test ids and on the command line."""
    title: str
    """The rule as a sentence."""
    function: Callable[[Subject], None]
    needs: tuple[str, ...]
    """Checks that must pass before this one says anything."""


CHECKS: dict[str, Check] = {}
"""All checks by name, in the order in which they are run."""


def _check(*needs: str) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    def register(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
        name = function.__name__.removeprefix("check_")
        CHECKS[name] = Check(name, (function.__doc__ or name).splitlines()[0].rstrip("."), function, needs)
        return function

    return register


def _refuse(condition: bool, message: str) -> None:
    if condition:
        raise ContractError(message)


# ---------------------------------------------------------------- configuration and construction


@_check()
def check_class(subject: Subject) -> None:
    """The class is a complete `mmbench.model.Model` with a frozen dataclass as its `Config`."""
    cls = subject.cls
    _refuse(not issubclass(cls, Model), f"{cls.__name__} must derive from mmbench.model.Model")
    lacking = sorted(getattr(cls, "__abstractmethods__", ()))
    _refuse(bool(lacking), f"{cls.__name__} lacks {', '.join(lacking)}")
    config = getattr(cls, "Config", None)
    frozen = dataclasses.is_dataclass(config) and getattr(config, "__dataclass_params__").frozen  # noqa: B009
    _refuse(not frozen, f"{cls.__name__}.Config must be a class decorated with @dataclass(frozen=True, kw_only=True)")
    stale = sorted(set(cls.known_failures) - set(CHECKS))
    _refuse(
        bool(stale), f"known_failures names checks that do not exist: {', '.join(stale)}; see mmbench.checks.CHECKS"
    )


@_check("class")
def check_recipes(subject: Subject) -> None:
    """There is a recipe for every budget."""
    for budget in BUDGETS:
        config = subject.cls.recipe(subject.spec, budget)
        expected, got = subject.cls.Config.__name__, type(config).__name__
        _refuse(got != expected, f"recipe(dataset, {budget!r}) must return a {expected}, got {got}")


@_check("recipes")
def check_config_json(subject: Subject) -> None:
    """A configuration survives JSON unchanged, and so does its hash."""
    for budget in BUDGETS:
        config = subject.cls.recipe(subject.spec, budget)
        data = to_json(config)
        again = from_json(type(config), data)
        advice = "use numbers, words (Literal), tuples and frozen dataclasses as fields, with exact type hints"
        _refuse(again != config, f"the {budget!r} recipe comes back from JSON as {again}, was {config}; {advice}")
        same = digest(to_json(again)) == digest(data) and canonical(to_json(again)) == canonical(data)
        _refuse(not same, f"the {budget!r} recipe has another hash after a round trip through JSON; {advice}")


@_check("recipes")
def check_build(subject: Subject) -> None:
    """The model builds on two and on three modalities, and its seed alone decides its parameters."""
    one, two = subject.build(), subject.build()
    known = getattr(one, "dataset", None)
    _refuse(known != subject.spec, "build must set self.dataset to the DatasetSpec that it was given")
    _refuse(not any(p.requires_grad for p in one.parameters()), "the model has no parameter to train")
    for (name, a), (_, b) in zip(one.named_parameters(), two.named_parameters(), strict=True):
        _refuse(
            not torch.equal(a, b),
            f"two builds under one seed differ in {name!r}; initialise with torch's global generator",
        )


@_check("build")
def check_stages(subject: Subject) -> None:
    """Stages have distinct names, a schedule, known modalities and something to train."""
    stages = list(subject.build().stages())
    _refuse(not stages, "stages() is empty; return at least one Stage")
    names = [stage.name for stage in stages]
    _refuse(len(set(names)) < len(names), f"two stages have the same name: {', '.join(names)}; give each its own")
    for stage in stages:
        trainable = any(p.requires_grad for p in stage.module.parameters())
        _refuse(not trainable, f"stage {stage.name!r} has no parameter to train; check its `module`")
        strange = set(stage.modalities or ()) - set(subject.spec.names)
        _refuse(bool(strange), f"stage {stage.name!r} asks for modalities that do not exist: {sorted(strange)}")


@_check("stages")
def check_parameters_in_one_stage(subject: Subject) -> None:
    """Each trainable parameter belongs to exactly one stage."""
    model = subject.build()
    owners: dict[int, list[str]] = {}
    for stage in model.stages():
        for p in stage.module.parameters():
            owners.setdefault(id(p), []).append(stage.name)
    own = {id(p) for p in model.parameters()}
    _refuse(
        not set(owners) <= own,
        "a stage trains parameters that are not the model's and would not be saved; assign its module to an attribute",
    )
    for name, p in model.named_parameters():
        stages = owners.get(id(p), []) if p.requires_grad else [""]
        _refuse(
            not stages,
            f"parameter {name!r} is in no stage; put it in a stage's `module`, or freeze it with requires_grad_(False)",
        )
        _refuse(
            len(stages) > 1,
            f"parameter {name!r} is trained by several stages ({', '.join(stages)}); keep stages apart",
        )


@_check("stages", "loss_draws")
def check_budgets(subject: Subject) -> None:
    """Budgets differ only in schedules and sampling: same stages, parameters and losses."""
    reference: dict[str, Any] = {}
    for budget in BUDGETS:
        found = _objective(subject, budget)
        for key, value in found.items():
            expected = reference.setdefault(key, value)
            close = math.isclose(value, expected, rel_tol=1e-4) if isinstance(value, float) else value == expected
            _refuse(
                not close,
                f"{key} is {value} at budget {budget!r} and {expected} at {BUDGETS[0]!r}; a budget may change "
                "schedules and sampling effort, never the architecture or the objective",
            )


def _objective(subject: Subject, budget: Budget) -> dict[str, Any]:
    """What all budgets must share: stages, shapes of the parameters, and each stage's loss before any training."""
    model = subject.build(budget).eval()
    shapes = {n: tuple(t.shape) for n, t in model.state_dict().items()}
    stages = list(model.stages())
    found: dict[str, Any] = {"the list of stages": [s.name for s in stages], "the set of parameters": shapes}
    for stage in stages:
        train = stage.prepare(subject.data.train) if stage.prepare else subject.data.train
        terms = stage.loss(train.gather(torch.arange(len(train)), stage.modalities), generator(0, "check"))
        found[f"the loss of stage {stage.name!r} before training"] = float(terms["loss"].detach())
    return found


# ---------------------------------------------------------------- training


@_check("stages")
def check_losses(subject: Subject) -> None:
    """Every stage's loss is a dict of finite scalars with 'loss', before and during a few steps."""
    _, trials = subject.trial
    assert trials


@_check("losses")
def check_loss_draws(subject: Subject) -> None:
    """All random draws of a loss come from its generator, but for those of dropout layers, which the harness seeds."""
    model, trials = subject.trial
    for name, trial in trials.items():
        trial.stage.module.train()
        for layer in trial.stage.module.modules():
            if isinstance(layer, _DropoutNd):
                layer.eval()
        batch, buffers = trial.batch(), {n: b.clone() for n, b in model.named_buffers()}
        advice = "draw with generator=generator, and for dropout use a layer such as nn.Dropout"
        with random_state_kept(f"the loss of stage {name!r}", advice):
            one = trial.stage.loss(batch, generator(0, "check"))
        for n, b in model.named_buffers():  # a counter of steps may well move
            b.copy_(buffers[n])
        two = trial.stage.loss(batch, generator(0, "check"))
        for term in one:
            a, b = float(one[term].detach()), float(two.get(term, torch.tensor(math.nan)).detach())
            _refuse(
                not math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-7),
                f"stage {name!r}: the term {term!r} is {a:.6g} and then {b:.6g} under the same generator; keep no "
                "random state of your own and draw with generator=generator",
            )


@_check("losses", "parameters_in_one_stage")
def check_gradients(subject: Subject) -> None:
    """Each trainable parameter gets a finite gradient, other than 0, within a few steps."""
    for name, trial in subject.trial[1].items():
        for parameter, p in trial.stage.module.named_parameters():
            if p.requires_grad:
                _refuse_gradient(f"stage {name!r}: parameter {parameter!r}", trial.gradients.get(parameter))


def _refuse_gradient(where: str, largest: float | None) -> None:
    _refuse(largest is None, f"{where} never gets a gradient; use it in the loss or freeze it")
    _refuse(largest == 0.0, f"{where} has gradient 0 at every step; does the loss depend on it?")
    _refuse(math.isnan(largest or 0.0), f"{where} gets a gradient that is not finite; bound exp, log and divisions")


@_check("loss_draws")
def check_learning(subject: Subject) -> None:
    """A few steps lower the loss of every stage."""
    for name, trial in subject.trial[1].items():
        _refuse(
            not trial.after < trial.before,
            f"stage {name!r}: {STEPS} steps at learning rate {trial.stage.schedule.lr:g} take the loss from "
            f"{trial.before:.6g} to {trial.after:.6g}, no lower; check its sign, its gradient and the learning rate",
        )


@_check("losses")
def check_skill(subject: Subject) -> None:
    """A stage's `skill` returns finite numbers by name, or raises TrainingError."""
    for name, trial in subject.trial[1].items():
        if trial.stage.skill is None:
            continue
        try:
            found = trial.stage.skill(subject.data.test)
        except TrainingError:  # after so few steps a collapse is no fault
            continue
        good = isinstance(found, Mapping) and all(isinstance(v, float) and math.isfinite(v) for v in found.values())
        _refuse(not good, f"stage {name!r}: skill must return a dict of finite floats, got {found!r}")


# ---------------------------------------------------------------- generation


@_check("losses")
def check_answers(subject: Subject) -> None:
    """`generate` gives the right names, shapes, dtypes and ranges for every split of the modalities."""
    cases = [(task, 5) for task in subject.tasks()] + [(subject.tasks()[0], 1)]
    for task, count in cases:
        try:
            subject.sample(task, count)
        except Exception as error:
            raise ContractError(f"{task.name}, {count} samples: {cause(error)}") from error


@_check("answers")
def check_random_state(subject: Subject) -> None:
    """`generate` leaves the global random state of torch, numpy and python as it was."""
    for task in _typical(subject):
        with random_state_kept(f"generate ({task.name})", f"{DRAW} and seed nothing"):
            subject.sample(task, 3)


@_check("answers")
def check_model_kept(subject: Subject) -> None:
    """`generate` leaves modes, parameters, buffers and the given items as they were."""
    model = subject.trained
    for task in _typical(subject):
        for training in (False, True):
            model.train(training)
            given = subject.given(task.given, 3)
            before = _snapshot(model, given, tensors=not training)
            with torch.no_grad():
                model.generate(given, task.targets, count=3, generator=generator(0, "check"))
            changed = _differences(before, _snapshot(model, given, tensors=not training))
            _refuse(
                bool(changed),
                f"generate ({task.name}) changes {', '.join(changed[:3])}; leave train() and eval() to the harness and "
                "write to new tensors",
            )


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


@_check("random_state", "model_kept")
def check_same_seed(subject: Subject) -> None:
    """The same generator gives the same samples."""
    for task in _typical(subject):
        one, two = subject.sample(task, 6), subject.sample(task, 6)
        for name in task.targets:
            worst = _largest(one[name], two[name])
            _refuse(
                worst > EXACT,
                f"{task.name}: {name!r} differs by {worst:.3g} between two calls with the same generator; {DRAW} and "
                "keep nothing from one call to the next",
            )


@_check("random_state", "model_kept")
def check_other_seed(subject: Subject) -> None:
    """Another generator gives other samples, and the samples of one batch differ from each other."""
    joint = subject.tasks()[0]
    one, two = subject.sample(joint, 6), subject.sample(joint, 6, seed=1)
    _refuse(
        all(_largest(one[n], two[n]) == 0.0 for n in one),
        f"joint generation gives the same samples under another generator; {DRAW}, seeded by nothing else",
    )
    _refuse(
        all(_largest(x, x.roll(1, 0)) == 0.0 for x in one.values()),
        f"all samples of a joint batch are the same; {DRAW}: one stream per sample",
    )


@_check("same_seed", "other_seed")
def check_batch_cut(subject: Subject) -> None:
    """The cut into batches does not change the samples."""
    count, cut = 20, 7
    for task in _typical(subject):
        whole, parts = subject.sample(task, count), subject.sample(task, count, cut=cut)
        others = subject.sample(task, count, seed=1), subject.sample(task, count, roll=task.given)
        for name in task.targets:
            changed = _distance(whole[name], parts[name])
            scale = max(_distance(whole[name], other[name]) for other in others)
            _refuse(
                changed > CUT * scale + EXACT,
                f"{task.name}: {name!r} changes by {changed:.3g} (r.m.s.) when {count} samples are made {cut} at a "
                f"time, and by {scale:.3g} under another seed or condition; {DRAW}, not torch.randn, and let no "
                "sample see the rest of its batch",
            )


@_check("same_seed", "learning")
def check_conditions_used(subject: Subject) -> None:
    """Each given modality changes the images generated from it."""
    names = subject.spec.names
    for given in subsets(names)[:-1]:
        task = Task(given, tuple(n for n in names if n not in given))
        base = subject.sample(task, 16)
        for name in given:
            other = subject.sample(task, 16, roll=(name,))
            # a text is a series of likeliest tokens, which may well stay the same after so few steps
            images = [t for t in task.targets if not subject.spec.modality(t).is_text]
            deaf = [t for t in images if _largest(base[t], other[t]) <= EXACT]
            _refuse(
                bool(deaf),
                f"{task.name}: other {name!r} items under the same generator leave {', '.join(deaf)} as it was; "
                "condition the samples on everything in `given`",
            )


@_check("same_seed")
def check_save_load(subject: Subject) -> None:
    """A model that is saved and loaded generates the same samples."""
    model = subject.trained
    before = {task: subject.sample(task, 6) for task in _typical(subject)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_tensors(path, model.state_dict())
        fresh = subject.build(seed=1)
        fresh.load_state_dict(load_tensors(path)[0])
    for task, expected in before.items():
        given = subject.given(task.given, 6)
        found = draw(fresh, given, task.targets, count=6, generator=generator(0, "check"))
        worst = max(_largest(expected[n], found[n]) for n in task.targets)
        _refuse(
            worst > EXACT,
            f"{task.name}: samples differ by {worst:.3g} after saving and loading; keep all that generate needs in "
            "parameters or persistent buffers (register_buffer)",
        )


def _typical(subject: Subject) -> tuple[Task, ...]:
    """Joint generation, all others from the first modality, and a reconstruction of everything."""
    names = subject.spec.names
    return Task((), names), Task(names[:1], names[1:]), Task(names, names)


def _largest(a: Tensor, b: Tensor) -> float:
    """Largest absolute difference."""
    return float((a.double() - b.double()).abs().max())


def _distance(a: Tensor, b: Tensor) -> float:
    """Root mean square difference of images; share of different tokens of texts."""
    if not a.is_floating_point():
        return float((a != b).double().mean())
    return float((a - b).double().square().mean().sqrt())


def cause(error: Exception) -> str:
    """The message of our own errors; otherwise also the kind of error and the line that raised it."""
    if isinstance(error, (ContractError, MmbenchError)):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    text = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {text} ({Path(frame.filename).name}, line {frame.lineno})"
