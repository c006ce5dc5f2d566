"""What identifies a cell's artefacts: where its stages and samples are kept, and what their keys hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..config import digest, to_json
from ..model import Model
from ..training import Keeper
from .data_record import modality_record
from .plan import CellPlan
from .sampling import Sampler, Shelf
from .workshop import Workshop

__all__ = ["keeper", "sampler", "token"]

Stages = Mapping[str, str]
"""Stage -> the name of its artefact."""


def keeper(plan: CellPlan, shop: Workshop, *, may_train: bool) -> Keeper:
    """Where the stages of a cell's model are kept. The harness's code that trains is part of every key: networks and
    likelihoods stand there."""
    return Keeper(
        artefacts=shop.artefacts,
        identity={
            "data": plan.dataset.fingerprint,
            "split": plan.protocol.split,
            "modalities": [modality_record(m) for m in plan.dataset.spec.modalities],
            "code": {**plan.code["model"], "training": plan.code["harness"]["training"]},
            **({"missing": plan.missing} if plan.missing else {}),
        },
        config=to_json(plan.config),
        owner=_owner(plan),
        device=shop.device,
        may_train=may_train,
    )


def sampler(plan: CellPlan, shop: Workshop, model: Callable[[], Model], stages: Stages) -> Sampler:
    """Where the samples of a cell come from, given the artefacts of its stages."""
    shelf = Shelf(
        artefacts=shop.artefacts,
        identity={"data": plan.dataset.fingerprint, "stages": dict(stages), **_settings(plan)},
        owner=_owner(plan),
        exported=plan.key.exported(shop.request.runs),
    )
    keep, form = shop.request.keep, shop.request.keep_format
    return Sampler(model=model, seed=plan.key.seed, shelf=shelf, keep=keep, format=form)


def token(plan: CellPlan, stages: Stages) -> str:
    """8 hex digits of what made a cell's samples."""
    return digest({"stages": dict(stages), **_settings(plan)}, 8)


def _settings(plan: CellPlan) -> dict[str, Any]:
    """What decides the samples of trained stages."""
    return {
        "class": f"{plan.cls.__module__}:{plan.cls.__qualname__}",
        "config": to_json(plan.config),
        "seed": plan.key.seed,
        "order": plan.protocol.seed,
        "code": {**plan.code["model"], **plan.code["harness"]},
    }


def _owner(plan: CellPlan) -> str:
    return f"{plan.key.model} on {plan.dataset.spec.title}, seed {plan.key.seed}"
