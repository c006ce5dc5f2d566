"""The one training loop: stages of models, judges, reference autoencoders and caption heads go through it.

Adam, warm-up and decay, an exponential moving average, mixed precision, history, checkpoints and resumption are the
harness's, so that models differ in nothing but what their papers say.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..config import Schedule
from ..errors import ResultError, TrainingError
from ..interrupt import interrupt_between_steps
from ..precision import arithmetic
from ..progress import Advance, Progress
from .checkpoint import Checkpoints, State
from .draws import Draws
from .fitting import MOMENTS, SCALAR, by_prefix, infinities, laid_out, misfit, named, not_finite, window, wrong_course
from .flops import Flops

__all__ = ["CHECKPOINT_SECONDS", "HISTORY_POINTS", "Course", "Trainer", "learning_rate"]

CHECKPOINT_SECONDS = 120.0
"""Wall time between two checkpoints."""
HISTORY_POINTS = 200
"""Points kept of the loss curves."""
DEVICES = ("cpu", "cuda")

Loss = Callable[[Tensor, torch.Generator], Mapping[str, Tensor]]
"""(rows of the training tuples (batch,), generator) -> named scalar terms, the minimised one under 'loss'."""
Parameters = Mapping[str, nn.Parameter]


@dataclass
class Course:
    """How far a training has come."""

    steps: int = 0
    seconds: float = 0.0
    history: dict[str, list[float | None]] = field(default_factory=lambda: {"step": []})
    """'step' and, for each loss term, its mean since the point before (None where the term did not occur)."""

    def add(self, means: Mapping[str, float]) -> None:
        """A point of the history, at the present step."""
        points = len(self.history["step"])
        self.history["step"].append(self.steps)
        for name in {**self.history, **means}:
            if name != "step":
                self.history.setdefault(name, [None] * points).append(means.get(name))


class _Window:
    """Running means of the loss terms between two points of the history; nothing waits for the device."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, terms: Mapping[str, Tensor]) -> None:
        for name, value in terms.items():
            self.sums[name] = self.sums[name] + value.detach() if name in self.sums else value.detach().clone()
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        return {name: float(total) / self.counts[name] for name, total in self.sums.items()}


def adam(parameters: Parameters, schedule: Schedule) -> torch.optim.Optimizer:
    """Adam(0.9, 0.999), fused."""
    return torch.optim.Adam(
        parameters.values(), lr=schedule.lr, weight_decay=schedule.weight_decay, betas=(0.9, 0.999), fused=True
    )


@dataclass(kw_only=True)
class Trainer:
    """One training in progress: optimiser, average and counters; everything that a checkpoint must hold."""

    title: str
    """In print: 'train score', 'judge of mnist'."""
    who: str = ""
    """Who is to blame in an error: "stage 'score'"; the title where it is empty."""
    parameters: Parameters
    """What is trained, by name."""
    schedule: Schedule
    total: int
    """Optimiser steps in all."""
    draws: Draws
    loss: Loss
    live: Callable[[], Mapping[str, Tensor]]
    """The tensors, by name, that a checkpoint keeps of what is trained: parameters and buffers."""
    places: Callable[[], Mapping[str, Tensor]] = dict
    """Further tensors, by name, that a checkpoint may hold since the training had changed them."""
    optimiser: Callable[[Parameters, Schedule], torch.optim.Optimizer] = adam

    def __post_init__(self) -> None:
        if not self.parameters:
            raise TrainingError(f"{self.who or self.title} has no parameter to train; check its module")
        self.device = next(iter(self.parameters.values())).device
        self.low = arithmetic(self.schedule.precision, self.device) == torch.bfloat16
        self.optim = self.optimiser(self.parameters, self.schedule)
        wanted = self.parameters if self.schedule.ema is not None else {}
        self.average = {name: p.detach().clone() for name, p in wanted.items()}
        self.infinite = infinities(named("live", {**self.places(), **self.live()}))
        self.course, self.window, self.flops = Course(), _Window(), None

    @property
    def gflop(self) -> float | None:
        """10^9 floating-point operations of all steps, each as the first that is made here; None before it."""
        return None if self.flops is None else self.flops * self.total / 1e9

    def run(self, checkpoints: Checkpoints | None, progress: Progress) -> Course:
        """Train to the end, from the newest checkpoint where there is one; the average then replaces the parameters."""
        saved = checkpoints.load(self._misfit) if checkpoints else None
        if saved:
            self._restore(*saved)
        with progress.phase(self.title, self.total, done=self.course.steps) as advance:
            self._loop(checkpoints, advance)
        with torch.no_grad():
            for name, value in self.average.items():
                self.parameters[name].copy_(value)
        return self.course

    def _loop(self, checkpoints: Checkpoints | None, advance: Advance) -> None:
        every, course = max(1, self.total // HISTORY_POINTS), self.course
        clock = saved = time.monotonic()
        shown = course.steps
        with interrupt_between_steps() as interrupted:
            while course.steps < self.total:
                self.window.add((self.counted if self.flops is None else self.step)(course.steps))
                course.steps += 1
                if course.steps % every == 0 or course.steps == self.total:
                    advance(course.steps - shown, note=f"loss {self._point():.4g}")
                    shown = course.steps
                now = time.monotonic()
                course.seconds, clock = course.seconds + now - clock, now
                if checkpoints and (interrupted() or now - saved > CHECKPOINT_SECONDS):
                    self._save(checkpoints)
                    saved = time.monotonic()
                if interrupted():
                    break

    def step(self, step: int) -> Mapping[str, Tensor]:
        """One optimiser step; returns the terms of its loss."""
        schedule, rows = self.schedule, self.draws.rows(step)
        with self.draws.layers(step), torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.low):
            terms = self.loss(rows, self.draws.generator)
        self.optim.zero_grad(set_to_none=True)
        terms["loss"].backward()
        for group in self.optim.param_groups:
            group["lr"] = learning_rate(schedule, step, self.total)
        self.optim.step()
        if self.average and schedule.ema is not None:
            _move_average(self.average, self.parameters, schedule.ema)
        return terms

    def counted(self, step: int) -> Mapping[str, Tensor]:
        """The same step; `flops` then has its floating-point operations."""
        with Flops() as counter:
            terms = self.step(step)
        self.flops = counter.total
        return terms

    def _point(self) -> float:
        """Close the window: its means go into the history; returns the loss."""
        means = self.window.means()
        self._refuse_nonfinite(means)
        self.course.add(means)
        self.window = _Window()
        return means["loss"]

    def _refuse_nonfinite(self, means: Mapping[str, float]) -> None:
        bad = [name for name, value in means.items() if not math.isfinite(value)]
        if bad:
            raise TrainingError(
                f"{self.who or self.title}: {', '.join(bad)} is not finite at step {self.course.steps} of {self.total} "
                f"(learning rate {self.schedule.lr:g}); lower the learning rate or look at the data"
            )

    def _save(self, checkpoints: Checkpoints) -> None:
        self._refuse_nonfinite(self.window.means())
        tensors = named("live", self.live()) | named("ema", self.average)
        tensors |= named("draws", self.draws.state()) | named("window", self.window.sums)
        for name, p in self.parameters.items():
            tensors |= {f"adam/{key}/{name}": value for key, value in self.optim.state.get(p, {}).items()}
        if not not_finite(tensors, self.infinite):  # one that would not be believed is not written
            state = {"course": asdict(self.course), "counts": self.window.counts, "device": self.device.type}
            checkpoints.save(tensors, state)

    def _misfit(self, tensors: dict[str, Tensor], state: State) -> str:
        """Why a checkpoint is none of this training's, in some words; ResultError for one of another device."""
        if state["device"] not in (self.device.type, *DEVICES):
            return "it does not say on which device it was begun"
        if state["device"] != self.device.type:
            raise ResultError(
                f"{self.title} was begun on {state['device']}; go on with --device {state['device']}, or remove its "
                "checkpoint with `mmbench cache clear --unfinished`"
            )
        needed = named("live", self.live()) | named("ema", self.average) | named("draws", self.draws.state())
        needed |= window(tensors, state["counts"])
        wrong = wrong_course(state["course"], state["counts"], self.total)
        return wrong or misfit(tensors, needed, self._possible(), self.infinite)

    def _possible(self) -> dict[str, Tensor]:
        """What a checkpoint may hold beside what it must: places of the model, and what Adam keeps."""
        moments = {f"adam/step/{name}": SCALAR for name in self.parameters}
        for name, p in self.parameters.items():
            moments |= {f"adam/{key}/{name}": p for key in ("exp_avg", "exp_avg_sq")}
        return named("live", self.places()) | named("live", self.live()) | moments

    def _restore(self, tensors: dict[str, Tensor], state: State) -> None:
        part = by_prefix(tensors)
        with torch.no_grad():
            for name, tensor in {**self.places(), **self.live()}.items():
                if name in part["live"]:
                    tensor.copy_(part["live"][name])
        for name, value in part.get("ema", {}).items():
            self.average[name].copy_(value)
        for name, p in self.parameters.items():
            kept = {key: part.get("adam", {}).get(f"{key}/{name}") for key in MOMENTS}
            self.optim.state[p] = {key: laid_out(value, p) for key, value in kept.items() if value is not None}
        self.draws.restore(part["draws"])
        self.course = Course(**state["course"])
        self.window.sums = {n: t.to(self.device) for n, t in part.get("window", {}).items()}
        self.window.counts = dict(state["counts"])


def learning_rate(schedule: Schedule, step: int, total: int) -> float:
    """The learning rate of step 0 ... total - 1: linear warm-up, then constant or half a cosine down to 0."""
    if step < schedule.warmup:
        return schedule.lr * (step + 1) / schedule.warmup
    if schedule.decay == "none":
        return schedule.lr
    share = (step - schedule.warmup) / max(1, total - schedule.warmup)
    return schedule.lr * 0.5 * (1.0 + math.cos(math.pi * share))


@torch.no_grad()
def _move_average(average: dict[str, Tensor], parameters: Parameters, decay: float) -> None:
    """average <- decay * average + (1 - decay) * parameters, for all tensors at once (torch's own EMA)."""
    get_ema_multi_avg_fn(decay)(list(average.values()), [p.detach() for p in parameters.values()], None)
