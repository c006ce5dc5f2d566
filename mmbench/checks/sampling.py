"""Rules that compare samples: what may change them (the generator, the condition), and what may not."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..modality import Task, subsets
from ..model import Model, draw
from ..seeding import generator
from ..tensors import load_tensors, save_tensors
from .generating import DRAW
from .rule import Checks, refuse
from .subject import Subject

__all__ = ["CHECKS"]

CHECKS = Checks()

EXACT = 1e-6
"""Two samples that must be equal may differ by this much (images in [0, 1]): float32 rounding."""
CUT = 0.01
"""How much a cut into batches may change samples, as a share of what another seed changes. Float32 rounding and
bfloat16 sampling give less than 1e-5; noise that depends on the batch gives about 1."""

Samples = Mapping[str, Tensor]


@CHECKS.add("random_state", "model_kept")
def check_same_seed(subject: Subject) -> None:
    """The same generator gives the same samples."""
    for task in subject.typical():
        one, two = subject.sample(task, 6), subject.sample(task, 6)
        for name in task.targets:
            worst = _largest(one[name], two[name])
            refuse(
                worst > EXACT,
                f"{task.name}: {name!r} differs by {worst:.3g} between two calls with the same generator; {DRAW} and "
                "keep nothing from one call to the next",
            )


@CHECKS.add("random_state", "model_kept")
def check_other_seed(subject: Subject) -> None:
    """Another generator gives other samples, and the samples of one batch differ from each other."""
    joint = subject.tasks()[0]
    one, two = subject.sample(joint, 6), subject.sample(joint, 6, seed=1)
    same = all(_largest(one[n], two[n]) == 0.0 for n in one)
    refuse(same, f"joint generation gives the same samples under another generator; {DRAW}, seeded by nothing else")
    alike = all(_largest(x, x.roll(1, 0)) == 0.0 for x in one.values())
    refuse(alike, f"all samples of a joint batch are the same; {DRAW}: one stream per sample")


@CHECKS.add("same_seed", "other_seed")
def check_batch_cut(subject: Subject) -> None:
    """The cut into batches does not change the samples."""
    count, cut = 20, 7
    for task in subject.typical():
        whole, parts = subject.sample(task, count), subject.sample(task, count, cut=cut)
        others = subject.sample(task, count, seed=1), subject.sample(task, count, roll=task.given)
        for name in task.targets:
            changed = _distance(whole[name], parts[name])
            scale = max(_distance(whole[name], other[name]) for other in others)
            refuse(
                changed > CUT * scale + EXACT,
                f"{task.name}: {name!r} changes by {changed:.3g} (r.m.s.) when {count} samples are made {cut} at a "
                f"time, and by {scale:.3g} under another seed or condition; {DRAW}, not torch.randn, and let no "
                "sample see the rest of its batch",
            )


@CHECKS.add("same_seed", "learning")
def check_conditions_used(subject: Subject) -> None:
    """Each given modality changes the images generated from it."""
    names = subject.spec.names
    for given in subsets(names)[:-1]:
        task = Task(given, tuple(n for n in names if n not in given))
        base = subject.sample(task, 16)
        for name in given:
            deaf = _unmoved(subject, task, base, subject.sample(task, 16, roll=(name,)))
            refuse(
                bool(deaf),
                f"{task.name}: other {name!r} items under the same generator leave {', '.join(deaf)} as it was; "
                "condition the samples on everything in `given`",
            )


def _unmoved(subject: Subject, task: Task, base: Samples, other: Samples) -> list[str]:
    """The images that are the same; a text is a series of likeliest tokens, which may well stay after so few steps."""
    images = [t for t in task.targets if not subject.spec.modality(t).is_text]
    return [t for t in images if _largest(base[t], other[t]) <= EXACT]


@CHECKS.add("same_seed")
def check_save_load(subject: Subject) -> None:
    """A model that is saved and loaded generates the same samples."""
    before = {task: subject.sample(task, 6) for task in subject.typical()}
    fresh = _loaded(subject)
    for task, expected in before.items():
        given, rng = subject.given(task.given, 6), generator(0, "check")
        found = draw(fresh, given, task.targets, count=6, generator=rng)
        worst = max(_largest(expected[n], found[n]) for n in task.targets)
        refuse(
            worst > EXACT,
            f"{task.name}: samples differ by {worst:.3g} after saving and loading; keep all that generate needs in "
            "parameters or persistent buffers (register_buffer)",
        )


def _loaded(subject: Subject) -> Model:
    """Another model with the tensors of the trained one, by way of a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_tensors(path, subject.trained.state_dict())
        fresh = subject.build(seed=1)
        fresh.load_state_dict(load_tensors(path)[0])
    return fresh


def _largest(a: Tensor, b: Tensor) -> float:
    """Largest absolute difference."""
    return float((a.double() - b.double()).abs().max())


def _distance(a: Tensor, b: Tensor) -> float:
    """Root mean square difference of images; share of different tokens of texts."""
    if not a.is_floating_point():
        return float((a != b).double().mean())
    return float((a - b).double().square().mean().sqrt())
