"""What a GPU does in a second, for `gpu.py`: peaks, training steps, sampling, variants of the score network.

The tensors are random, of the shapes and numbers of MNIST-SVHN; the schedules are the paper's. Every section is tried
on its own and writes what it found at once.
"""

from __future__ import annotations

import argparse
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from gpu_network import network
from gpu_run import Run
from gpu_timing import flops, launches, rate, seconds_of, syncs

from mmbench.config import Schedule, override
from mmbench.data.dataset import Split
from mmbench.data.mnist_svhn import SPEC
from mmbench.engine.device import tune
from mmbench.model import Model, Stage
from mmbench.networks import Networks
from mmbench.plugins import MODELS, load
from mmbench.seeding import generator, seeded_init
from mmbench.training import stage_trainer

NAMES = ("mld", "mvae", "mmvae", "mmvae_dreg", "mopoe", "mvtcae", "nexus")
ITEMS = {"mnist": 60_000, "svhn": 73_257}
PAIRS = 1_121_360
TINY = {
    "mld": (
        "width=80",
        "time_embed=16",
        *(f"{s}.batch_size=8" for s in ("score", *map("autoencoders.{}".format, ITEMS))),
    ),
    "mmvae_dreg": ("schedule.batch_size=4", "samples=2"),
    "vae": ("schedule.batch_size=8",),
}
"""Settings that make every model a trifle, to try this program on a CPU."""


def peaks(run: Run) -> None:
    """Matrix products of 8192, a copy, and an empty kernel: what the card can do, and what a launch costs."""
    n = 256 if run.tiny else 8192

    def product(dtype: torch.dtype, precision: str) -> dict[str, float]:
        torch.set_float32_matmul_precision(precision)
        try:
            a, b = (torch.randn(n, n, device=run.device).to(dtype) for _ in range(2))
            return {"tflops": 2 * n**3 * rate(lambda: a @ b, run.device, run.seconds / 3, 3) / 1e12}
        finally:
            torch.set_float32_matmul_precision("highest")

    run.attempt("peaks", "bfloat16", lambda: product(torch.bfloat16, "highest"))
    run.attempt("peaks", "tf32", lambda: product(torch.float32, "high"))
    run.attempt("peaks", "float32", lambda: product(torch.float32, "highest"))
    x, one = torch.randn(n * n, device=run.device), torch.zeros(1, device=run.device)
    run.attempt("peaks", "copy", lambda: {"gb_s": 8 * n * n * rate(x.clone, run.device, run.seconds / 3, 3) / 1e9})
    run.attempt("peaks", "launch", lambda: {"us": 1e6 / rate(lambda: one.add_(1), run.device, run.seconds / 3)})


def synthetic(run: Run) -> Split:
    """Random uint8 images and random pairs with classes, on the device."""
    scale, g = (200 if run.tiny else 1), torch.Generator().manual_seed(0)
    items = {
        m.name: torch.randint(256, (ITEMS[m.name] // scale, *m.shape), generator=g, dtype=torch.uint8)
        for m in SPEC.modalities
    }
    columns = [torch.randint(len(x), (PAIRS // scale,), generator=g, dtype=torch.int32) for x in items.values()]
    labels = torch.randint(10, (PAIRS // scale,), generator=g)
    return Split(items, torch.stack(columns, 1), labels).to(run.device)


def built(run: Run, name: str, *settings: str) -> Model:
    cls: type[Model] = load(MODELS, name, Model)
    small = TINY.get(name, TINY["vae"]) if run.tiny else ()
    with seeded_init(0):
        return cls.build(SPEC, override(cls.recipe(SPEC, "paper"), [*settings, *small]), Networks()).to(run.device)


def stepper(model: Model, stage: Stage, split: Split) -> Callable[[], None]:
    """A function that does one training step as a cell's training does, the running means of its loss included."""
    trainer = stage_trainer(model, stage, stage.prepare(split) if stage.prepare else split, 0)
    stage.module.train()
    taken = iter(range(trainer.total))

    def step() -> None:
        trainer.window.add(trainer.step(next(taken)))

    return step


def training(run: Run) -> None:
    """Steps a second of each stage at the paper's schedule, as the engine sets the device, and without its settings."""
    split = synthetic(run)
    for name in NAMES:
        model = built(run, name)
        for stage in model.stages():
            run.attempt("training", f"{name} {stage.name}", lambda m=model, s=stage: _stage(run, m, s, split))
    torch.use_deterministic_algorithms(False)
    for name, which in (("mld", "score"), ("mld", "autoencoder.svhn"), ("mvtcae", "elbo")):
        model = built(run, name)
        stage = next(s for s in model.stages() if s.name == which)
        step = stepper(model, stage, split)
        work = lambda step=step: {"steps_s": rate(step, run.device, run.seconds)}  # noqa: E731
        run.attempt("training, not deterministic", f"{name} {which}", work)
    tune(run.device)


def _stage(run: Run, model: Model, stage: Stage, split: Split) -> dict[str, Any]:
    step = stepper(model, stage, split)
    speed = rate(step, run.device, run.seconds)
    found: dict[str, Any] = {"steps_s": speed, "steps": stage.schedule.total_steps(PAIRS)}
    found |= {"batch": stage.schedule.batch_size, "precision": stage.schedule.precision}
    found["hours"] = found["steps"] / speed / 3600
    for name, count in (("flop", lambda: flops(step)), ("launches", lambda: launches(step, run.device)),
                        ("syncs", lambda: syncs(step, run.device))):  # fmt: skip
        try:
            found[name] = count()
        except Exception as error:
            found[name] = f"failed: {type(error).__name__}: {str(error)[:200]}"
    peak = run.found.get("peaks", {}).get("float32", {}).get("tflops")
    if peak and isinstance(found["flop"], int):
        found["tflops"] = found["flop"] * speed / 1e12
        found["share of float32 peak"] = found["tflops"] / peak
    return found


def sampling(run: Run) -> None:
    """Milliseconds of a reverse and of a forward move of MLD's sampler by batch size, and of the VAEs' samples."""
    sizes = (10, 20) if run.tiny else (100, 1000, 5000)
    for precision in ("float32", "bfloat16"):
        along = ("sampler.kind=path", "path.steps=40", f"sampling_precision={precision}")
        plain = built(run, "mld", *along, "path.resample=1")
        jumps = built(run, "mld", *along, "path.jump=5", "path.resample=3")
        for size in sizes:
            work = lambda p=plain, j=jumps, n=size: _moves(run, p, j, n)  # noqa: E731
            run.attempt("sampling", f"mld {precision} {size}", work)
    for name in NAMES[1:]:
        model = built(run, name).eval()
        for given in ((), ("svhn",)):
            work = lambda m=model, g=given: {"seconds": _samples(run, m, sizes[1], g)}  # noqa: E731
            run.attempt("sampling", f"{name} {'+'.join(given) or 'joint'} {sizes[1]}", work)


def _samples(run: Run, model: Model, count: int, given: tuple[str, ...] = ()) -> float:
    """Seconds of `count` samples, the second time."""
    shapes = {m.name: m.shape for m in SPEC.modalities}
    x = {name: torch.rand(count, *shapes[name], device=run.device) for name in given}
    targets = tuple(name for name in SPEC.names if name not in given)

    def work() -> None:
        with torch.no_grad():
            model.generate(x, targets, count=count, generator=generator(0, "sample"))

    work()
    return min(seconds_of(work, run.device) for _ in range(2))


def _moves(run: Run, plain: Any, jumps: Any, count: int) -> dict[str, Any]:
    down, long = (m.config.path for m in (plain.eval(), jumps.eval()))
    up = len(long.indices()) - 1 - long.calls
    one, both = _samples(run, plain, count), _samples(run, jumps, count)
    reverse = one / down.calls
    forward = max(0.0, both - long.calls * reverse) / up
    found: dict[str, Any] = {"reverse_ms": 1e3 * reverse, "forward_ms": 1e3 * forward, "calls_s": 1 / reverse}
    with suppress(Exception):
        found["launches of 40 calls"] = launches(lambda: _once(plain, count), run.device, 1)
        found["syncs of 40 calls"] = syncs(lambda: _once(plain, count), run.device, 1)
    return found


def _once(model: Model, count: int) -> None:
    with torch.no_grad():
        model.generate({}, SPEC.names, count=count, generator=generator(0, "sample"))


def judges(run: Run) -> None:
    """Steps a second of the judges' training."""
    from mmbench_evaluation.classifiers import LeNet, train_judge

    split, steps = synthetic(run), 20 if run.tiny else 500

    def speed(modality: Any) -> dict[str, float]:
        def fit(n: int) -> None:
            train_judge(LeNet, split, modality, 10, Schedule(steps=n, batch_size=256, lr=1e-3), 0)

        fit(10)
        short, long = (seconds_of(lambda n=n: fit(n), run.device) for n in (steps // 10, steps))
        return {"steps_s": (steps - steps // 10) / max(1e-9, long - short), "steps": 50 * (PAIRS // 256)}

    for modality in SPEC.modalities:
        run.attempt("judges", modality.name, lambda m=modality: speed(m))


def variants(run: Run) -> None:
    network(run.device, run.tiny, run.seconds, run.attempt)


SECTIONS = {f.__name__: f for f in (peaks, training, sampling, judges, variants)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--seconds", type=float, default=200.0)
    parser.add_argument("--out", type=Path, default=Path("gpu_speed.json"))
    parser.add_argument("--sections", default=",".join(SECTIONS))
    asked = parser.parse_args()
    here = Run(torch.device(asked.device), asked.tiny, asked.out, time.monotonic() + asked.seconds)
    tune(here.device)
    for section in asked.sections.split(","):
        try:
            SECTIONS[section](here)
        except Exception as error:
            traceback.print_exc()
            here.note(section, "failed", f"{type(error).__name__}: {str(error)[:300]}")
