"""Speed of what a cell spends its time on, against the machine's own limit. Run by `make bench`; asserts nothing.

Each line is the median of several repetitions in one process; compare lines of one run only, for machines are noisy.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from mmbench.cells.references import evaluation_order
from mmbench.config import Protocol, Schedule
from mmbench.data.dataset import Dataset
from mmbench.data.glyphs import Glyphs
from mmbench.data.glyphs import draw as draw_glyphs
from mmbench.engine.device import tune
from mmbench.errors import UnavailableError
from mmbench.metric import Bench, Metric
from mmbench.model import Model, draw
from mmbench.networks import Networks
from mmbench.plugins import METRICS, load
from mmbench.progress import Progress
from mmbench.seeding import Noise, seeded_init
from mmbench.store import Artefacts
from mmbench.training import train
from mmbench_baselines.mvae import MVAE
from mmbench_mld.model import MLD
from mmbench_mld.score import ScoreNetwork


def median(work: Callable[[], object], repeat: int = 7) -> float:
    """Median seconds of a call, after one call to warm up."""
    work()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def show(what: str, seconds: float, note: str = "") -> None:
    print(f"{what:<58}{1e3 * seconds:>10.2f} ms  {note}")


def products() -> None:
    """The machine's limit: matrix products of the score network's size."""
    for dtype in (torch.float32, torch.bfloat16):
        x, w = torch.randn(1000, 512).to(dtype), torch.randn(512, 512).to(dtype)
        seconds = median(lambda x=x, w=w: x @ w, 30)
        show(f"matrix product 1000x512x512, {dtype}", seconds, f"{2 * 1000 * 512 * 512 / seconds / 1e9:.0f} GFLOP/s")


@torch.no_grad()
def score_network() -> None:
    """One network call of the sampler for 1,000 samples, and the noise that goes with it."""
    network = ScoreNetwork(48, 2, width=512, time=256, blocks=2, groups=8).eval()
    flops = 2 * 1000 * sum(p.numel() for p in network.parameters() if p.ndim == 2)
    for dtype in (torch.float32, torch.bfloat16):
        low = network.to(dtype)
        r, tau = torch.randn(1000, 48).to(dtype), torch.rand(1, 2).to(dtype)
        seconds = median(lambda low=low, r=r, tau=tau: low(r, tau))
        show(f"score network, 1,000 samples, {dtype}", seconds, f"{flops / seconds / 1e9:.0f} GFLOP/s")
    noise = Noise(torch.Generator(), 1000)
    show("noise of 1,000 samples (Noise)", median(lambda: noise.normal(48)))
    show("noise of 1,000 samples (torch.randn)", median(lambda: torch.randn(1000, 48)))


def training_steps() -> None:
    """A training step of each stage at the laptop budget, on glyphs."""
    data = draw_glyphs(2000, 100)
    for cls in (MLD, MVAE):
        with seeded_init(0):
            model: Model = cls.build(data.spec, cls.recipe(data.spec, "laptop"), Networks())
        for stage in model.stages():
            steps = 20
            schedule = Schedule(
                steps=steps,
                batch_size=stage.schedule.batch_size,
                lr=1e-4,
                ema=stage.schedule.ema,
                precision=stage.schedule.precision,
            )
            seconds = _seconds(model, stage.name, schedule, data)
            show(f"{cls.__name__} {stage.name}, batch {schedule.batch_size}, {schedule.precision}", seconds / steps)
        start = time.perf_counter()
        draw(model, {}, data.spec.names, count=200, generator=torch.Generator())
        show(f"{cls.__name__} joint samples, 200", time.perf_counter() - start)


def _seconds(model: Model, name: str, schedule: Schedule, data: Dataset) -> float:
    """Seconds of one stage alone, by a model that shows only this stage."""
    stages = [replace(s, schedule=schedule, skill=None) for s in model.stages() if s.name == name]
    model.stages = lambda: stages  # type: ignore[method-assign]
    try:
        return train(model, data.train, data.validation, seed=0)[name].seconds
    finally:
        del model.stages


def metrics() -> None:
    """Every metric of glyphs on 10,000 joint samples (28x28, 32x32 and a word), judges trained before; FID apart."""
    data = draw_glyphs(2000, 10_000)
    schedule = Schedule(steps=50, batch_size=256, lr=1e-3)
    with TemporaryDirectory() as folder:
        bench = Bench(
            dataset=data,
            protocol=Protocol(count=10_000, quality_count=10_000, fid_count=64, judge=schedule),
            device=torch.device("cpu"),
            order=evaluation_order(data.test, 0),
            cache=Path(folder),
            artefacts=Artefacts(Path(folder) / "artefacts"),
            progress=Progress(),
        )
        (joint, *_), total = data.spec.tasks(), 0.0
        for name in ("coherence", "fmd", "fid"):
            metric: type[Metric] = load(METRICS, name, Metric)
            try:
                metric.prepare(bench)
            except UnavailableError as error:
                print(f"{name}: {error}")
                continue
            start, made = time.perf_counter(), metric(bench)
            for rows in bench.order[: made.wants(joint)].split(1000):
                made.update(joint, data.test.gather(rows), rows)
            made.compute()
            seconds = time.perf_counter() - start
            total += seconds if name != "fid" else 0.0
            show(f"{name} of {made.wants(joint):,} joint samples", seconds)
        show("all but FID", total)


def loading() -> None:
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        Glyphs().load(Path(folder), Path(folder))
        show("draw glyphs, 20,000 + 5,000 tuples", time.perf_counter() - start)
        show("load glyphs from the cache", median(lambda: Glyphs().load(Path(folder), Path(folder)), 3))


if __name__ == "__main__":
    tune(torch.device("cpu"))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for work in (products, score_network, training_steps, metrics, loading):
        work()
