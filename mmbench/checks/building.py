"""Rules of a model's class: its configuration, its recipes, and what `build` makes of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from ..config import BUDGETS, canonical, digest, from_json, to_json
from ..model import Model
from .rule import Checks, refuse
from .subject import Subject

__all__ = ["CHECKS"]

CHECKS = Checks()


@CHECKS.add()
def check_class(subject: Subject) -> None:
    """The class is a complete `mmbench.model.Model` with a frozen dataclass as its `Config`."""
    cls = subject.cls
    refuse(not issubclass(cls, Model), f"{cls.__name__} must derive from mmbench.model.Model")
    lacking = sorted(getattr(cls, "__abstractmethods__", ()))
    refuse(bool(lacking), f"{cls.__name__} lacks {', '.join(lacking)}")
    advice = "must be a class decorated with @dataclass(frozen=True, kw_only=True)"
    refuse(not _frozen(getattr(cls, "Config", None)), f"{cls.__name__}.Config {advice}")
    _refuse_strange_checks(cls)


def _frozen(config: Any) -> bool:
    return dataclasses.is_dataclass(config) and getattr(config, "__dataclass_params__").frozen  # noqa: B009


def _refuse_strange_checks(cls: type[Model]) -> None:
    from .rules import CHECKS  # all of them, these too

    known = cls.known_failures
    words = isinstance(known, Mapping) and all(isinstance(word, str) for pair in known.items() for word in pair)
    refuse(not words, "known_failures must be a mapping of checks to reasons, both of them texts")
    stale = ", ".join(sorted(set(known) - set(CHECKS)))
    refuse(bool(stale), f"known_failures names checks that do not exist: {stale}; see mmbench.checks.CHECKS")


@CHECKS.add("class")
def check_recipes(subject: Subject) -> None:
    """There is a recipe for every budget."""
    for budget in BUDGETS:
        config = subject.cls.recipe(subject.spec, budget)
        expected, got = subject.cls.Config.__name__, type(config).__name__
        refuse(got != expected, f"recipe(dataset, {budget!r}) must return a {expected}, got {got}")


@CHECKS.add("recipes")
def check_config_json(subject: Subject) -> None:
    """A configuration survives JSON unchanged, and so does its hash."""
    for budget in BUDGETS:
        _refuse_unlike_its_json(subject.cls.recipe(subject.spec, budget), f"the {budget!r} recipe")


def _refuse_unlike_its_json(config: Any, what: str) -> None:
    data = to_json(config)
    again = from_json(type(config), data)
    advice = "use numbers, words (Literal), tuples and frozen dataclasses as fields, with exact type hints"
    refuse(again != config, f"{what} comes back from JSON as {again}, was {config}; {advice}")
    same = digest(to_json(again)) == digest(data) and canonical(to_json(again)) == canonical(data)
    refuse(not same, f"{what} has another hash after a round trip through JSON; {advice}")


@CHECKS.add("recipes")
def check_build(subject: Subject) -> None:
    """The model builds on two and on three modalities, and its seed alone decides its parameters."""
    one, two = subject.build(), subject.build()
    known = getattr(one, "dataset", None)
    refuse(known != subject.spec, "build must set self.dataset to the DatasetSpec that it was given")
    refuse(not any(p.requires_grad for p in one.parameters()), "the model has no parameter to train")
    for (name, a), (_, b) in zip(one.named_parameters(), two.named_parameters(), strict=True):
        where = f"two builds under one seed differ in {name!r}"
        refuse(not torch.equal(a, b), f"{where}; initialise with torch's global generator")
