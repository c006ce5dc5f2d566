"""What a sampler's correctors correct: where along the noise joint latents go wrong, and where restarts mend them.

    mmbench run --model mld --dataset mnist_fashion --budget laptop
    python benchmarks/corrector.py --dataset mnist_fashion --budget laptop --split test

Two questions, of the trained stages in --runs (no setting is chosen by the answers, so test tuples may be asked):

* `from t`: the latents of real pairs, diffused exactly to the time t and walked down again by a fine solver (no
  corrector). What is lost is lost below t, by the network's errors there. At t = 1 these are plain samples.
* `mend (low, high)`: plain samples, and then restarts in one band only: up to `high` at once, down to `low` in two
  steps, --times times. What is won is won in that band.

Of each, over --count joint samples: coherence in %; the judges' mean probability of the class they read, in %, a
modality (low where the decoder has drawn what is no digit); the distance of each modality's latents, and of all
latents together, to the nearest training latents, relative to that of real held-out pairs (above 1: beside what the
decoders know; where the modalities are near and all together are far, each is good and the pair does not fit); the
latents' variance relative to the data's. One CSV line a number. Asserts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, cast

import pandas as pd
import torch
import typer
from sampler_numbers import Latents, nearest, prepare
from torch import Tensor

from mmbench.cells.cell import CellWork
from mmbench.cells.plan import Planner
from mmbench.cells.request import Request
from mmbench.config import Budget
from mmbench.engine.hand import Hand
from mmbench.errors import MmbenchError, ResultError
from mmbench.metric import Bench
from mmbench.progress import Progress
from mmbench.seeding import Noise, generator
from mmbench.store.files import write_text
from mmbench_evaluation.classifiers import Classifier, judge
from mmbench_evaluation.coherence import agreement
from mmbench_mld.model import MLD
from mmbench_mld.moves import Move, Restart, Sampler, uniform
from mmbench_mld.solvers import State, Walker, multistep

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
BANDS = ((0.01, 0.03), (0.02, 0.05), (0.03, 0.1), (0.05, 0.15), (0.1, 0.25), (0.2, 0.4), (0.3, 0.6), (0.5, 0.9))
FINE = Sampler(kind="sde2m", steps=40)
PLAIN = Sampler(kind="sde2m", steps=20)
NEIGHBOURS = 1000


class Study:
    """A trained model, its judges, and the latents of real pairs."""

    def __init__(self, model: MLD, bench: Bench, count: int, seed: int) -> None:
        self.model, self.bench, self.seed, self.count = model, bench, seed, count
        self.latents, self.names = Latents(model, bench), model.layout.names
        self.config = model.config

    def noise(self, *words: str) -> Noise:
        return Noise(generator(self.seed, "corrector", *words), self.count, self.model.device)

    def real(self) -> dict[str, Tensor]:
        return {name: z[: self.count] for name, z in self.latents.real.items()}

    @torch.no_grad()
    def sampled(self, sampler: Sampler) -> dict[str, Tensor]:
        """Joint samples; all samplers begin with the same noise."""
        self.model.config = replace(self.config, sampler=sampler)
        return self.model._complete({}, self.count, self.noise("sampled"))

    @torch.no_grad()
    def walked(self, t: float) -> dict[str, Tensor]:
        """Real pairs, diffused to t and walked down by FINE."""
        sde, layout = self.model.sde, self.model.layout
        times, noise = [*uniform(t, FINE.end, FINE.steps - 1, sde), 0.0], self.noise("from", f"{t:g}")
        everywhere = layout.indicator(layout.names, self.model.device)[None]

        def score(x: Tensor, at: Tensor) -> Tensor:
            return self.model.score(x, at * everywhere) / sde.sigma(at)

        def draw() -> Tensor:
            return noise.normal(layout.dim)

        walker, (mean, sigma) = Walker(score, sde, lambda x: x, draw), sde.kernel(t)
        state = State(mean * layout.concat(self.real()) + sigma * draw())
        for a, b in pairwise(times):
            state = multistep(walker, state, Move(a, b), eta=1)
        return layout.split(state.x)

    @torch.no_grad()
    def numbers(self, made: Mapping[str, Tensor]) -> Iterator[tuple[str, str, float]]:
        """Modality, metric, value."""
        read = {}
        for name in self.names:
            probabilities = self.probabilities(name, made[name])
            read[name] = probabilities.argmax(1)
            yield name, "confidence", 100.0 * probabilities.max(1).values.mean().item()
            yield name, "nn_training", self.near((name,), made)
        everything = "+".join(self.names)
        yield everything, "coherence", 100.0 * agreement(list(read.values())).double().mean().item()
        yield everything, "nn_training", self.near(self.names, made)
        whole, real = (self.model.layout.concat(x) for x in (made, self.real()))
        yield everything, "latent_variance", (whole.var(0).mean() / real.var(0).mean()).item()

    def probabilities(self, name: str, z: Tensor) -> Tensor:
        """Of the classes, (B, K), as the modality's judge reads what is decoded."""
        by = judge(self.bench, name)
        if not isinstance(by, Classifier):
            raise ResultError(f"the judge of {name} gives no probabilities; take a dataset of images")
        parts = [by.network(self.model._decode(name, part)) for part in z.split(1000)]
        return torch.cat(parts).softmax(1).cpu()

    def near(self, names: Sequence[str], made: Mapping[str, Tensor]) -> float:
        """Distance to the nearest training latents over that of real held-out ones, which are taken once each."""
        z, real, training = (
            torch.cat([x[name] for name in names], 1) for x in (made, self.latents.real, self.latents.training)
        )
        real, training = (torch.unique(x, dim=0) for x in (real, training))
        some = torch.randperm(len(real), generator=generator(0, "neighbours"))[:NEIGHBOURS].to(real.device)
        return nearest(z[:NEIGHBOURS], training) / nearest(real[some], training)


def lines(study: Study, times: int) -> Iterator[dict[str, Any]]:
    """All numbers of a seed."""
    known = {"seed": study.seed, "count": study.count}

    def measured(part: str, low: float, high: float, made: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        found = [(modality, metric, value) for modality, metric, value in study.numbers(made)]
        told = ", ".join(f"{metric} {modality} {value:.2f}" for modality, metric, value in found)
        print(f"seed {study.seed}, {part} {low:g} {high:g}: {told}", flush=True)
        return [
            {**known, "part": part, "low": low, "high": high, "modality": modality, "metric": metric, "value": value}
            for modality, metric, value in found
        ]

    yield from measured("real", 0.0, 0.0, study.real())
    for t in LEVELS:
        yield from measured("from", 0.0, t, study.walked(t))
    yield from measured("plain", 0.0, 1.0, study.sampled(PLAIN))
    for low, high in BANDS:
        restarts = (Restart(low=low, high=high, steps=2, times=times),)
        yield from measured("mend", low, high, study.sampled(replace(PLAIN, restarts=restarts)))


def main(
    dataset: Annotated[str, typer.Option("--dataset", help="A dataset of images with classes.")] = "mnist_fashion",
    budget: Annotated[str, typer.Option("--budget", help="smoke, laptop or paper.")] = "laptop",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Number of seeds: 3 means seeds 0 to 2.")] = 1,
    split: Annotated[str, typer.Option("--split", help="As the training had.")] = "test",
    count: Annotated[int, typer.Option("--count", min=2, help="Samples.")] = 2000,
    times: Annotated[int, typer.Option("--times", min=1, help="Restarts in a band.")] = 8,
    settings: Annotated[list[str] | None, typer.Option("--set", help="As of the training: 'score.steps=4000'.")] = None,
    data_root: Annotated[Path, typer.Option("--data-root", envvar="MMBENCH_DATA")] = Path("data"),
    runs: Annotated[Path, typer.Option("--runs", envvar="MMBENCH_RUNS", help="Trained stages and judges.")] = Path(
        "runs"
    ),
    out: Annotated[Path | None, typer.Option("--out", help="CSV; default results/corrector-DATASET.csv.")] = None,
) -> None:
    out = out or Path("results") / f"corrector-{dataset}.csv"
    protocol = {"split": split, "count": count, "quality_count": count}
    request = Request(
        models=("mld",), dataset=dataset, seeds=range(seeds), budget=cast(Budget, budget), data_root=data_root,
        results=out.parent, runs=runs, settings=[*(f"eval.{k}={v}" for k, v in protocol.items()), *(settings or ())],
    )  # fmt: skip
    found: list[dict[str, Any]] = []
    try:
        shop = Hand(request, Progress()).shop
        for plan in Planner(shop).plan():
            model, _ = CellWork(plan, shop, may_train=False).trained()
            assert isinstance(model, MLD)
            bench = shop.bench(plan.protocol)
            prepare(bench)
            found += lines(Study(model.eval(), bench, count, plan.key.seed), times)
            write_text(out, pd.DataFrame(found).to_csv(index=False, lineterminator="\n"))
    except MmbenchError as error:
        print(f"corrector: {error}")
        raise typer.Exit(1) from None


main.__doc__ = __doc__

if __name__ == "__main__":
    typer.run(main)
