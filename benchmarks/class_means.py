"""What a judge says of means and medians of images: does a blurred sample count as coherent?

    python benchmarks/class_means.py mnist_fashion fashion
    python benchmarks/class_means.py mnist_svhn_subset svhn --steps 1000

A mixture of experts that knows of the other modality only the class does best by drawing, in each pixel, the median of
the class (Laplace likelihood), or its mean (Gaussian). Where the judge reads these as their class, this is full
coherence. Means and medians of K test images of a class are given to a judge (trained on all training tuples, in one
thread), 50 draws a class and K, and those of all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from mmbench.config import Schedule
from mmbench.data.dataset import Split, as_input
from mmbench.data.declared import loaded
from mmbench.data.named import source_of
from mmbench_evaluation.classifiers import Classifier, accuracy, train_judge
from mmbench_evaluation.judge_choice import briefer, find

SIZES = (1, 3, 10, 30, None)
"""Images behind a mean or median; None: all of the class."""
DRAWS = 50


def middles(split: Split, modality: str, size: int | None, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Means and medians of images of one class, each (N, *shape), and their classes (N,)."""
    used = split.used(modality)
    images, classes = as_input(split.items[modality][used]), split.item_labels(modality)[used]
    means, medians, labels = [], [], []
    for label in classes.unique().tolist():
        own = images[classes == label]
        for _ in range(DRAWS if size else 1):
            some = own[torch.randint(len(own), (size,), generator=rng)] if size else own
            means.append(some.mean(dim=0))
            medians.append(some.median(dim=0).values)
            labels.append(label)
    return torch.stack(means), torch.stack(medians), torch.tensor(labels)


def main(
    dataset: str,
    modality: str,
    judge: Annotated[str, typer.Option("--judge")] = "lenet",
    steps: Annotated[int, typer.Option("--steps", help="Of the judge's training.")] = 3000,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    data_root: Annotated[Path, typer.Option("--data-root", envvar="MMBENCH_DATA")] = Path("data"),
    cache: Annotated[Path, typer.Option("--cache")] = Path("runs/cache"),
) -> None:
    torch.set_num_threads(1)
    source = source_of(dataset)
    source.allow_partial = True
    data, build = loaded(source, dataset, data_root, cache), find(judge)
    schedule = Schedule(steps=steps, batch_size=256, lr=3e-3, warmup=steps // 20, decay="cosine")
    spec = data.spec.modality(modality)
    reader = Classifier(train_judge(build, data.train, spec, data.spec.classes, briefer(schedule, build), seed))
    right = 100 * accuracy(reader, data.test, modality)
    print(f"{dataset}, {modality}: {judge}, right on {right:.1f} % of the test images")
    rng = torch.Generator().manual_seed(seed)
    for size in SIZES:
        *found, labels = middles(data.test, modality, size, rng)
        mean, median = (100 * (reader.predict(images) == labels).double().mean().item() for images in found)
        print(f"{size or 'all'} images of a class: of means {mean:.1f} % are read as it, of medians {median:.1f} %")


main.__doc__ = __doc__

if __name__ == "__main__":
    typer.run(main)
