"""MLD's samplers on trained cells: what each network call buys, in coherence, quality and spread. Asserts nothing.

    mmbench run --model mld --dataset mnist_fashion --budget laptop --set eval.split=validation --seeds 3
    python benchmarks/samplers.py --dataset mnist_fashion --budget laptop --seeds 3 --seconds 400

The trained stages in --runs are taken: a sampler's settings retrain nothing. Give the same data, budget, split and
--set as their training had, or --train to train here what is missing. For each seed and sampler, by rising number of
calls, every task is sampled and measured on the same tuples, with the same noise and judges as a cell:

* coherence, label_entropy, fmd: as in a cell.
* latent_variance: variance of the generated latents over that of the tuples' own; 1 is right.
* nn_diversity: mean distance to the nearest other sample over the same of the tuples' own; 1 is right, less is crowded.
* nn_training: mean distance to the nearest training latents over the same of the tuples' own; above 1 latents lie
  beside what the decoders know, far below 1 they are copies.
* seconds: of sampling the task, decoders among them.

The CSV has one line a number. It is written whole after each sampler, and what stands in it is not measured again: a
call that was interrupted, or whose --seconds were up, goes on where it ended. The figure is drawn from the CSV.
Validation tuples by default: choose by them, and look at --split test once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast

import pandas as pd
import typer
from sampler_figure import draw_figure
from sampler_numbers import Latents, measure, prepare

from mmbench.cells.cell import CellWork
from mmbench.cells.plan import CellPlan, Planner
from mmbench.cells.request import Request
from mmbench.cells.workshop import Workshop
from mmbench.config import Budget, from_json
from mmbench.engine.hand import Hand
from mmbench.errors import ConfigError, MmbenchError, ResultError
from mmbench.progress import Progress
from mmbench.store.files import whole
from mmbench_mld.config import MLDConfig
from mmbench_mld.model import MLD
from mmbench_mld.moves import FEW_CALLS, Langevin, Restart, Sampler
from mmbench_mld.recipes import SAMPLERS
from mmbench_mld.schedule import TimePath


@dataclass(frozen=True)
class Candidate:
    """A sampler to be measured."""

    sampler: Sampler = Sampler()
    path: TimePath = TimePath()

    def of(self, config: MLDConfig) -> MLDConfig:
        return replace(config, sampler=self.sampler, path=self.path)

    @property
    def calls(self) -> int:
        return self.path.calls if self.sampler.kind == "path" else self.sampler.calls

    @property
    def family(self) -> str:
        """A line of the figure: 'dpm2m', 'sde2m + restarts', 'path, resampled'."""
        if self.sampler.kind == "path":
            return "path, resampled" if self.path.resample > 1 else "path, plain"
        parts = {"churn": self.sampler.churn, "restarts": self.sampler.restarts, "Langevin": self.sampler.langevin}
        return " + ".join([self.sampler.kind, *(name for name, there in parts.items() if there)])

    @property
    def name(self) -> str:
        """All of its settings in a line."""
        if self.sampler.kind == "path":
            return f"path {self.path.steps}/{self.path.jump}/{self.path.resample}"
        words = [f"{self.sampler.kind} {self.sampler.steps}"]
        words += [f"{r.times}x{r.steps} in ({r.low:g}, {r.high:g})" for r in self.sampler.restarts]
        words += [f"Langevin {c.steps} of {c.size:g} in ({c.low:g}, {c.high:g})" for c in self.sampler.langevin]
        words += [f"churn {self.sampler.churn:g}"] if self.sampler.churn else []
        words += [f"end {self.sampler.end:g}"] if self.sampler.end != Sampler().end else []
        return " + ".join(words)


def restarts(*rows: tuple[float, float, int, int]) -> tuple[Restart, ...]:
    """Of each (low, high, steps, times)."""
    return tuple(Restart(low=low, high=high, steps=steps, times=times) for low, high, steps, times in rows)


def study() -> list[Candidate]:
    few = [Sampler(kind=kind, steps=n) for kind in ("ddim", "sde", "dpm2m", "sde2m") for n in (10, 20, 40)]
    few += [Sampler(kind="heun", steps=n, churn=churn) for n in (6, 11, 21) for churn in (0.0, 0.1)]
    laptop: Sampler = SAMPLERS["laptop"]["sampler"]
    corrected = [
        (8, restarts((0.03, 0.15, 4, 3))),  # 20 calls
        (10, restarts((0.03, 0.2, 5, 2))),  # 20
        (10, restarts((0.12, 0.25, 2, 5), (0.03, 0.12, 3, 5))),  # 35
        (12, restarts((0.1, 0.3, 3, 4), (0.02, 0.15, 4, 4))),  # 40
        (FEW_CALLS.steps, FEW_CALLS.restarts),  # 40
        (laptop.steps, laptop.restarts),  # 40
    ]
    few += [Sampler(kind=k, steps=n, restarts=r) for k in ("sde", "dpm2m", "sde2m") for n, r in corrected]
    langevin = (Langevin(low=0.02, high=0.3, steps=2, size=0.1),)
    few += [Sampler(kind=kind, steps=20, langevin=langevin) for kind in ("dpm2m", "sde2m")]
    paths = [TimePath(steps=n, resample=1) for n in (20, 45, 250, 1000)]
    paths += [TimePath(steps=45, jump=5, resample=5), TimePath()]
    return [*(Candidate(sampler) for sampler in few), *(Candidate(path=path) for path in paths)]


def tried(text: str) -> Sampler:
    """What --try says. Raises ConfigError."""
    try:
        data = dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise ConfigError(f'--try takes a JSON object such as \'{{"kind": "ddim"}}\', got {text!r}') from error
    return from_json(Sampler, data)


def candidates(tries: Sequence[str], only: Sequence[str]) -> list[Candidate]:
    """Those of --try and those of the study that --only picks; the whole study where there are neither. By calls."""
    found = [Candidate(tried(text)) for text in tries]
    if only or not tries:
        found += [c for c in study() if not only or any(word in f"{c.family}, {c.name}" for word in only)]
    return sorted(found, key=lambda candidate: candidate.calls)


class Table:
    """The CSV: one line a number, written whole after each sampler."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = pd.read_csv(path, keep_default_na=False) if path.exists() else pd.DataFrame()

    def holds(self, what: Mapping[str, Any]) -> bool:
        """Whether some line has all these values."""
        if self.rows.empty:
            return False
        same = [self.rows[column].astype(str) == str(value) for column, value in what.items()]
        return bool(pd.concat(same, axis=1).all(axis=1).any())

    def add(self, lines: Sequence[Mapping[str, Any]]) -> None:
        self.rows = pd.concat([self.rows, pd.DataFrame(lines)], ignore_index=True)
        packed = {"method": "gzip", "mtime": 0} if self.path.suffix == ".gz" else None
        with whole(self.path) as temporary:
            self.rows.to_csv(temporary, index=False, lineterminator="\n", compression=packed)


class Trained:
    """The trained model of one seed, and what its samplers are measured with."""

    def __init__(self, shop: Workshop, plan: CellPlan, train: bool) -> None:
        self.plan, self.device = plan, shop.device
        model, records = CellWork(plan, shop, may_train=train).trained()
        assert isinstance(model, MLD)
        self.model, self.config = model.eval(), model.config
        self.bench, self.score = shop.bench(plan.protocol), records["score"].artefact
        self.latents = Latents(self.model, self.bench)
        prepare(self.bench)

    def facts(self, candidate: Candidate) -> dict[str, Any]:
        """What names a sampler's lines."""
        key, data = self.plan.key, self.plan.dataset
        return {
            "dataset": data.spec.name, "fingerprint": data.fingerprint, "split": data.split, "budget": key.budget,
            "seed": key.seed, "score": self.score, "precision": self.config.sampling_precision,
            "tuples": self.plan.protocol.count, "sampler": candidate.name,
        }  # fmt: skip

    def lines(self, candidate: Candidate) -> list[dict[str, Any]]:
        """All numbers of a sampler."""
        known = {"family": candidate.family, "calls": candidate.calls, "device": self.device.type}
        self.model.config = candidate.of(self.config)
        found = measure(self.model, self.bench, self.latents, self.plan.key.seed)
        return [{**self.facts(candidate), **known, **line} for line in found]


def run(trained: Sequence[Trained], chosen: Sequence[Candidate], table: Table, deadline: float) -> bool:
    """Measure what the table lacks, by rising calls, all seeds of a sampler one after the other; False where the time
    was up before. How long a sampler will take is told from a call of the one before."""
    per_call = 0.0
    for candidate, one in ((c, t) for c in chosen for t in trained):
        if table.holds(one.facts(candidate)):
            continue
        started = time.monotonic()
        if started + per_call * candidate.calls > deadline:
            return False
        lines = one.lines(candidate)
        table.add(lines)
        spent = time.monotonic() - started
        per_call = spent / candidate.calls
        print(f"seed {one.plan.key.seed}, {candidate.calls} calls: {candidate.name}: {summary(lines)} ({spent:.1f} s)")
    return True


def summary(lines: Sequence[Mapping[str, Any]]) -> str:
    """The coherences and FMDs in a line."""
    shown = [line for line in lines if line["metric"] in ("coherence", "fmd")]
    return ", ".join(f"{x['task']} {x['metric']} of {x['modality']} {x['value']:.1f}" for x in shown)


def main(
    dataset: Annotated[str, typer.Option("--dataset", help="A dataset with classes.")] = "mnist_fashion",
    budget: Annotated[str, typer.Option("--budget", help="smoke, laptop or paper.")] = "laptop",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Number of seeds: 3 means seeds 0 to 2.")] = 1,
    split: Annotated[str, typer.Option("--split", help="validation to choose by, or test.")] = "validation",
    count: Annotated[int, typer.Option("--count", min=2, help="Tuples, and samples of each task.")] = 2000,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Samples at once; 5000 on a GPU.")] = 1000,
    seconds: Annotated[float | None, typer.Option("--seconds", help="Stop before a sampler that takes longer.")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="Those with this in their name: 'restarts'.")] = None,
    tries: Annotated[
        list[str] | None,
        typer.Option(
            "--try", help='Another sampler, as JSON: \'{"kind": "sde2m", "steps": 12}\'. See mmbench_mld.moves.'
        ),
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="As of the training: 'score.steps=4000'.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train the stages that are not there.")] = False,
    data_root: Annotated[Path, typer.Option("--data-root", envvar="MMBENCH_DATA")] = Path("data"),
    runs: Annotated[Path, typer.Option("--runs", envvar="MMBENCH_RUNS", help="Trained stages and judges.")] = Path(
        "runs"
    ),
    out: Annotated[
        Path | None, typer.Option("--out", help="CSV, or .csv.gz; default results/samplers-DATASET.csv.")
    ] = None,
    figure: Annotated[Path | None, typer.Option("--figure", help="Default: beside the CSV, .png.")] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
) -> None:
    deadline = time.monotonic() + (float("inf") if seconds is None else seconds)
    out = out or Path("results") / f"samplers-{dataset}.csv"
    protocol = {"split": split, "count": count, "quality_count": count, "batch_size": batch}
    request = Request(
        models=("mld",), dataset=dataset, seeds=range(seeds), budget=cast(Budget, budget), data_root=data_root,
        results=out.parent, runs=runs, device=device,
        settings=[*(f"eval.{name}={value}" for name, value in protocol.items()), *(settings or ())],
    )  # fmt: skip
    try:
        chosen, table = candidates(tries or (), only or ()), Table(out)
        shop = Hand(request, Progress()).shop
        plans = Planner(shop).plan()
        if not {"coherence", "fmd"} <= set(plans[0].dataset.spec.metrics):
            raise ResultError(f"{dataset} has no classes to be coherent in; take another dataset")
        done = run([Trained(shop, plan, train) for plan in plans], chosen, table, deadline)
        if not table.rows.empty:
            draw_figure(table.rows, figure or out.with_name(out.name.removesuffix(".gz")).with_suffix(".png"))
    except MmbenchError as error:
        print(f"samplers: {error}")
        raise typer.Exit(1) from None
    print(f"{out}: {'complete' if done else 'the time is up; the same call goes on'}")


main.__doc__ = __doc__

if __name__ == "__main__":
    typer.run(main)
