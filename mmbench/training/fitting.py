"""Whether the tensors of a checkpoint, and what it says of its course, are a training's own: nothing else is put into
a model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "MOMENTS",
    "SCALAR",
    "by_prefix",
    "infinities",
    "laid_out",
    "misfit",
    "named",
    "not_finite",
    "window",
    "wrong_course",
]

MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What Adam keeps of each parameter that has had a gradient: all three or none."""
SCALAR = torch.zeros(())
Tensors = Mapping[str, Tensor]


def misfit(tensors: Tensors, needed: Tensors, possible: Tensors, infinite: Tensors) -> str:
    """Why tensors are none of a training's, in some words; '' where they are.

    Arguments:
        needed: tensors that must be there, in these shapes and types, by name.
        possible: further ones that may be there.
        infinite: see `not_finite`.
    """
    return next(_faults(tensors, needed, {**possible, **needed}), "") or not_finite(tensors, infinite)


def infinities(buffers: Tensors) -> dict[str, Tensor]:
    """Where tensors hold an infinity before the training, as masks do; those that hold none are left out."""
    return {name: where for name, tensor in buffers.items() if (where := tensor.isinf()).any()}


def not_finite(tensors: Tensors, infinite: Tensors) -> str:
    """'live/weight is not finite', or ''. Infinities are allowed in the places that `infinite` says."""
    for name, tensor in tensors.items():
        fine = tensor.isfinite()
        if name in infinite:
            fine |= tensor.isinf() & infinite[name].to(tensor.device)
        if not fine.all():
            return f"{name} is not finite"
    return ""


def wrong_course(course: Mapping[str, Any], counts: Mapping[str, Any], total: int) -> str:
    """What is wrong with how far a training says to have come; '' for nothing."""
    steps, history = course["steps"], course["history"]
    if type(steps) is not int or not 0 < steps <= total or sorted(course) != ["history", "seconds", "steps"]:
        return f"it does not say which of {total} steps it is at"
    numbers = [value for points in history.values() for value in points if value is not None] + [course["seconds"]]
    if {len(points) for points in history.values()} != {len(history["step"])} or not all(map(math.isfinite, numbers)):
        return "its history is not whole"
    return "" if all(type(n) is int and n > 0 for n in counts.values()) else "its counts are none"


def window(tensors: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """The running sums of loss terms that must be there: of one number each, whatever its type."""
    found = {name: tensors.get(f"window/{name}", SCALAR) for name in names}
    return {f"window/{name}": total if total.numel() == 1 else SCALAR for name, total in found.items()}


def _faults(tensors: Tensors, needed: Tensors, known: Tensors) -> Iterator[str]:
    yield from (f"it lacks {name}" for name in needed if name not in tensors)
    for name, tensor in tensors.items():
        if name not in known:
            yield f"it holds {name}, which is nothing of this training"
        elif (tensor.shape, tensor.dtype) != (known[name].shape, known[name].dtype):
            yield f"{name} is {tensor.dtype} {tuple(tensor.shape)}"
        kind, _, rest = name.partition("/")
        if kind == "adam":
            parameter = rest.partition("/")[2]
            yield from (f"it lacks {n}" for m in MOMENTS if (n := f"adam/{m}/{parameter}") not in tensors)


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def by_prefix(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """'adam/step/weight' -> {'adam': {'step/weight': ...}}."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, _, rest = name.partition("/")
        parts.setdefault(prefix, {})[rest] = tensor
    return parts


def laid_out(value: Tensor, p: Tensor) -> Tensor:
    """A saved tensor on the device and, where it has its shape, in the memory layout of its parameter: the fused Adam
    reads both in the order of memory."""
    return torch.empty_like(p).copy_(value) if value.shape == p.shape else value.to(p.device).clone()
