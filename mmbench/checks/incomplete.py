"""Rules of a training with missing modalities, for models that say that they can (`mmbench.abilities.Incomplete`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ..abilities import Incomplete, IncompleteLoss, Present
from ..data.missing import incomplete
from ..errors import PluginError
from ..model import Batch, Model, Stage
from ..seeding import generator, seeded_globally
from ..training import prepared
from .randomness import random_state_kept
from .rule import Checks, refuse
from .subject import ContractError, Subject

__all__ = ["CHECKS"]

CHECKS = Checks()

SHARE = 0.3
ABSENT = "takes whole tuples only"
"""What is told of a model without the ability."""
GARBAGE = ("NaN", "other values")


@CHECKS.add("losses")
def check_incomplete_losses(subject: Subject) -> str | None:
    """A model that takes incomplete tuples has a loss of them for each stage of several modalities."""
    if not issubclass(subject.cls, Incomplete):
        return ABSENT
    model = subject.build()
    losses, names = _losses_of(model), [stage.name for stage in model.stages()]
    strange = ", ".join(repr(name) for name in losses if name not in names)
    refuse(bool(strange), f"incomplete_losses names {strange}, the stages are {names}")
    for stage in model.stages():
        several = len(stage.modalities or subject.spec.names) > 1
        lacking = several and stage.name not in losses
        refuse(lacking, f"incomplete_losses lacks stage {stage.name!r}, whose batches hold several modalities")
    for _ in _trials(subject):
        pass
    return None


def _losses_of(model: Model) -> Mapping[str, IncompleteLoss]:
    found = model.incomplete_losses() if isinstance(model, Incomplete) else {}
    refuse(not isinstance(found, Mapping), "incomplete_losses must return a mapping of stages' names to losses")
    return found


def _trials(subject: Subject) -> Iterator[tuple[Model, Stage, IncompleteLoss, Batch, Present]]:
    """Each stage with a loss of incomplete tuples, after a few steps of training, and a batch of them."""
    model = subject.build()
    model.load_state_dict(subject.trained.state_dict())
    losses, split = _losses_of(model), incomplete(subject.data.train, SHARE, 0)
    for stage in model.stages():
        try:
            tuples = prepared(stage, split)
        except PluginError as error:
            raise ContractError(str(error)) from None
        if stage.name in losses and tuples.present is not None:
            rows, names = torch.arange(len(tuples)), stage.modalities or tuples.names
            stage.module.train()
            yield model, stage, losses[stage.name], tuples.gather(rows, names), tuples.there(rows, names)
            model.eval()


@CHECKS.add("incomplete_losses", "loss_draws")
def check_incomplete_whole(subject: Subject) -> str | None:
    """Where nothing is missing, the loss of incomplete tuples is the stage's own, with the same draws."""
    if not issubclass(subject.cls, Incomplete):
        return ABSENT
    for model, stage, loss, batch, present in _trials(subject):
        whole = {name: torch.ones_like(there) for name, there in present.items()}
        own, _ = _taken(model, stage, lambda rng, stage=stage, batch=batch: stage.loss(batch, rng))
        got, _ = _taken(model, stage, lambda rng, loss=loss, batch=batch, whole=whole: loss(batch, whole, rng))
        a, b = float(own["loss"]), float(got["loss"])
        refuse(
            not math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6),
            f"stage {stage.name!r}: where nothing is missing its loss of incomplete tuples is {b:.6g}, its own "
            f"{a:.6g}; draw the same numbers in the same order, and leave out only what is missing",
        )
    return None


@CHECKS.add("incomplete_losses")
def check_incomplete_unread(subject: Subject) -> str | None:
    """What is missing changes no term and no gradient by a bit, be it NaN; and all draws come from the generator."""
    if not issubclass(subject.cls, Incomplete):
        return ABSENT
    for model, stage, loss, batch, present in _trials(subject):
        kept: tuple[Any, Any] | None = None
        for garbage in ("its own", *GARBAGE):
            changed = {name: _replaced(x, present[name], garbage) for name, x in batch.items()}
            advice = "draw with generator=generator"
            with random_state_kept(f"the loss of incomplete tuples of stage {stage.name!r}", advice):
                found = _taken(model, stage, lambda rng, loss=loss, x=changed, there=present: loss(x, there, rng))
            kept = kept or found
            _refuse_changed(stage.name, garbage, kept, found)
    return None


def _replaced(x: Tensor, there: Tensor, garbage: str) -> Tensor:
    """A batch with NaN, or other values of the data, where items are missing."""
    if garbage == "its own":
        return x
    other = x.roll(1, 0) if not x.is_floating_point() else torch.full_like(x, math.nan)
    if garbage != "NaN":
        other = x.roll(2, 0)
    return torch.where(there.view(-1, *[1] * (x.ndim - 1)), x, other)


def _taken(model: Model, stage: Stage, loss: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Terms and gradients under one seed, with buffers as they were before."""
    buffers = {n: b.clone() for n, b in model.named_buffers()}
    model.zero_grad(set_to_none=True)
    with seeded_globally(0):
        terms = loss(generator(0, "check"))
    refuse(not isinstance(terms, Mapping) or "loss" not in terms, f"stage {stage.name!r}: a loss lacks 'loss'")
    terms["loss"].backward()
    for n, b in model.named_buffers():
        b.copy_(buffers[n])
    gradients = {n: p.grad.clone() for n, p in stage.module.named_parameters() if p.grad is not None}
    return {name: term.detach() for name, term in terms.items()}, gradients


def _refuse_changed(stage: str, garbage: str, before: tuple[Any, Any], after: tuple[Any, Any]) -> None:
    advice = "put others in its place with mmbench.data.missing.filled, and leave its terms out"
    for kind, one, two in zip(("the term", "the gradient of"), before, after, strict=True):
        for name, value in one.items():
            finite = bool(torch.isfinite(value).all())
            refuse(not finite, f"stage {stage!r}: {kind} {name!r} of incomplete tuples is not finite; {advice}")
            same = name in two and torch.equal(value, two[name])
            refuse(not same, f"stage {stage!r}: {kind} {name!r} changes where what is missing is {garbage}; {advice}")
