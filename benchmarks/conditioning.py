"""Where a finished MLD cell loses a caption's influence on the image. Asserts nothing.

    python benchmarks/conditioning.py --dataset flowers --budget laptop --data-root DATA    (some minutes)

On the cell's own test tuples, by its own judge (`caption_match`, chance 50 %): the real image; its reconstruction; the
image whose latents a plain network predicts from the caption's latents, alone and with noise of the residuals'
covariance, which is as good a conditional sample as a Gaussian can be; and what share of the variance of unseen image
latents that network explains. The score network's own figure is the cell's caption -> image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import torch
import typer
from torch import Tensor, nn

from mmbench.cells.cell import CellWork
from mmbench.cells.plan import Planner
from mmbench.cells.request import Request
from mmbench.cells.stored import stored
from mmbench.config import Budget
from mmbench.data.dataset import Split
from mmbench.engine.hand import Hand
from mmbench.progress import Progress
from mmbench.seeding import generator, seeded_init
from mmbench_evaluation.caption_match import CaptionMatch
from mmbench_mld.model import MLD

PAIRS, BATCH = 1_000_000, 512


def regression(x: Tensor, y: Tensor) -> nn.Module:
    """An MLP from x (N, a) to y (N, b), trained on a million pairs with a one-cycle learning rate."""
    with seeded_init(0):
        net = nn.Sequential(
            nn.Linear(x.shape[1], 512), nn.SiLU(), nn.Dropout(0.2),
            nn.Linear(512, 512), nn.SiLU(), nn.Dropout(0.2), nn.Linear(512, y.shape[1]),
        )  # fmt: skip
    steps, rng = PAIRS // BATCH, generator(0, "regression")
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    with seeded_init(1):  # dropout
        for _ in range(steps):
            rows = torch.randint(len(x), (BATCH,), generator=rng)
            loss = (net(x[rows]) - y[rows]).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return net.eval()


def pairs(split: Split) -> tuple[Tensor, Tensor]:
    """The captions' and the images' latents of every tuple."""
    index = split.index.long()
    caption, image = (split.items[name][index[:, split.names.index(name)]] for name in ("caption", "image"))
    return caption, image


def main(
    dataset: Annotated[str, typer.Option("--dataset")],
    data_root: Annotated[Path, typer.Option("--data-root")],
    budget: Annotated[str, typer.Option("--budget")] = "laptop",
    allow_partial: Annotated[bool, typer.Option("--allow-partial")] = False,
    results: Annotated[Path, typer.Option("--results")] = Path("results"),
    runs: Annotated[Path, typer.Option("--runs")] = Path("runs"),
) -> None:
    request = Request(
        models=("mld",), dataset=dataset, seeds=(), budget=cast(Budget, budget), data_root=data_root, results=results,
        runs=runs, device="cpu", allow_partial=allow_partial,
    )  # fmt: skip
    shop = Hand(request, Progress()).shop
    plan = max(stored(Planner(shop)), key=lambda plan: plan.key.path(results).stat().st_mtime)
    data = plan.dataset
    model, _ = CellWork(plan, shop, may_train=False).trained()
    assert isinstance(model, MLD)
    bench = shop.bench(plan.protocol)
    judge = CaptionMatch(bench)
    rows = bench.order[: plan.protocol.count]
    batch = data.test.gather(rows)
    caption = data.spec.modality("caption")
    texts = CaptionMatch.judge(bench).texts([caption.text(tokens) for tokens in batch["caption"].tolist()])

    def say(what: str, images: Tensor) -> None:
        score = judge.score(CaptionMatch.judge(bench).images(images), texts).mean().item()
        print(f"{what}: {score:.1f} %", flush=True)

    print(f"{plan.key.path(results)}, {len(rows)} test tuples")
    say("real image", batch["image"])
    (*_, stage) = model.stages()
    assert stage.prepare is not None
    with torch.no_grad():
        latents = stage.prepare(data.train)
        test = model._latents(batch)
        say("reconstruction", model._decode("image", test["image"]))
    x, y = pairs(latents)
    net = regression(x, y)
    with torch.no_grad():
        guess = net(test["caption"])
        left = (guess - test["image"]).square().mean() / (test["image"] - y.mean(0)).square().mean()
        some = torch.randperm(len(x), generator=generator(0, "residuals"))[:20_000]
        spread = torch.linalg.cholesky(torch.cov((y[some] - net(x[some])).T) + 1e-4 * torch.eye(y.shape[1]))
        noise = torch.randn(guess.shape, generator=generator(0, "noise")) @ spread.T
        print(f"explained by the caption's latents: {100 * (1 - left):.1f} % of the image latents' variance")
        say("regression", model._decode("image", guess))
        say("regression with noise", model._decode("image", guess + noise))


if __name__ == "__main__":
    typer.run(main)
