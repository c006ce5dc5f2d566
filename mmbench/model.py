"""The contract of a model: what the harness asks of MLD, of the VAEs and of a stranger's plugin alike.

A model says what is trained, in order (`stages`), and how samples are made (`generate`). Everything around it - data,
networks, the training loop, seeds, sample counts, judges - is the harness's and the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from .config import Budget, Schedule
from .described import described
from .errors import PluginError
from .modality import DatasetSpec

if TYPE_CHECKING:
    from .data.dataset import Split
    from .networks import Networks

__all__ = ["Batch", "Model", "Stage", "draw"]

Batch = Mapping[str, Tensor]
"""Modality name -> tensor (B, *shape): float32 in [0, 1] for images, int64 tokens for texts."""


@described
@dataclass(frozen=True, kw_only=True)
class Stage:
    """One training phase of a model."""

    name: str
    """A word for progress, history and error messages: 'autoencoder.mnist', 'score', 'elbo'."""
    module: nn.Module
    """The stage trains this module's parameters that require a gradient, and averages it if the schedule has an EMA."""
    schedule: Schedule
    loss: Callable[[Batch, torch.Generator], dict[str, Tensor]]
    """(batch, generator) -> named scalar terms with the one that is minimised under 'loss'; the batch holds whole
    tuples (of incomplete ones, which a model may take too: `mmbench.abilities.Incomplete`). The generator is on the
    model's device; every random draw comes from it, but for those of dropout layers: while they train, the harness
    seeds torch's global random state for each step and puts it back after."""
    prepare: Callable[[Split], Split] | None = None
    """Once, before the stage: turn the training set into another one (MLD encodes the images into latents). What else
    a split has it keeps: use dataclasses.replace."""
    modalities: tuple[str, ...] | None = None
    """The modalities that a batch holds; None for all of them."""
    skill: Callable[[Split], dict[str, float]] | None = None
    """Once, after the stage, on validation tuples: named numbers to record, 1 for perfect and 0 for no better than one
    constant answer."""
    least: Mapping[str, float] = field(default_factory=dict)
    """Names of `skill` -> the least value of a stage that has not collapsed. What becomes of a collapsed model is the
    harness's matter (--on-collapse), and the same for all."""
    settings: Mapping[str, Any] | None = None
    """The part of the configuration that this stage's training depends on, as JSON data; None for all of it. Models
    whose stages agree in name, loss, settings, schedule, first weights and code share the trained stage."""
    needs: tuple[str, ...] | None = None
    """Names of the earlier stages whose results this one's training depends on; None for all of them."""


@described
class Model(nn.Module, ABC):
    """A multi-modal generative model.

    A subclass names its configuration class and gives four methods. Its parameters are drawn in `build`, under a seed
    that the harness sets; buffers and parameters together are its checkpoint.
    """

    Config: ClassVar[type]
    """A frozen dataclass with a classmethod `recipe(dataset, budget) -> Config`: the paper's row for budget 'paper';
    the other budgets scale only schedules and sampling effort, never the architecture or the objective."""

    dataset: DatasetSpec
    """Set by `build`."""

    known_failures: ClassVar[Mapping[str, str]] = {}
    """Conformance checks that this model is known to fail: name of the check -> reason."""

    check_settings: ClassVar[Sequence[str]] = ()
    """Settings, as after --set, that make the model small for the conformance suite."""

    @classmethod
    def recipe(cls, dataset: DatasetSpec, budget: Budget = "paper") -> Any:
        """The configuration for a dataset at a budget."""
        return cls.Config.recipe(dataset, budget)  # type: ignore[attr-defined]

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        """Why `--model all` leaves this model out of a dataset, in a few words; '' where it does not."""
        return ""

    @classmethod
    @abstractmethod
    def build(cls, dataset: DatasetSpec, config: Any, networks: Networks) -> Self:
        """A new model. `networks` gives the suite's encoder and decoder of each modality."""

    @abstractmethod
    def stages(self) -> Sequence[Stage]:
        """What is trained, in order."""

    @abstractmethod
    def generate(
        self,
        given: Batch,
        targets: Sequence[str],
        *,
        count: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """`count` samples of `targets`, one for each row of `given`; `given = {}` asks for joint generation.

        A target that is itself given asks for its reconstruction. Images are returned as float32 in [0, 1], texts as
        int64 tokens. `generator` is a CPU generator and the only source of randomness: draw from
        `mmbench.seeding.Noise(generator, count, device)`, so that the cut into batches does not matter. Mode,
        parameters and the global random state stay as they are.
        """

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device


def draw(
    model: Model,
    given: Batch,
    targets: Sequence[str],
    *,
    count: int,
    generator: torch.Generator,
    batch_size: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Tensor]:
    """`model.generate` in eval mode, without gradients, in batches, with its answer checked.

    Returns tensors (count, *shape) on the CPU. `advance` is called with the number of samples made.
    Raises PluginError if the answer breaks the contract (names, shapes, dtypes, ranges, NaN).
    """
    for name, values in given.items():
        if len(values) != count:
            raise PluginError(f"{count} samples asked for {len(values)} given items of {name!r}")
    if count < 1:
        raise PluginError(f"at least one sample must be asked for, got {count}")
    parts: list[dict[str, Tensor]] = []
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            for start in range(0, count, batch_size or count):
                size = min(batch_size or count, count - start)
                part = {name: values[start : start + size].to(model.device) for name, values in given.items()}
                answer = model.generate(part, tuple(targets), count=size, generator=generator)
                check_answer(model, answer, targets, size)
                parts.append({name: answer[name].cpu() for name in targets})
                advance(size)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return {name: torch.cat([part[name] for part in parts]) for name in targets}


def check_answer(model: Model, answer: Mapping[str, Tensor], targets: Sequence[str], count: int) -> None:
    """Raise PluginError unless `answer` is what `generate` promises."""
    who = f"{type(model).__name__}.generate"
    if set(answer) != set(targets):
        raise PluginError(f"{who} returned {sorted(answer)} where {sorted(targets)} was asked for")
    for name in targets:
        modality, values = model.dataset.modality(name), answer[name]
        shape, dtype = (count, *modality.shape), torch.int64 if modality.is_text else torch.float32
        if tuple(values.shape) != shape or values.dtype != dtype:
            got = f"{values.dtype} {tuple(values.shape)}"
            raise PluginError(f"{who}: {name!r} must be {dtype} {shape}, got {got}")
        if not modality.is_text and not torch.isfinite(values).all():
            raise PluginError(f"{who}: {name!r} holds a NaN or an infinity")
        top = len(modality.vocabulary) - 1 if modality.is_text else 1
        if values.numel() and (values.min() < 0 or values.max() > top):
            span = f"[{values.min().item():.4g}, {values.max().item():.4g}]"
            raise PluginError(f"{who}: {name!r} must lie in [0, {top}], got {span}")
