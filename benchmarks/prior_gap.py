"""Why a VAE's joint samples do not fit together: its prior, or its decoders? Asserts nothing.

    mmbench run --model mvae,mvtcae,multivae:MMVAEPlus --dataset mnist_fashion --budget laptop --seeds 3
    python benchmarks/prior_gap.py --model mvae,mvtcae,multivae:MMVAEPlus --dataset mnist_fashion --seeds 3

All modalities are decoded from latents of different origins, and the judges read whether they agree (%, all decoded
modalities of one class):

* prior: latents of the prior, so the joint task of a cell.
* given X: latents of the posterior given X alone, of test tuples; of all of them: given everything.
* fitted (--fit 100): latents of a Gaussian mixture of so many full components, fitted afterwards to those of 20,000
  training tuples given everything (scikit-learn's, which comes with multivae), as Ghosh et al. 2020 (arXiv 1903.12436)
  do. FMD of a modality: of what is decoded from these, comparable with the joint FMD of a cell.

Where agreement from posteriors is high and from the prior low, the decoders fit together, and the prior draws latents
that no posterior visits. Where both are low, the decoders do not agree on one latent. MLD has a latent for each
modality and is not asked. The trained stages in --runs are taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from trained import table, trained

from mmbench.errors import MmbenchError, ResultError
from mmbench.likelihoods import decoded
from mmbench.metric import Bench
from mmbench.modality import Task
from mmbench.model import Model
from mmbench.seeding import Noise, generator
from mmbench_baselines.vae import MultimodalVAE
from mmbench_evaluation.classifiers import judge
from mmbench_evaluation.coherence import agreement
from mmbench_evaluation.frechet import FMD, Frechet
from mmbench_mld.model import MLD

BATCH, TRAINING = 1000, 20_000


def origins(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """What is given: nothing (the prior), each modality alone, all of them."""
    yield from ((), *((name,) for name in names), names)


def title(given: tuple[str, ...]) -> str:
    return f"given {'+'.join(given)}" if given else "prior"


@torch.no_grad()
def agreeing(model: Model, bench: Bench, given: tuple[str, ...], seed: int) -> float:
    """How often what is decoded from one latent is read as one class, in %."""
    data, rows = bench.dataset, bench.order[: bench.protocol.count]
    names, draws, found = data.spec.names, generator(seed, "prior gap", *given), []
    for part in rows.split(BATCH):
        batch = {name: x.to(model.device) for name, x in data.test.gather(part, given).items()} if given else {}
        made = model.generate(batch, names, count=len(part), generator=draws)
        found.append(agreement([judge(bench, name).predict(made[name].cpu()) for name in names]))
    return 100 * torch.cat(found).double().mean().item()


@torch.no_grad()
def fitted(model: MultimodalVAE[Any], bench: Bench, components: int, seed: int) -> Iterator[tuple[str, float]]:
    """Agreement in % and FMDs of samples whose latents are of a density that is fitted afterwards."""
    from sklearn.mixture import GaussianMixture

    data, names, latents = bench.dataset, bench.dataset.spec.names, []
    for part in data.train.spread(TRAINING).split(BATCH):
        batch = {name: x.to(model.device) for name, x in data.train.gather(part).items()}
        latents.append(model.infer(batch, Noise(generator(seed, "fit", str(len(latents))), len(part), model.device)))
    density = GaussianMixture(components, random_state=seed, max_iter=100, reg_covar=1e-4)
    density.fit(torch.cat(latents).double().cpu().numpy())
    rows, task = bench.order[: bench.protocol.count], Task((), names)
    z = torch.from_numpy(density.sample(len(rows))[0]).float()
    z = z[torch.randperm(len(z), generator=generator(seed, "fitted"))]  # by component until here
    metric, found = FMD(bench), []
    for part, some in zip(rows.split(BATCH), z.to(model.device).split(BATCH), strict=True):
        made = {name: decoded(data.spec.modality(name), model.decode(name, some)).cpu() for name in names}
        found.append(agreement([judge(bench, name).predict(made[name]) for name in names]))
        if metric.wants(task):
            metric.update(task, made, part)
    yield "fitted", 100 * torch.cat(found).double().mean().item()
    for row in Frechet.compute(metric):
        yield f"FMD of {row.modality}", row.value


def main(
    models: Annotated[str, typer.Option("--model", help="Models with one latent for all, with commas.")],
    dataset: Annotated[str, typer.Option("--dataset", help="A dataset with classes.")] = "mnist_fashion",
    budget: Annotated[str, typer.Option("--budget", help="smoke, laptop or paper.")] = "laptop",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Number of seeds: 3 means seeds 0 to 2.")] = 1,
    count: Annotated[int, typer.Option("--count", min=2, help="Test tuples, and samples.")] = 5000,
    fit: Annotated[int, typer.Option("--fit", help="Components of a density that is fitted; 0: none.")] = 0,
    data_root: Annotated[Path, typer.Option("--data-root", envvar="MMBENCH_DATA")] = Path("data"),
    runs: Annotated[Path, typer.Option("--runs", envvar="MMBENCH_RUNS", help="Trained stages and judges.")] = Path(
        "runs"
    ),
) -> None:
    settings = [f"eval.count={count}", f"eval.quality_count={count}"]
    found: dict[str, dict[str, list[float]]] = {}
    try:
        for plan, model, bench in trained(models.split(","), dataset, budget, seeds, data_root, runs, settings):
            name, seed = plan.key.model, plan.key.seed
            if isinstance(model, MLD):
                raise ResultError(f"{name} has no latent that all modalities share; leave it out")
            for given in origins(bench.dataset.spec.names):
                value = agreeing(model, bench, given, seed)
                found.setdefault(name, {}).setdefault(title(given), []).append(value)
                print(f"{name}, seed {seed}, {title(given)}: {value:.1f} %", flush=True)
            if fit and isinstance(model, MultimodalVAE):
                for column, value in fitted(model, bench, fit, seed):
                    found[name].setdefault(column, []).append(value)
                    print(f"{name}, seed {seed}, {column}: {value:.1f}", flush=True)
    except MmbenchError as error:
        print(f"prior_gap: {error}")
        raise typer.Exit(1) from None
    print(f"\n{table('Model', found)}")


main.__doc__ = __doc__

if __name__ == "__main__":
    typer.run(main)
