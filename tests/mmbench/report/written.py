"""Cells of the paper's two datasets with all the rows that metrics write, and the paper's numbers as their values."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbench.store import Cell

from ..cells import cell, modality, row

ROOT = Path(__file__).resolve().parents[3]
TABLES = {"mnist_svhn": "4", "cub": "5"}
JUDGES = {"mnist": "lenet 99.1 %", "svhn": "lenet 92.4 %", "mnist+svhn": "lenet 99.1 % + lenet 92.4 %"}
IMAGES = {"mnist_svhn": ("mnist", "svhn"), "cub": ("image",)}
CAPTIONS = [
    modality("image", title="Image", shape=[3, 64, 64], network="resnet"),
    modality("caption", title="Caption", shape=[32], network="words", likelihood="categorical", tokens=1590),
]

Numbers = Mapping[tuple[str, str, str], float]
"""(metric, task, modality) -> value."""


def printed(dataset: str) -> dict[tuple[str, str, str, str], tuple[str, str]]:
    """(model, metric, task, modality) -> mean and std as the repository's copy of the paper's table has them."""
    with (ROOT / "results/paper" / f"{dataset}.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["table"] == TABLES[dataset]]
    return {(x["model"], x["metric"], x["task"], x["modality"]): (x["mean"], x["std"]) for x in lines}


def spread(mean: float, std: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` values with exactly this mean and sample standard deviation."""
    noise = rng.normal(size=count)
    return mean + std * (noise - noise.mean()) / noise.std(ddof=1) if count > 1 else np.array([mean])


def paper_cells(dataset: str, seeds: int = 5, seed: int = 0, change: Mapping[Any, float] | None = None) -> list[Cell]:
    """A cell for each model of the paper and seed; `change` has other means, by (model, metric, task)."""
    rng, values = np.random.default_rng(seed), {}
    for key, (mean, std) in printed(dataset).items():
        value = (change or {}).get(key[:3], float(mean))
        values[key] = spread(value, float(std) if std else 0.002 * abs(value), seeds, rng)
    models = dict.fromkeys(model for model, *_ in values)
    made = []
    for model in models:
        for k in range(seeds):
            own = {key[1:]: float(numbers[k]) for key, numbers in values.items() if key[0] == model}
            rows = list(digits(own) if dataset == "mnist_svhn" else captions(own))
            more = {} if dataset == "mnist_svhn" else {"modalities": CAPTIONS}
            made.append(cell(model, k, rows=rows, dataset=dataset, metrics=measured(rows), **more))
    if dataset == "cub":
        for one in made:
            one["dataset"] |= {"family": "captions", "classes": 0}
    return made


def measured(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The metrics' records."""
    code = {"a_package_that_is_not_here": "2222222222"}
    record = {"distribution": "mmbench 0.1.0", "seconds": 1.0, "commit": None, "code": code}
    return {row["plugin"]: record for row in rows}


def digits(own: Numbers) -> Iterator[dict[str, Any]]:
    """What coherence (with a second judge and entropies), FMD (with ratios) and FID write of MNIST-SVHN."""
    for (metric, task, name), value in own.items():
        interval = [value - 0.9, value + 0.9] if metric == "coherence" else None
        yield row(metric, task, name, value, interval=interval, judge=JUDGES[name] if metric != "fid" else "inception")
        if metric == "coherence":
            yield row("coherence_second", task, name, value - 1, plugin=metric, judge="wide", unit="%",
                      higher_is_better=True)  # fmt: skip
        if metric == "fmd":
            yield row("fmd_ratio", task, name, value / 2, higher_is_better=False, judge=JUDGES[name])
    for name in ("mnist", "svhn"):
        yield row("label_entropy", "joint", name, 2.29, judge=JUDGES[name])
        yield row("coherence", f"{name}->{name}", name, 90.0, source="reconstruction", judge=JUDGES[name])
        yield row("fmd", f"{name}->{name}", name, 2.5, source="reconstruction", judge=JUDGES[name])
    for task in ("joint", "mnist->svhn"):
        yield row("fmd", task, "svhn", 30.0, judge=JUDGES["svhn"])
        yield row("fmd_ratio", task, "svhn", 15.0, judge=JUDGES["svhn"], higher_is_better=False)
    yield row("fid", "svhn->svhn", "svhn", 40.0, source="reconstruction")
    for task, name in (("joint", "mnist+svhn"), ("mnist->svhn", "svhn"), ("svhn->mnist", "mnist")):
        yield row("coherence", task, name, 92.0, source="real", judge=JUDGES[name], data="test tuples")
        yield row("coherence", task, name, 10.1, source="shuffled", judge=JUDGES[name], data="shuffled")


def captions(own: Numbers) -> Iterator[dict[str, Any]]:
    """What CLIP-S, caption match and FID write of photographs and captions."""
    for (metric, task, name), value in own.items():
        yield row(metric, task, name, value, judge="clip" if metric == "clip_s" else "inception")
        if metric == "clip_s":
            yield row("clip_cosine", task, name, value / 2.5, plugin=metric, judge="clip", higher_is_better=None)
            yield row("caption_match", task, name, 100 * value, judge="caption match", unit="%", higher_is_better=True)
            yield row("caption_cosine", task, name, value / 3, plugin="caption_match", judge="caption match",
                      higher_is_better=None)  # fmt: skip
            for source, level in (("real", 0.75), ("shuffled", 0.5)):
                yield row(metric, task, name, level, source=source, judge="clip", data="test tuples")
    yield row("fid", "image->image", "image", 50.0, source="reconstruction")


def printed_table(dataset: str) -> pd.DataFrame:
    """The paper's numbers as they lie in the repository: table, model, metric, task, modality, mean, std."""
    return pd.read_csv(Path(__file__).resolve().parents[3] / "results" / "paper" / f"{dataset}.csv")
