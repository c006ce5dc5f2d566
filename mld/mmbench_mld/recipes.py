"""What MLD and MLD* are trained with: one row for each family of datasets, budget and kind of modality.

'digits' are the paper's settings of MNIST-SVHN, 'captions' those of CUB (Tables 2 and 3). A dataset says which of them
fit it (`DatasetSpec.family`); one that names another family is trained with the rows of 'digits'.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from mmbench.config import Budget, Schedule
from mmbench.modality import DatasetSpec, Modality

from .moves import Restart, Sampler
from .schedule import TimePath

__all__ = ["AUTOENCODERS", "FAMILIES", "NETWORKS", "SAMPLERS", "SCORES", "autoencoder", "family", "networks", "score"]

brief = partial(Schedule, decay="cosine", precision="auto")
decayed = partial(brief, weight_decay=1e-6)

# fmt: off
AUTOENCODERS: Mapping[tuple[str, str, str, str], Schedule] = {
    # family     budget    modality model
    ("digits",   "paper",  "any",   "any"):      Schedule(epochs=150, batch_size=128, lr=1e-3),
    ("digits",   "laptop", "small", "any"):      brief(steps=4000, batch_size=128, lr=4e-3, warmup=600),
    ("digits",   "laptop", "large", "any"):      brief(steps=1500, batch_size=128, lr=4e-3, warmup=225),
    ("digits",   "laptop", "any",   "mld_star"): brief(steps=80, batch_size=16, lr=4e-3, warmup=8),
    ("digits",   "smoke",  "any",   "any"):      brief(steps=400, batch_size=64, lr=3e-3, warmup=160),
    ("digits",   "smoke",  "any",   "mld_star"): brief(steps=3, batch_size=8, lr=3e-3),
    ("glyphs",   "laptop", "image", "any"):      brief(steps=4000, batch_size=128, lr=4e-3, warmup=600),
    ("glyphs",   "smoke",  "image", "any"):      brief(steps=1000, batch_size=128, lr=4e-3, warmup=130),
    ("glyphs",   "smoke",  "text",  "any"):      brief(steps=400, batch_size=64, lr=3e-3, warmup=40),
    ("captions", "paper",  "image", "any"):      Schedule(epochs=300, batch_size=128, lr=1e-4, weight_decay=1e-6),
    ("captions", "paper",  "text",  "any"):      Schedule(epochs=500, batch_size=128, lr=1e-3, weight_decay=1e-6),
    ("captions", "laptop", "image", "any"):      decayed(steps=1600, batch_size=16, lr=1e-3, warmup=160),
    ("captions", "laptop", "text",  "any"):      decayed(steps=6000, batch_size=64, lr=3e-3, warmup=600),
    ("captions", "laptop", "image", "mld_star"): decayed(steps=80, batch_size=16, lr=1e-3, warmup=8),
    ("captions", "smoke",  "image", "any"):      decayed(steps=120, batch_size=8, lr=1e-3, warmup=12),
    ("captions", "smoke",  "text",  "any"):      decayed(steps=60, batch_size=64, lr=3e-3, warmup=6),
    ("captions", "smoke",  "image", "mld_star"): decayed(steps=3, batch_size=8, lr=1e-3),
    ("polymnist", "paper",  "image", "any"):     Schedule(epochs=300, batch_size=128, lr=1e-3),
    ("polymnist", "laptop", "image", "any"):     brief(steps=6000, batch_size=16, lr=3e-3, warmup=600),
    ("polymnist", "smoke",  "image", "any"):     brief(steps=150, batch_size=64, lr=2e-3, warmup=15),
}
# fmt: on
"""A row that names the model goes before the row of any. 'small' are modalities of less than 1,000 values.

'paper': Table 2, which prints CUB's weight decay once, as its batch size, so that both autoencoders have it; an epoch
is a pass over the tuples. The other budgets, in bfloat16 where the device has it:

* digits: the long warm-up keeps the L1 loss from collapsing to the median image in its first steps.
* captions: a step of 16 images teaches an image autoencoder as much as one of 32 (0.34 s on two cores; of the captions
  0.05 s). A caption autoencoder that is trained less loses the rare words, colours among them, and with them what an
  image could follow.
* polymnist: a step costs what its images cost, so many small batches teach more: of the view m2, 1,200 of 64 in 44 s
  return no digit that its judge reads (13 %), 4,800 of 16 in 60 s 56 %, 8,000 of 16 in 98 s 76 % (benchmarks/NOTES.md).
* mld_star: an RGB image costs fifteen times as much as with MLD's autoencoder. These budgets show that everything runs;
  good samples need an accelerator.
"""

# fmt: off
SCORES: Mapping[tuple[str, Budget], Schedule] = {
    # family     budget
    ("digits",   "paper"):  Schedule(epochs=150, batch_size=128, lr=1e-4, ema=0.999),
    ("digits",   "laptop"): brief(steps=4300, batch_size=256, lr=1e-3, warmup=215, ema=0.999),
    ("digits",   "smoke"):  brief(steps=150, batch_size=128, lr=2e-3, warmup=10, ema=0.95),
    ("glyphs",   "smoke"):  brief(steps=3000, batch_size=256, lr=2e-3, warmup=150, ema=0.995),
    ("captions", "paper"):  Schedule(epochs=3000, batch_size=64, lr=1e-4, ema=0.999),
    ("captions", "laptop"): brief(steps=8000, batch_size=64, lr=5e-4, warmup=800, ema=0.999),
    ("captions", "smoke"):  brief(steps=20, batch_size=32, lr=3e-4, warmup=2, ema=0.95),
    ("polymnist", "paper"):  Schedule(epochs=3000, batch_size=256, lr=1e-4, ema=0.999),
    ("polymnist", "laptop"): brief(steps=3500, batch_size=128, lr=1e-3, warmup=175, ema=0.999),
    ("polymnist", "smoke"):  brief(steps=200, batch_size=128, lr=1e-3, warmup=20, ema=0.95),
}
# fmt: on
"""'paper': Table 3.

captions: 0.1 s a step on two cores. The score network denoises better after many small batches than after few large
ones: at high noise, 3,000 of 64 (at 6e-4) came nearer than 2,400 of 256 (at 5e-4) in three fifths of the time; of the
condition it learns about as much either way. At 1e-3, which suits a width of 512, that of width 1024 fell back after
100 steps to answering nothing (loss D), and stayed there.
"""

# fmt: off
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "digits":   {"width": 512,  "time_embed": 256, "blocks": 2, "groups": 8,  "p_joint": 0.5, "augment": "none"},
    "glyphs":   {"width": 192,  "time_embed": 96,  "blocks": 2, "groups": 8,  "p_joint": 0.5, "augment": "none"},
    "captions": {"width": 1024, "time_embed": 512, "blocks": 2, "groups": 32, "p_joint": 0.7, "augment": "trivial"},
    "polymnist": {"width": 1536, "time_embed": 512, "blocks": 1, "groups": 32, "p_joint": 0.8, "augment": "none"},
}
NARROW: Mapping[tuple[str, Budget], Mapping[str, Any]] = {
    ("polymnist", "laptop"): {"width": 512, "time_embed": 256, "latent": 48, "p_joint": 0.5},
    ("polymnist", "smoke"): {"width": 256, "time_embed": 128, "latent": 24, "p_joint": 0.5},
}
# fmt: on
"""The same at every budget, but for what `NARROW` changes. Table 3; groups from the paper's code; the augmentation of
images from Appendix C.1. 'polymnist': the paper's code, whose d = 0.2 is the share of conditional steps.

NARROW: PolyMNIST's five views take a score network of 49 million parameters, in which two cores draw 10 samples a
second; of few steps half are conditional ones. A width must pass the noise of all latents on, so these are narrower in
the same proportion (the paper: W / D = 1536 / 800), unless the dataset was given such as fit.
"""

QUICK = Sampler(
    kind="sde",
    steps=10,
    restarts=(Restart(low=0.12, high=0.25, steps=2, times=5), Restart(low=0.03, high=0.12, steps=3, times=5)),
)
"""35 network calls."""

FORTY = Sampler(
    kind="sde2m",
    steps=10,
    restarts=(Restart(low=0.1, high=0.3, steps=3, times=4), Restart(low=0.02, high=0.1, steps=2, times=9)),
)
"""40 network calls: of one seed's validation tuples within 2 points of the coherence of the paper's 2,410, within 5 %
of its joint FMDs, with conditional FMDs up to 13 % higher (benchmarks/NOTES.md). Restarts shrink the latents, as the
paper's do: with the exact score of N(0.8, v) the variance comes out as 0.78 v for v = 1 and 0.94 v for 0.01, where a
path of 205 calls gives 0.99 v and 0.25 v."""

SAMPLERS: Mapping[Budget, Mapping[str, Any]] = {
    "paper": {"path": TimePath(steps=250, jump=10, resample=10), "sampling_precision": "float32"},
    "laptop": {"sampler": FORTY, "path": TimePath(steps=45, jump=5, resample=5), "sampling_precision": "auto"},
    "smoke": {"sampler": QUICK, "sampling_precision": "auto"},
}
"""'paper': Appendix A.4; then few calls with restarts. The laptop's path, of 205 calls, is for models that cannot go by
its sampler, and for sampler.kind=path."""

FAMILIES = frozenset(NETWORKS)


def family(dataset: DatasetSpec) -> str:
    """The family whose rows a dataset takes: its own, or 'digits' where there are none for it."""
    return dataset.family if dataset.family in FAMILIES else "digits"


def autoencoder(dataset: DatasetSpec, modality: Modality, budget: Budget, model: str = "mld") -> Schedule:
    """The row of `AUTOENCODERS` for a modality of a dataset at a budget."""
    kinds = ("text" if modality.is_text else "image", "small" if modality.size < 1000 else "large", "any")
    own = (family(dataset), "digits")
    found = [(f, budget, kind, name) for f in own for name in (model, "any") for kind in kinds]
    return next(AUTOENCODERS[row] for row in found if row in AUTOENCODERS)


def networks(dataset: DatasetSpec, budget: Budget) -> Mapping[str, Any]:
    """The network and the sampler for a dataset at a budget."""
    own = family(dataset)
    rows = {**NETWORKS[own], **SAMPLERS[budget], **NARROW.get((own, budget), {})}
    if "latent" in rows and sum(m.latent for m in dataset.modalities) <= rows["width"]:
        del rows["latent"]
    return rows


def score(dataset: DatasetSpec, budget: Budget) -> Schedule:
    """The row of `SCORES` for a dataset at a budget."""
    return SCORES.get((family(dataset), budget)) or SCORES["digits", budget]
