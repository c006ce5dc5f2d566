"""The paper by name: its models and metrics, the terms of its claims, and the numbers that it prints.

Everything else in the report speaks of some model and some metric.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

__all__ = [
    "CAPTION_MATCH",
    "CLIP_S",
    "CLOSE",
    "CLOSE_CLIP",
    "COHERENCE",
    "COHERENCES",
    "DISTANCES",
    "ENTROPY",
    "FID",
    "FMD",
    "FMD_RATIO",
    "LOWER",
    "MARGIN",
    "METRICS",
    "MIXTURES",
    "MLD",
    "MLD_STAR",
    "MOPOE",
    "MVTCAE",
    "NEXUS",
    "OWN_SCALE",
    "PAPER",
    "PAPER_MODELS",
    "PAPER_TITLE",
    "PRODUCTS",
    "SECOND_JUDGE",
    "TOWARDS_REAL",
    "VAES",
    "Point",
    "Published",
    "folder",
    "metric_digits",
    "metric_title",
    "model_rank",
    "model_title",
    "paper_numbers",
    "paper_voices",
]

Point = tuple[str, str, str]
"""What is measured: metric, task, judged modality."""

# --- names ---

PAPER = "Bounoua et al."
PAPER_TITLE = "Masked Multi-time Diffusion for Multi-modal Generative Modeling"

PAPER_MODELS = {
    "mvae": "MVAE",
    "mmvae": "MMVAE",
    "mopoe": "MoPoE",
    "nexus": "NEXUS",
    "mvtcae": "MVTCAE",
    "mld": "MLD",
    "mld_star": "MLD*",
}
"""The word typed after --model -> its name in print, in the order of the paper's tables."""
METRICS = {
    "coherence": "Coherence",
    "coherence_second": "Coherence by the second judge",
    "label_entropy": "Label entropy",
    "fmd": "FMD",
    "fmd_ratio": "FMD ratio",
    "fid": "FID",
    "clip_s": "CLIP-S",
    "clip_cosine": "CLIP cosine",
    "caption_match": "Caption match",
    "caption_cosine": "Caption cosine",
}
"""Metric -> its name in print."""

COHERENCE, SECOND_JUDGE, CLIP_S, FID, FMD = "coherence", "coherence_second", "clip_s", "fid", "fmd"
ENTROPY, FMD_RATIO, CAPTION_MATCH = "label_entropy", "fmd_ratio", "caption_match"
COHERENCES = (COHERENCE, CLIP_S, CAPTION_MATCH)
"""Agreement of modalities, the paper's choice first: by labels, and by CLIP where there are none."""
DISTANCES = (FID, FMD)
"""Frechet distances, the paper's first choice first."""
OWN_SCALE = (FMD,)
"""Metrics in the scale of their judge, which only ratios and ranks survive."""
TOWARDS_REAL = (ENTROPY,)
"""Metrics that are the better the closer they are to real data's."""

SHARES = frozenset({COHERENCE, SECOND_JUDGE, CAPTION_MATCH, "agreement"})
"""Metrics that are a share of the samples, 0 to 100 %. Others in percent may be more, such as density."""


def model_title(model: str) -> str:
    """A model's name in print."""
    return PAPER_MODELS.get(model, model)


def model_rank(model: str) -> int:
    """Place in the paper's tables; models that are not the paper's come after."""
    order = list(PAPER_MODELS)
    return order.index(model) if model in order else len(order)


def metric_title(metric: str, declared: str = "") -> str:
    """A metric's name in print; of those that are not the suite's what their plugins declare, if anything."""
    return METRICS.get(metric, declared or metric.replace("_", " ").capitalize())


def metric_digits(metric: str) -> int:
    """Digits after the point: the paper's two, and a third for CLIP-S, which lies in 0.5 to 0.8."""
    return 3 if metric == "clip_s" else 2


# --- the terms of its claims ---

MLD, MLD_STAR, MVTCAE, NEXUS, MOPOE = "mld", "mld_star", "mvtcae", "nexus", "mopoe"
MIXTURES = ("mmvae", MOPOE)
PRODUCTS = ("mvae", MVTCAE)
VAES = (*PRODUCTS, *MIXTURES, NEXUS)
MARGIN = 10.0
"""Points of coherence that count as clearly apart."""
CLOSE = 5.0
"""Points of coherence that count as close."""
CLOSE_CLIP = 0.02
"""And of CLIP-S."""
LOWER = 2.0
"""Times by which distances must be lower that are much lower (the paper's are 2.3 to 4 times)."""

# --- numbers ---


@dataclass(frozen=True)
class Published:
    """A number of the paper."""

    table: int
    mean: float
    std: float
    """Over five seeds; NaN where the paper prints none."""
    printed: str = ""
    """As the paper prints it, '0.70' or '48.78 ± 1'."""

    @property
    def digits(self) -> int:
        """Of the mean, after the point, as printed."""
        return len(self.printed.partition(" ")[0].partition(".")[2])


@cache
def paper_voices(dataset: str) -> dict[tuple[str, Point], list[Published]]:
    """(model, point) -> what each of the paper's tables prints, in the order of the tables."""
    found: dict[tuple[str, Point], list[Published]] = {}
    for record in sorted(_records(dataset), key=lambda record: int(record["table"])):
        point = (record["metric"], record["task"], record["modality"])
        mean, std = record["mean"], record["std"]
        printed = f"{mean} ± {std}" if std else mean
        number = Published(int(record["table"]), float(mean), _number(std), printed)
        found.setdefault((record["model"], point), []).append(number)
    return found


def paper_numbers(dataset: str) -> dict[tuple[str, Point], Published]:
    """Where the paper prints a number twice, the later table counts: it has the standard deviations."""
    return {key: numbers[-1] for key, numbers in paper_voices(dataset).items()}


def _records(dataset: str) -> list[dict[str, str]]:
    """The lines of a dataset's file, as they are printed."""
    path = folder("paper") / f"{dataset}.csv"
    if not dataset.isidentifier() or dataset == "hyperparameters" or not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _number(printed: str) -> float:
    return float(printed) if printed else math.nan


def folder(name: str) -> Path:
    """results/paper or results/published: inside the package in a wheel, at the root of the repository in a
    checkout."""
    package = Path(str(resources.files("mmbench")))
    inside = package / name
    return inside if inside.is_dir() else package.parent / "results" / name
