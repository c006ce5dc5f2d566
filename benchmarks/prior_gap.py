"""Why a VAE's joint samples do not fit together: its prior, or its decoders? Asserts nothing.

    mmbench run --model mvae,mvtcae,multivae:MMVAEPlus --dataset mnist_fashion --budget laptop --seeds 3
    python benchmarks/prior_gap.py --model mvae,mvtcae,multivae:MMVAEPlus --dataset mnist_fashion --seeds 3

All modalities are decoded from latents of different origins, and the judges read whether they agree (%, all decoded
modalities of one class):

* prior: latents of the prior, so the joint task of a cell.
* given X: latents of the posterior given X alone, of test tuples; of all of them: given everything.

Where agreement from posteriors is high and from the prior low, the decoders fit together, and the prior draws latents
that no posterior visits. Where both are low, the decoders do not agree on one latent. MLD has a latent for each
modality and is not asked. The trained stages in --runs are taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from trained import table, trained

from mmbench.errors import MmbenchError, ResultError
from mmbench.metric import Bench
from mmbench.model import Model
from mmbench.seeding import generator
from mmbench_evaluation.classifiers import judge
from mmbench_evaluation.coherence import agreement
from mmbench_mld.model import MLD

BATCH = 1000


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


def main(
    models: Annotated[str, typer.Option("--model", help="Models with one latent for all, with commas.")],
    dataset: Annotated[str, typer.Option("--dataset", help="A dataset with classes.")] = "mnist_fashion",
    budget: Annotated[str, typer.Option("--budget", help="smoke, laptop or paper.")] = "laptop",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Number of seeds: 3 means seeds 0 to 2.")] = 1,
    count: Annotated[int, typer.Option("--count", min=2, help="Test tuples, and samples.")] = 5000,
    data_root: Annotated[Path, typer.Option("--data-root", envvar="MMBENCH_DATA")] = Path("data"),
    runs: Annotated[Path, typer.Option("--runs", envvar="MMBENCH_RUNS", help="Trained stages and judges.")] = Path(
        "runs"
    ),
) -> None:
    settings = [f"eval.count={count}", f"eval.quality_count={min(count, 1000)}"]
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
    except MmbenchError as error:
        print(f"prior_gap: {error}")
        raise typer.Exit(1) from None
    print(f"\n{table('Model', found)}")


main.__doc__ = __doc__

if __name__ == "__main__":
    typer.run(main)
