"""What surrounds a cell's training: data, evaluation, the command line."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from speed_clock import Stopwatch
from speed_networks import VAES, step

from mmbench.cells.references import evaluation_order
from mmbench.config import Protocol, Schedule
from mmbench.data.glyphs import Glyphs
from mmbench.data.glyphs import draw as draw_glyphs
from mmbench.errors import UnavailableError
from mmbench.metric import Bench, Metric
from mmbench.networks import Networks
from mmbench.plugins import METRICS, load
from mmbench.progress import Progress
from mmbench.seeding import generator, seeded_init
from mmbench.store import Artefacts, write
from mmbench_baselines.mvae import MVAE

__all__ = ["commands", "evaluation", "loading", "share_of_training"]

COUNT = 5000
"""Samples of a task at the laptop budget."""
MAKERS = Path(__file__).resolve().parents[1] / "tests/mmbench/cells.py"


def evaluation(watch: Stopwatch) -> None:
    """The metrics of glyphs on 5,000 joint samples, judges trained before, and what they are of MVAE's laptop cell."""
    data = draw_glyphs(2000, COUNT)
    schedule = Schedule(steps=50, batch_size=256, lr=1e-3)
    with TemporaryDirectory() as folder:
        bench = Bench(
            dataset=data,
            protocol=Protocol(count=COUNT, quality_count=COUNT, fid_count=64, judge=schedule),
            device=torch.device("cpu"),
            order=evaluation_order(data.test, 0),
            cache=Path(folder),
            artefacts=Artefacts(Path(folder) / "artefacts"),
            progress=Progress(),
        )
        costs = [_metric(watch, name, bench) for name in ("coherence", "fmd")]
        _metric(watch, "fid", bench)
    with seeded_init(0):
        model = MVAE.build(data.spec, MVAE.recipe(data.spec, "laptop"), Networks())
    (stage,) = model.stages()
    training = watch.add("mvae elbo, glyphs: a step", step(model, stage, data.train), 15)
    with torch.no_grad():
        work = lambda: model.eval().generate({}, data.spec.names, count=1000, generator=generator(0, "speed"))  # noqa: E731
        samples = watch.add("mvae, glyphs, 1,000 joint samples", work, 5) * COUNT / 1000
    share = share_of_training(samples + sum(costs), len(data.spec.tasks()), training, stage.schedule.steps or 0)
    print(f"evaluation of a laptop cell of mvae on glyphs, FID apart: about {100 * share:.1f} % of its training")


def share_of_training(task: float, tasks: int, step: float, steps: int) -> float:
    """Evaluation of all tasks over training, both in the same unit; a bound, for only the joint task makes all
    modalities."""
    return task * tasks / (step * steps)


def _metric(watch: Stopwatch, name: str, bench: Bench) -> float:
    """Milliseconds of one metric on joint samples; 0 where it cannot be measured here."""
    metric: type[Metric] = load(METRICS, name, Metric)
    try:
        metric.prepare(bench)
    except UnavailableError as error:
        print(f"{name}: {error}")
        return 0.0
    (joint, *_), test = bench.dataset.spec.tasks(), bench.dataset.test
    count = metric(bench).wants(joint)

    def work() -> None:
        made = metric(bench)
        for rows in bench.order[:count].split(1000):
            made.update(joint, test.gather(rows), rows)
        made.compute()

    return watch.add(f"{name} of {count:,} joint samples of glyphs", work, 3, warm=False)


def loading(watch: Stopwatch) -> None:
    """Glyphs drawn, and from the cache."""
    with TemporaryDirectory() as folder:
        watch.add(
            "draw glyphs, 20,000 + 5,000 tuples", lambda: Glyphs().load(Path(folder), Path(folder)), 1, warm=False
        )
        watch.add("load glyphs from the cache", lambda: Glyphs().load(Path(folder), Path(folder)), 3)


def commands(watch: Stopwatch) -> None:
    """The command line as processes of their own: its help, and the report of 35 cells."""
    watch.add("`mmbench --help`", lambda: _mmbench("--help"), 5)
    with TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        makers = _makers()
        for model in ("mld", *VAES):
            for seed in range(5):
                write(results, makers.cell(model, seed))
        where = ("--results", str(results), "--runs", str(Path(folder) / "runs"))
        watch.add("`mmbench report` of 35 cells", lambda: _mmbench("report", *where), 5)


def _mmbench(*arguments: str) -> None:
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "mmbench", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **threads})


def _makers():
    """The makers of synthetic cells that the tests have."""
    spec = importlib.util.spec_from_file_location("cells", MAKERS)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
