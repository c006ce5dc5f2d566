"""The one training loop: every stage of every model goes through it.

Adam, warm-up and decay, an exponential moving average, mixed precision, history, checkpoints and resumption are the
harness's, so that models differ in nothing but what their papers say.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .config import Schedule, digest
from .data.dataset import Split
from .errors import ResultError, TrainingError
from .model import Model, Stage
from .progress import Advance, Progress
from .seeding import derive, generator, seeded_globally
from .tensors import load_tensors, save_tensors

__all__ = ["StageRecord", "has_model", "learning_rate", "load_tensors", "save_tensors", "train"]

CHECKPOINT_SECONDS = 120.0
"""Wall time between two checkpoints within a stage."""
HISTORY_POINTS = 200
"""Points kept of each stage's loss curves."""


@dataclass
class StageRecord:
    """What is known of a stage's training."""

    steps: int = 0
    seconds: float = 0.0
    skill: dict[str, float] = field(default_factory=dict)
    history: dict[str, list[float | None]] = field(default_factory=lambda: {"step": []})
    """'step' and, for each loss term, its mean since the point before (None where the term did not occur)."""


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


class _StageRun:
    """One stage in progress: optimiser, average and counters; everything that a checkpoint must hold."""

    def __init__(self, model: Model, stage: Stage, train: Split, seed: int) -> None:
        self.stage, self.seed = stage, seed
        self.train = stage.prepare(train) if stage.prepare else train
        self.total = stage.schedule.total_steps(len(self.train))
        self.parameters = {n: p for n, p in stage.module.named_parameters() if p.requires_grad}
        if not self.parameters:
            raise TrainingError(f"stage {stage.name!r} has no parameter to train; check its module")
        self.optimiser = torch.optim.Adam(
            self.parameters.values(),
            lr=stage.schedule.lr,
            weight_decay=stage.schedule.weight_decay,
            fused=True,
        )
        self.average = (
            {n: p.detach().clone() for n, p in self.parameters.items()} if stage.schedule.ema is not None else {}
        )
        self.generator = generator(seed, "train", stage.name, device=model.device)
        self.record, self.window = StageRecord(), _Window()
        self._order: tuple[int, Tensor] | None = None

    def rows(self, step: int) -> Tensor:
        """The tuples of a step: each pass is a fresh permutation, drawn from (seed, stage, pass) alone."""
        size = min(self.stage.schedule.batch_size, len(self.train))
        per_pass = len(self.train) // size
        number, position = divmod(step, per_pass)
        if self._order is None or self._order[0] != number:
            order = torch.randperm(len(self.train), generator=generator(self.seed, "data", self.stage.name, number))
            self._order = (number, order.to(self.train.index.device))
        return self._order[1][position * size : (position + 1) * size]

    def step(self, step: int) -> dict[str, Tensor]:
        schedule = self.stage.schedule
        batch = self.train.gather(self.rows(step), self.stage.modalities)
        device = next(iter(self.parameters.values())).device
        low = schedule.precision == "bfloat16"
        layers = derive(self.seed, "layers", self.stage.name, step)  # dropout takes no generator
        with seeded_globally(layers, device), torch.autocast(device.type, dtype=torch.bfloat16, enabled=low):
            terms = self.stage.loss(batch, self.generator)
        self.optimiser.zero_grad(set_to_none=True)
        terms["loss"].backward()
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(schedule, step, self.total)
        self.optimiser.step()
        if self.average and schedule.ema is not None:
            _move_average(self.average, self.parameters, schedule.ema)
        return terms

    def finish(self) -> None:
        """The averaged parameters replace the trained ones: all sampling uses them."""
        with torch.no_grad():
            for name, value in self.average.items():
                self.parameters[name].copy_(value)

    def tensors(self) -> dict[str, Tensor]:
        """Optimiser moments, average, generator state and unfinished means, by name."""
        out = {f"ema/{n}": t for n, t in self.average.items()} | {"generator": self.generator.get_state()}
        out |= {f"window/{n}": t for n, t in self.window.sums.items()}
        for name, p in self.parameters.items():
            for key, value in self.optimiser.state.get(p, {}).items():
                out[f"adam/{key}/{name}"] = value
        return out

    def restore(self, state: _State) -> None:
        tensors = state.tensors
        self.record = state.record
        for name in self.average:
            self.average[name].copy_(tensors[f"ema/{name}"])
        for name, p in self.parameters.items():
            keys = [k for k in ("step", "exp_avg", "exp_avg_sq") if f"adam/{k}/{name}" in tensors]
            self.optimiser.state[p] = {k: _laid_out(tensors[f"adam/{k}/{name}"], p) for k in keys}
        self.generator.set_state(tensors["generator"].cpu())
        device = next(iter(self.parameters.values())).device
        self.window.sums = {n: tensors[f"window/{n}"].to(device) for n in state.counts}
        self.window.counts = dict(state.counts)


def _laid_out(value: Tensor, p: Tensor) -> Tensor:
    """A saved tensor on the device and, where it has its shape, in the memory layout of its parameter: the fused Adam
    reads both in the order of memory."""
    return torch.empty_like(p).copy_(value) if value.shape == p.shape else value.to(p.device).clone()


def learning_rate(schedule: Schedule, step: int, total: int) -> float:
    """The learning rate of step 0 ... total - 1: linear warm-up, then constant or half a cosine down to 0."""
    if step < schedule.warmup:
        return schedule.lr * (step + 1) / schedule.warmup
    if schedule.decay == "none":
        return schedule.lr
    share = (step - schedule.warmup) / max(1, total - schedule.warmup)
    return schedule.lr * 0.5 * (1.0 + math.cos(math.pi * share))


def train(
    model: Model,
    train_split: Split,
    held_out: Split,
    *,
    seed: int,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, StageRecord]:
    """Train all stages of `model` in place; returns a record for each stage.

    With a `folder`, the state is saved there every two minutes, at each stage's end and on an interruption, and a
    later call with the same model, data and seed goes on from it to the same result; a finished model is kept there
    and only loaded. Raises TrainingError on a loss that is not finite and on a stage that reports collapse.
    """
    progress = progress or Progress()
    checkpoint = _Checkpoint(folder) if folder else None
    state = checkpoint.load(model) if checkpoint else None
    records = dict(state.done) if state else {}
    for stage in model.stages():
        if stage.name not in records:
            resume = state if state and state.stage == stage.name else None
            records[stage.name] = _train_stage(
                model, stage, train_split, held_out, seed, records, resume, checkpoint, progress
            )
            if checkpoint:
                checkpoint.save(model, None, records)
    if checkpoint:
        checkpoint.finish(model, records)
    model.eval()
    return records


def _train_stage(
    model: Model,
    stage: Stage,
    train_split: Split,
    held_out: Split,
    seed: int,
    done: dict[str, StageRecord],
    resume: _State | None,
    checkpoint: _Checkpoint | None,
    progress: Progress,
) -> StageRecord:
    model.eval()
    run = _StageRun(model, stage, train_split, seed)
    if resume:
        run.restore(resume)
    stage.module.train()
    with progress.phase(f"train {stage.name}", run.total, done=run.record.steps) as advance:
        _loop(model, run, done, checkpoint, advance)
    run.finish()
    model.eval()
    if stage.skill:
        run.record.skill = stage.skill(held_out)
    return run.record


def _loop(
    model: Model,
    run: _StageRun,
    done: dict[str, StageRecord],
    checkpoint: _Checkpoint | None,
    advance: Advance,
) -> None:
    every = max(1, run.total // HISTORY_POINTS)
    record = run.record
    clock = saved = time.monotonic()
    shown = record.steps
    with _interrupt_between_steps() as interrupted:
        while record.steps < run.total:
            run.window.add(run.step(record.steps))
            record.steps += 1
            if record.steps % every == 0 or record.steps == run.total:
                means = run.window.means()
                _refuse_nonfinite(means, run)
                _append(record.history, record.steps, means)
                run.window = _Window()
                advance(record.steps - shown, note=f"loss {means['loss']:.4g}")
                shown = record.steps
            now = time.monotonic()
            record.seconds, clock = record.seconds + now - clock, now
            if checkpoint and (interrupted() or now - saved > CHECKPOINT_SECONDS):
                _refuse_nonfinite(run.window.means(), run)
                checkpoint.save(model, run, done)
                saved = time.monotonic()
            if interrupted():
                raise KeyboardInterrupt


@contextmanager
def _interrupt_between_steps() -> Iterator[Callable[[], bool]]:
    """Ctrl-C waits for the end of the step, so that a checkpoint never holds half of one; a second one strikes."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt


def _refuse_nonfinite(means: Mapping[str, float], run: _StageRun) -> None:
    bad = [name for name, value in means.items() if not math.isfinite(value)]
    if bad:
        raise TrainingError(
            f"stage {run.stage.name!r}: {', '.join(bad)} is not finite at step {run.record.steps} of {run.total} "
            f"(learning rate {run.stage.schedule.lr:g}); lower the learning rate or look at the data"
        )


def _append(history: dict[str, list[float | None]], step: int, means: Mapping[str, float]) -> None:
    points = len(history["step"])
    history["step"].append(step)
    for name in {**history, **means}:
        if name != "step":
            history.setdefault(name, [None] * points).append(means.get(name))


@torch.no_grad()
def _move_average(average: dict[str, Tensor], parameters: Mapping[str, nn.Parameter], decay: float) -> None:
    """average <- decay * average + (1 - decay) * parameters, for all tensors at once (torch's own EMA)."""
    get_ema_multi_avg_fn(decay)(list(average.values()), [p.detach() for p in parameters.values()], None)


def has_model(folder: Path) -> bool:
    """Whether a finished training left its model in this folder."""
    return _Checkpoint(folder).model.exists()


@dataclass
class _State:
    """What a checkpoint holds besides the model's own tensors."""

    stage: str
    """The stage that was interrupted; empty between stages."""
    record: StageRecord
    done: dict[str, StageRecord]
    counts: dict[str, int]
    tensors: dict[str, Tensor]


class _Checkpoint:
    """`training.safetensors`, the state of an unfinished training, and `model.safetensors`, a finished one.

    No pickle; each file is written whole or not at all.
    """

    def __init__(self, folder: Path) -> None:
        self.training, self.model = folder / "training.safetensors", folder / "model.safetensors"

    def save(self, model: Model, run: _StageRun | None, done: Mapping[str, StageRecord]) -> None:
        self._write(self.training, model, done, run)

    def finish(self, model: Model, done: Mapping[str, StageRecord]) -> None:
        self._write(self.model, model, done, None)
        self.training.unlink(missing_ok=True)

    def load(self, model: Model) -> _State | None:
        """The saved state, with the model's tensors put in place; None where there is none."""
        path = self.model if self.model.exists() else self.training
        if not path.exists():
            return None
        tensors, meta = load_tensors(path)
        if meta.get("signature") != _signature(model):
            raise ResultError(f"{path} belongs to another version of this model; delete it to train afresh")
        model.load_state_dict({n.removeprefix("model/"): t for n, t in tensors.items() if n.startswith("model/")})
        state = json.loads(meta["state"])
        if state["stage"] and state["device"] != model.device.type:
            raise ResultError(
                f"{path} was begun on {state['device']}; go on with --device {state['device']}, or delete it"
            )
        return _State(
            state["stage"],
            StageRecord(**state["record"]),
            {name: StageRecord(**record) for name, record in state["done"].items()},
            state["counts"],
            tensors,
        )

    def _write(self, path: Path, model: Model, done: Mapping[str, StageRecord], run: _StageRun | None) -> None:
        state = {
            "stage": run.stage.name if run else "",
            "record": asdict(run.record if run else StageRecord()),
            "done": {name: asdict(record) for name, record in done.items()},
            "counts": run.window.counts if run else {},
            "device": model.device.type,
        }
        tensors = {f"model/{n}": t for n, t in model.state_dict().items()} | (run.tensors() if run else {})
        save_tensors(path, tensors, {"state": json.dumps(state), "signature": _signature(model)})


def _signature(model: Model) -> str:
    """A hash of what must not change between saving and resuming: stages, and names and shapes of the tensors."""
    shapes = {n: list(t.shape) for n, t in model.state_dict().items()}
    return digest({"stages": [s.name for s in model.stages()], "shapes": shapes})
