"""Up to which noise a modality's latents still tell the class, by the SDE's time. Asserts nothing.

    mmbench run --model mld --dataset mnist_fashion --budget laptop
    python benchmarks/class_noise.py --dataset mnist_fashion --seeds 3

The latents of MLD's autoencoders are diffused exactly to a time t, and a small network learns from training tuples to
read the class from them (fresh noise in each step); its accuracy on test tuples, in %, for each modality and t, one
network each. What is generated decides its class while its own latents begin to tell it, on the way down from t = 1.
In-painting (MLD-Inpaint) shows it at that time what is given under the same noise: where that does not yet tell its
class, it cannot be followed. The trained stages in --runs are taken.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from sampler_numbers import Latents
from torch import Tensor, nn
from trained import table, trained

from mmbench.errors import MmbenchError, ResultError
from mmbench.seeding import generator
from mmbench_mld.model import MLD

LEVELS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
TRAINING, STEPS, BATCH, WIDTH = 20_000, 800, 256, 256


def reader(z: Tensor, classes: Tensor, mean_factor: float, sigma: float, rng: torch.Generator) -> nn.Module:
    """A network that reads the class from latents (N, d) under this noise."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Linear(z.shape[1], WIDTH),
            nn.SiLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.SiLU(),
            nn.Linear(WIDTH, int(classes.max()) + 1),
        )
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=STEPS)
    for _ in range(STEPS):
        rows = torch.randint(len(z), (BATCH,), generator=rng)
        noised = mean_factor * z[rows] + sigma * torch.randn(BATCH, z.shape[1], generator=rng)
        loss = nn.functional.cross_entropy(network(noised), classes[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network


def right(model: MLD, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], t: float, seed: int) -> float:
    """The share of test latents whose class is read, in %, at time t."""
    rng = generator(seed, "class noise", f"{t:g}")
    factor, sigma = model.sde.kernel(t)
    network = reader(*train, factor, sigma, rng)
    z, classes = test
    with torch.no_grad():
        noised = factor * z + sigma * torch.randn(z.shape, generator=rng)
        return 100 * (network(noised).argmax(1) == classes).double().mean().item()


def main(
    dataset: Annotated[str, typer.Option("--dataset", help="A dataset with classes.")] = "mnist_fashion",
    budget: Annotated[str, typer.Option("--budget", help="smoke, laptop or paper.")] = "laptop",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Number of seeds: 3 means seeds 0 to 2.")] = 1,
    data_root: Annotated[Path, typer.Option("--data-root", envvar="MMBENCH_DATA")] = Path("data"),
    runs: Annotated[Path, typer.Option("--runs", envvar="MMBENCH_RUNS", help="Trained stages.")] = Path("runs"),
) -> None:
    found: dict[str, dict[str, list[float]]] = {}
    try:
        for plan, model, bench in trained(["mld"], dataset, budget, seeds, data_root, runs):
            assert isinstance(model, MLD)
            data, rows = bench.dataset, bench.dataset.train.spread(TRAINING)
            if data.train.labels is None or data.test.labels is None:
                raise ResultError(f"{dataset} has no classes; take another dataset")
            latents = Latents(model, bench)
            train, test = latents.encoded(data.train.gather(rows)), latents.real
            for name in data.spec.names:
                known = (train[name].cpu(), data.train.labels[rows])
                asked = (test[name].cpu(), data.test.labels[bench.order[: len(test[name])]])
                for t in LEVELS:
                    value = right(model, known, asked, t, plan.key.seed)
                    found.setdefault(name, {}).setdefault(f"t = {t:g}", []).append(value)
                    print(f"seed {plan.key.seed}, {name}, t = {t:g}: {value:.1f} %", flush=True)
    except MmbenchError as error:
        print(f"class_noise: {error}")
        raise typer.Exit(1) from None
    print(f"\n{table('class read from', found)}")


main.__doc__ = __doc__

if __name__ == "__main__":
    typer.run(main)
