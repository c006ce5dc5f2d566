"""Small cells for the tests of store, report and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmbench.store import Cell, CellKey, sample_key, write_samples
from mmbench.store.provenance import harness

JUDGES = {"mnist": "mnist classifier (accuracy 0.985)", "svhn": "svhn classifier (accuracy 0.921)"}
BOTH = " + ".join(JUDGES.values())


def row(metric: str, task: str, modality: str, value: Any, **more: Any) -> dict[str, Any]:
    better = {"coherence": True, "clip_s": True, "fmd": False, "fid": False}.get(metric)
    judge = {**JUDGES, "mnist+svhn": BOTH}.get(modality, "exact") if metric != "fid" else "inception"
    return {
        "metric": metric,
        "plugin": {"label_entropy": "coherence", "fmd_ratio": "fmd"}.get(metric, metric),
        "task": task,
        "modality": modality,
        "value": value,
        "count": 1000,
        "judge": judge,
        "identity": "" if judge == "exact" else "+".join(["a1b2c3d4"] * len(modality.split("+"))),
        "reference": "e5f6a7b8" if metric == "fmd_ratio" else "",
        "higher_is_better": better,
        "unit": {"coherence": "%", "label_entropy": "nats"}.get(metric, ""),
        "interval": None,
        "note": "",
        "data": "",
        "source": "model",
        **more,
    }


def modality(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "title": name, "shape": [1, 28, 28], "network": "mnist_mlp", "latent": 16,
        "likelihood": "laplace", "scale": 0.75, "weight": 1.0, "tokens": 0, **more,
    }  # fmt: skip


def mnist_svhn_rows(shift: float = 0.0) -> list[dict[str, Any]]:
    """All eight numbers of Table 1 and the entropy, with reference points and reconstructions."""
    model = [
        row("coherence", "joint", "mnist+svhn", 40 + shift),
        row("label_entropy", "joint", "mnist", 2.25),
        row("fmd", "joint", "mnist", 12 + shift),
        row("fid", "joint", "svhn", 70 + shift),
        row("coherence", "mnist->svhn", "svhn", 50 + shift),
        row("coherence", "svhn->mnist", "mnist", 30 + shift),
        row("fid", "mnist->svhn", "svhn", 71 + shift),
        row("fmd", "svhn->mnist", "mnist", 13 + shift),
    ]
    data = [row("coherence", "joint", "mnist+svhn", v, source=s) for s, v in (("real", 91.5), ("shuffled", 10.25))]
    own = [
        row("fmd", "mnist->mnist", "mnist", 3 + shift, source="reconstruction"),
        row("coherence", "svhn->svhn", "svhn", 81 + shift, source="reconstruction"),
    ]
    return model + data + own


def cell(model: str = "mvae", seed: int = 0, rows: list[dict[str, Any]] | None = None, **more: Any) -> Cell:
    """A complete cell; `dataset`, `budget`, `hash`, `config`, `protocol`, ... by name."""
    names = more.pop("modalities", ["mnist", "svhn"])
    titles = more.pop("titles", {})
    dataset = more.pop("dataset", "mnist_svhn")
    made: Any = {
        "schema": 3,
        "dataset": {
            "name": dataset,
            "title": dataset.upper(),
            "family": "digits",
            "fingerprint": "0123456789abcdef",
            "split": more.pop("split", "test"),
            "train": 1000,
            "test": 200,
            "classes": 10,
            "modalities": [modality(n, title=titles.get(n, n)) if isinstance(n, str) else n for n in names],
        },
        "model": {"name": model, "typed": model, "class": "package:Model", "distribution": "mmbench 0.1.0"},
        "budget": "paper",
        "hash": "ab12cd34ef",
        "seed": seed,
        "config": {"latent": 20, "schedule": {"lr": 0.001}},
        "protocol": {"count": None, "quality_count": 5000, "batch_size": 1000, "judge_epochs": 50.0, "seed": 0},
        "overrides": {},
        "code": {"model": {"a_package_that_is_not_here": "1111111111"}, "dataset": {}, "harness": harness()},
        "status": "complete",
        "reason": None,
        "metrics": {},
        "left_out": {},
        "rows": mnist_svhn_rows(seed) if rows is None else rows,
        "stages": {
            "elbo": {
                "steps": 20,
                "seconds": 1.0,
                "skill": {},
                "collapsed": [],
                "artefact": "stage/0123456789abcdef",
                "history": {"step": [10, 20], "loss": [5.0, 4.0], "kl": [None, 1.0]},
            }
        },
        "time": {"train": 1.0},
        "calls": {"joint": {"decoder": 1}},
        "environment": {"python": "3.12"},
        "samples": None,
        **more,
    }
    made["samples"] = CellKey.of(made).samples("0badcafe").as_posix()
    return made


def keep_samples(runs: Path, of: Cell, conditions: int = 0) -> None:
    """A sample file with joint, mnist -> svhn (images) and svhn -> name (texts)."""
    draw = np.random.default_rng(of["seed"])
    fixed = np.random.default_rng(conditions)
    pictures = fixed.integers(0, 255, (4, 1, 28, 28), dtype=np.uint8)
    write_samples(
        runs / str(of["samples"]),
        {
            sample_key("joint", "target", "mnist"): pictures,
            sample_key("joint", "target", "svhn"): draw.random((4, 3, 32, 32), dtype=np.float32),
            sample_key("mnist->svhn", "given", "mnist"): pictures,
            sample_key("mnist->svhn", "target", "svhn"): draw.random((4, 3, 32, 32), dtype=np.float32),
            sample_key("mnist->name", "given", "mnist"): pictures,
            sample_key("mnist->name", "target", "name"): np.array(["one", "", "a bird with a long red beak", "é"]),
        },
    )
