"""Frozen configurations: overrides by name, stable JSON, a hash; budgets and training schedules.

A configuration is a frozen, keyword-only dataclass. Its fields may be numbers, words (Literal), tuples and further
such dataclasses; pydantic checks types, so that `--set width=wide` is a sentence and not a crash later.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError

from .described import described
from .errors import ConfigError, near
from .mistakes import MISSING, mistake

__all__ = [
    "BUDGETS",
    "Budget",
    "Precision",
    "Protocol",
    "Schedule",
    "canonical",
    "digest",
    "flat",
    "from_json",
    "named",
    "override",
    "parsed",
    "refusal",
    "to_json",
]

C = TypeVar("C")

Budget = Literal["smoke", "laptop", "paper"]
"""smoke: a cell in 10 s to 2 min on two cores; laptop: minutes on two cores; paper: the published schedule."""
BUDGETS: tuple[Budget, ...] = get_args(Budget)

Precision = Literal["auto", "float32", "bfloat16"]
"""Arithmetic of a network; 'auto': bfloat16 where the device has it natively, see `mmbench.precision`."""


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How one stage is trained with Adam(0.9, 0.999). Exactly one of `epochs` and `steps` is given."""

    epochs: float | None = None
    """Passes over the stage's training set; the last, incomplete batch of a pass is dropped."""
    steps: int | None = None
    """Optimiser steps."""
    batch_size: int
    lr: float
    """Adam's learning rate."""
    weight_decay: float = 0.0
    warmup: int = 0
    """Steps over which the learning rate rises linearly from 0."""
    decay: Literal["none", "cosine"] = "none"
    """'cosine': the learning rate falls from `lr` to 0 along half a cosine after the warm-up."""
    ema: float | None = None
    """Decay of the exponential moving average of the parameters, which then replaces them; None for none."""
    precision: Precision = "float32"
    """'bfloat16': automatic mixed precision; parameters and optimiser stay float32. 'auto': so where the device has it
    natively."""

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ConfigError("a schedule needs either epochs or steps, and not both")
        if (self.epochs or self.steps or 0) <= 0 or self.batch_size < 1 or self.lr <= 0:
            raise ConfigError("a schedule needs epochs or steps > 0, batch_size >= 1 and lr > 0")
        if self.warmup < 0 or self.weight_decay < 0:
            raise ConfigError("a schedule needs warmup >= 0 and weight_decay >= 0")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ConfigError(f"ema must lie in [0, 1), got {self.ema}")

    def total_steps(self, count: int) -> int:
        """Optimiser steps over a training set of `count` items."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * max(1, count // self.batch_size)))


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a cell is measured: the same for every model. The defaults are the paper's (Appendix B.2)."""

    split: Literal["test", "validation"] = "test"
    """'validation': models and judges are trained without the validation tuples and measured on them, to choose
    settings by; such cells never share a table with those of the test split."""
    count: int | None = None
    """Test tuples for coherence (N of Equation 12) and for the metrics of images with captions, which are the coherence
    of such datasets; None for all of them."""
    quality_count: int = 5000
    """Samples for the Frechet distances."""
    fid_count: int | None = None
    """Samples for FID, whose network is slow on a CPU; None for `quality_count`."""
    resize: Literal["pytorch-fid", "torch-fidelity"] = "pytorch-fid"
    """How images come to Inception's 299 x 299: bilinear as in pytorch-fid (the paper's), or TensorFlow 1's rule."""
    rounding: bool = False
    """Whether images are rounded to 8 bits before Inception, as when they pass through files."""
    first_judge: str | None = None
    """The first classifier of all images ('lenet', the paper's; 'strided', 'residual', or module:Class), in the place
    of what the dataset names; None for that."""
    second_judge: str | None = None
    """A second, independent classifier, whose coherence stands in rows of its own; None for none."""
    subsets_per_size: int | None = None
    """Of more than three modalities: how many subsets of each size are given, drawn by `seed`; None for all."""
    batch_size: int = 1000
    """Tuples generated at once; it does not change the samples."""
    judge: Schedule = Schedule(epochs=50, batch_size=256, lr=1e-3)
    """Training of the classifiers that judge, over the training tuples."""
    seed: int = 0
    """Chooses the test tuples and trains the judges; apart from the training seed, so that all cells share them."""

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 2:
            raise ConfigError(f"eval.count must be at least 2, got {self.count}")
        if self.fid_count is not None and self.fid_count < 2:
            raise ConfigError(f"eval.fid_count must be at least 2, got {self.fid_count}")
        if self.subsets_per_size is not None and self.subsets_per_size < 1:
            raise ConfigError(f"eval.subsets_per_size must be at least 1, got {self.subsets_per_size}")
        if self.quality_count < 2 or self.batch_size < 1:
            raise ConfigError("eval.quality_count must be >= 2 and eval.batch_size >= 1")

    @classmethod
    def recipe(
        cls,
        budget: Budget,
        quality_count: int = 5000,
        laptop_count: int = 5000,
        *,
        judge_share: float = 1.0,
        many: bool = False,
    ) -> Protocol:
        """The paper's protocol, or the same with fewer samples and a shorter training of the judges.

        Arguments:
            quality_count, laptop_count: a dataset's samples for quality at the budgets 'paper' and 'laptop'; where
                samples are dear, the laptop takes no more of them for coherence.
            judge_share: of the judges' steps at the shorter budgets.
            many: whether there are so many modalities that the shorter budgets draw some of the subsets.
        """

        def brief(steps: int) -> Schedule:
            steps = max(1, round(steps * judge_share))
            return Schedule(steps=steps, batch_size=256, lr=3e-3, warmup=steps // 20, decay="cosine")

        if budget == "laptop":
            count, of_size = min(5000, laptop_count), 2 if many else None
            fewer = {"count": count, "quality_count": laptop_count, "fid_count": 500, "subsets_per_size": of_size}
            return cls(**fewer, judge=brief(3000))
        if budget == "smoke":
            fewer = {"count": 400, "quality_count": 400, "fid_count": 64, "subsets_per_size": 1 if many else None}
            return cls(**fewer, judge=brief(300))
        return cls(quality_count=quality_count)


def to_json(config: Any) -> dict[str, Any]:
    """The configuration as plain JSON data."""
    return TypeAdapter(type(config)).dump_python(config, mode="json")


def from_json(cls: type[C], data: Mapping[str, Any]) -> C:
    """The inverse of `to_json`. Unknown fields and wrong types are a ConfigError that names the field."""
    _refuse_unknown(data, {f.name: None for f in dataclasses.fields(cls)})  # type: ignore[arg-type]
    try:
        config = TypeAdapter(cls).validate_python(dict(data))
    except ValidationError as error:
        cause = error.errors()[0].get("ctx", {}).get("error")
        if isinstance(cause, ConfigError):
            raise cause from None
        raise ConfigError(refusal("", error, dict(data))) from None
    _refuse_unknown(data, to_json(config))
    return config


def override(config: C, settings: Iterable[str]) -> C:
    """A copy with the settings 'field=value' (or 'part.field=value') applied.

    Raises ConfigError for an unknown field (with the near match), a missing '=' or a value of the wrong type.
    """
    data = to_json(config)
    for setting in settings:
        path, text = named(setting)
        value = parsed(text)
        *parents, leaf = path.split(".")
        target, node = data, config
        for parent in parents:
            _known(parent, node, path)
            if not isinstance(target[parent], dict):
                raise ConfigError(f"{parent!r} in {path!r} has no fields of its own")
            target, node = target[parent], node[parent] if isinstance(node, Mapping) else getattr(node, parent)
        _known(leaf, node, path)
        target[leaf] = value
        if leaf in ("steps", "epochs") and isinstance(node, Schedule) and value is not None:
            target["epochs" if leaf == "steps" else "steps"] = None
    return from_json(type(config), data)


def named(setting: str) -> tuple[str, str]:
    """Name and value of 'field=value'; ConfigError where there is no '='."""
    path, equals, text = setting.partition("=")
    if not equals:
        raise ConfigError(f"--set takes field=value, got {setting!r}")
    return path.strip(), text


def parsed(text: str) -> Any:
    """The value that a user typed: JSON where it is, 'none' for None, else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None if text.lower() == "none" else text


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Nested fields by their dotted names."""
    if not isinstance(config, dict):
        return {prefix: config}
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= flat(value, f"{prefix}.{key}" if prefix else key)
    return found


def refusal(path: str, error: ValidationError, value: Any) -> str:
    """What is wrong with a value, in a sentence."""
    where, wrong, remedy = mistake(error, value)
    full = ".".join(filter(None, (path, where)))
    if remedy == MISSING:
        return f"{full} {MISSING}"
    return f"{full} = {wrong} will not do: {remedy}" if full else f"these settings do not go together: {remedy}"


def canonical(data: Any) -> str:
    """JSON with sorted keys and no spaces: the same data always gives the same text."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(data: Any, length: int = 10) -> str:
    """A short hash of plain JSON data."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()[:length]


def _fields(node: Any) -> list[str]:
    if dataclasses.is_dataclass(node):
        return [f.name for f in dataclasses.fields(node)]
    return list(node) if isinstance(node, Mapping) else []


def _known(name: str, node: Any, path: str) -> None:
    if name not in _fields(node):
        raise ConfigError(f"there is no setting {path!r}; {near(name, _fields(node))}")


def _refuse_unknown(data: Mapping[str, Any], known: Mapping[str, Any], prefix: str = "") -> None:
    """Refuse keys that `known` lacks, at every depth (pydantic would drop them), and numbers that are not finite."""
    for key, value in data.items():
        if key not in known:
            raise ConfigError(f"there is no setting {prefix + key!r}; {near(key, known)}")
        if isinstance(known[key], float) and not math.isfinite(known[key]):
            raise ConfigError(f"{prefix + key} must be a finite number, got {value}")
        if isinstance(value, Mapping) and isinstance(known[key], Mapping):
            _refuse_unknown(value, known[key], f"{prefix}{key}.")
