"""What every VAE is trained with: one row for each family of datasets, budget and size, and the models that differ.

'digits' are the paper's settings of MNIST-SVHN, 'captions' those of CUB (Appendix C.2), 'polymnist' those of the
paper's code for PolyMNIST. A dataset says which of them
fit it (`DatasetSpec.family`); one that names another family is trained with the rows of 'digits'.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from mmbench.config import Budget, Schedule
from mmbench.modality import DatasetSpec

__all__ = ["FAMILIES", "OBJECTIVES", "SCHEDULES", "family", "objective", "schedule", "size", "top_weights"]

Size = Literal["small", "large"]
"""What a step costs: MLPs; convolutions, ten times as much. Captions stand for residual networks of 64x64 images."""

brief = partial(Schedule, decay="cosine")
brief16 = partial(brief, precision="auto")  # bfloat16 halves the time of a step where it is native

# fmt: off
SCHEDULES: Mapping[tuple[str, str, str, str], Schedule] = {
    # family     budget    size     model
    ("digits",   "paper",  "any",   "any"):        Schedule(epochs=150, batch_size=256, lr=1e-3),
    ("digits",   "paper",  "any",   "mmvae_dreg"): Schedule(epochs=30, batch_size=128, lr=1e-3),
    ("digits",   "laptop", "small", "any"):        brief(steps=8000, batch_size=256, lr=1e-3, warmup=400),
    ("digits",   "laptop", "small", "mmvae_dreg"): brief16(steps=2000, batch_size=64, lr=1e-3, warmup=100),
    ("digits",   "laptop", "large", "any"):        brief(steps=2000, batch_size=128, lr=1e-3, warmup=100),
    ("digits",   "laptop", "large", "mmvae_dreg"): brief16(steps=400, batch_size=16, lr=1e-3, warmup=20),
    ("digits",   "smoke",  "small", "any"):        brief(steps=250, batch_size=256, lr=1e-3, warmup=12),
    ("digits",   "smoke",  "small", "mmvae_dreg"): brief16(steps=100, batch_size=32, lr=1e-3, warmup=5),
    ("digits",   "smoke",  "large", "any"):        brief(steps=100, batch_size=64, lr=1e-3, warmup=5),
    ("digits",   "smoke",  "large", "mmvae_dreg"): brief16(steps=20, batch_size=8, lr=1e-3, warmup=1),
    ("glyphs",   "laptop", "any",   "any"):        brief(steps=8000, batch_size=256, lr=1e-3, warmup=400),
    ("glyphs",   "laptop", "any",   "mmvae_dreg"): brief16(steps=2000, batch_size=64, lr=1e-3, warmup=100),
    ("glyphs",   "smoke",  "any",   "mmvae_dreg"): brief16(steps=100, batch_size=32, lr=1e-3, warmup=5),
    ("glyphs",   "smoke",  "any",   "any"):        brief(steps=1000, batch_size=128, lr=1e-3, warmup=50),
    ("captions", "paper",  "any",   "any"):        Schedule(epochs=150, batch_size=64, lr=1e-3),
    ("captions", "paper",  "any",   "mvae"):       Schedule(epochs=150, batch_size=64, lr=5e-4),
    ("captions", "paper",  "any",   "mopoe"):      Schedule(epochs=150, batch_size=64, lr=5e-4),
    ("captions", "paper",  "any",   "mvtcae"):     Schedule(epochs=150, batch_size=64, lr=5e-4),
    ("captions", "laptop", "any",   "any"):        brief16(steps=1600, batch_size=16, lr=1e-3, warmup=80),
    ("captions", "laptop", "any",   "mmvae_dreg"): brief16(steps=96, batch_size=4, lr=1e-3, warmup=4),
    ("captions", "smoke",  "any",   "any"):        brief16(steps=12, batch_size=32, lr=1e-3),
    ("captions", "smoke",  "any",   "mmvae_dreg"): brief16(steps=2, batch_size=4, lr=1e-3),
    ("polymnist", "paper",  "any",  "any"):        Schedule(epochs=300, batch_size=256, lr=1e-3),
    ("polymnist", "laptop", "any",  "any"):        brief16(steps=3600, batch_size=16, lr=2e-3, warmup=180),
    ("polymnist", "laptop", "any",  "mvae"):       brief16(steps=2400, batch_size=16, lr=2e-3, warmup=120),
    ("polymnist", "laptop", "any",  "mmvae_dreg"): brief16(steps=100, batch_size=8, lr=1e-3, warmup=5),
    ("polymnist", "smoke",  "any",  "any"):        brief16(steps=150, batch_size=64, lr=1e-3, warmup=8),
    ("polymnist", "smoke",  "any",  "mmvae_dreg"): brief16(steps=8, batch_size=8, lr=1e-3),
}
# fmt: on
"""A row that names the model goes before the row of any.

'paper': Appendix C.2, a constant learning rate over epochs of the tuples; mmvae_dreg without captions has MMVAE's own
row for MNIST-SVHN (every model of the suite is trained with Adam; MMVAE's authors used its AMSGrad variant). The other
budgets: at most 4 minutes (captions 13, PolyMNIST 6), or 8 seconds, on two cores, with a warm-up of a twentieth of
the steps. mmvae_dreg's M K samples make a tuple M K times as dear; K belongs to the objective, so it stays. PolyMNIST's
five views cost a small batch 0.1 s (mvae's objectives of random subsets half as much again, so it has fewer): of one
budget of time many small ones teach more than few large ones.
"""

# fmt: off
OBJECTIVES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    # family     model
    ("digits",   "mvae"):       {"latent": 20, "beta": 5.0},
    ("digits",   "mmvae"):      {"latent": 20, "beta": 5.0},
    ("digits",   "mmvae_dreg"): {"latent": 20, "samples": 30},
    ("digits",   "mopoe"):      {"latent": 20, "beta": 5.0},
    ("digits",   "mvtcae"):     {"latent": 20, "beta": 5.0, "alpha": 5 / 6},
    ("digits",   "nexus"):      {"latent": 20, "beta": 1.0, "beta_c": 5.0, "message": 256, "hidden": 256},
    ("captions", "mvae"):       {"latent": 64, "beta": 9.0},
    ("captions", "mmvae"):      {"latent": 64, "beta": 1.0},
    ("captions", "mmvae_dreg"): {"latent": 64, "samples": 50},
    ("captions", "mopoe"):      {"latent": 64, "beta": 9.0},
    ("captions", "mvtcae"):     {"latent": 64, "beta": 9.0, "alpha": 5 / 6},
    ("captions", "nexus"):      {"latent": 64, "beta": 1.0, "beta_c": 1.0, "message": 512, "hidden": 512},
    ("polymnist", "mvae"):       {"latent": 512, "beta": 2.5},
    ("polymnist", "mmvae"):      {"latent": 512, "beta": 2.5},
    ("polymnist", "mmvae_dreg"): {"latent": 512, "samples": 10},
    ("polymnist", "mopoe"):      {"latent": 512, "beta": 2.5},
    ("polymnist", "mvtcae"):     {"latent": 512, "beta": 2.5, "alpha": 5 / 6},
    ("polymnist", "nexus"):      {"latent": 128, "beta": 1.0, "beta_c": 2.5, "message": 512, "hidden": 512},
}
# fmt: on
"""The same at every budget. Latents, beta, alpha and beta_c: Appendix C.2; K of mmvae_dreg: MMVAE's own, 30 for
MNIST-SVHN and 50 for CUB; the sizes of NEXUS: the paper's code."""

FAMILIES = frozenset(name for name, _ in OBJECTIVES)


def family(dataset: DatasetSpec) -> str:
    """The family whose rows a dataset takes: its own, or 'digits' where there are none for it."""
    return dataset.family if dataset.family in FAMILIES else "digits"


def size(dataset: DatasetSpec) -> Size:
    """'large' where a modality has more than 1,000 values."""
    return "large" if any(m.size > 1000 for m in dataset.modalities) else "small"


def schedule(model: str, dataset: DatasetSpec, budget: Budget) -> Schedule:
    """The row of `SCHEDULES` for a model on a dataset at a budget."""
    own = (dataset.family, family(dataset))
    found = [(f, budget, s, m) for f in own for m in (model, "any") for s in (size(dataset), "any")]
    return next(SCHEDULES[row] for row in found if row in SCHEDULES)


def objective(model: str, dataset: DatasetSpec) -> Mapping[str, Any]:
    """The row of `OBJECTIVES` for a model on a dataset."""
    return OBJECTIVES[family(dataset), model]


def top_weights(dataset: DatasetSpec) -> dict[str, float]:
    """g_m of NEXUS: with captions 128 for a text and 1 for an image; else 3072 over an image's number of values.

    The latter is the rule behind the 3.92 for MNIST and 1 for SVHN of the paper's code: with g = 1 for two images of
    28x28, beta_c = 5 outweighs all that the nexus can explain, and it collapses. A text there keeps its own weight.
    """
    if family(dataset) == "captions":
        return {m.name: 128.0 if m.is_text else 1.0 for m in dataset.modalities}
    return {m.name: m.weight if m.is_text else round(3072 / m.size, 2) for m in dataset.modalities}
