"""The claims of the paper's Tables 1 and 4: two images of one class, a simple and a rich one.

"Simple" and "rich" are the first two image modalities of a dataset, in its order (MNIST and SVHN); quality is FID where
it was measured for all that are compared, else FMD.
"""

from __future__ import annotations

from .comparison import Group
from .evidence import Evidence, Part, above, below, lower, means
from .paper import (
    CLOSE,
    COHERENCE,
    DISTANCES,
    FMD,
    LOWER,
    MARGIN,
    MIXTURES,
    MLD,
    MVTCAE,
    NEXUS,
    PRODUCTS,
    VAES,
    metric_title,
    model_title,
)

__all__ = ["DIGITS", "OF_ANY", "are_digits", "ends"]

Found = tuple[list[Part], str]


def are_digits(group: Group) -> bool:
    """Whether coherence was read by labels and two images or more have distances."""
    return len(_images(group)) > 1 and any(column.metric == COHERENCE for column in group.columns)


def _images(group: Group) -> list[str]:
    judged = {column.point[2] for column in group.columns if column.metric in DISTANCES}
    return [name for name in group.names.modalities if name in judged]


def ends(group: Group) -> tuple[str, str]:
    """The simple and the rich modality."""
    simple, rich = _images(group)[:2]
    return simple, rich


def _apart(one: str, other: str) -> str:
    return f"{model_title(one)} − {model_title(other)}"


def _joint(of: Evidence) -> Found:
    read = {m: of.joint(m) for m in (MLD, *VAES)}
    parts = [above(_apart(MLD, m), read[MLD], read[m], MARGIN) for m in VAES]
    return parts, f"joint coherence {means(read)} %"


def _mixtures(of: Evidence) -> Found:
    simple, rich = ends(of.group)
    read = {m: of.conditional(m, simple, rich) for m in MIXTURES}
    metric, far = of.distances((*MIXTURES, *PRODUCTS), f"{simple}->{rich}", rich)
    chance = of.chance(simple, rich)
    parts = [below(f"{model_title(m)}'s coherence", read[m], 2 * chance) for m in MIXTURES]
    parts += [above(f"{metric_title(metric)} of {_apart(m, p)}", far[m], far[p]) for m in MIXTURES for p in PRODUCTS]
    return parts, f"coherence {means(read)} % (chance {chance:.1f}); {metric_title(metric)} {means(far)}"


def _products(of: Evidence) -> Found:
    simple, rich = ends(of.group)
    parts, said = [], []
    for task in ("joint", f"{simple}->{rich}"):
        metric, far = of.distances((*MIXTURES, *PRODUCTS), task, rich)
        title = f"{metric_title(metric)} {of.group.names.task_title(task)}"
        parts += [above(f"{title} of {_apart(m, p)}", far[m], far[p]) for m in MIXTURES for p in PRODUCTS]
        said.append(f"{title} {means(far)}")
    read = {m: of.conditional(m, rich, simple) for m in (*PRODUCTS, MLD)}
    parts += [above(_apart(MLD, p), read[MLD], read[p], MARGIN) for p in PRODUCTS]
    return parts, "; ".join([*said, f"coherence back {means(read)} %"])


def _lower(of: Evidence) -> Found:
    simple, rich = ends(of.group)
    parts, said = [], []
    for task in ("joint", f"{rich}->{simple}"):
        metric, far = of.distances((*VAES, MLD), task, simple, (FMD,))
        title = f"{metric_title(metric)} {of.group.names.task_title(task)}"
        parts += [lower(f"{title} of {model_title(m)} / {model_title(MLD)}", far[MLD], far[m], LOWER) for m in VAES]
        said.append(f"{title} {means(far)}")
    return parts, "; ".join(said)


def _between(of: Evidence) -> Found:
    simple, rich = ends(of.group)
    read = {m: of.conditional(m, simple, rich) for m in (*MIXTURES, *PRODUCTS, NEXUS)}
    parts = [above(f"coherence of {_apart(NEXUS, m)}", read[NEXUS], read[m]) for m in MIXTURES]
    parts += [above(f"coherence of {_apart(p, NEXUS)}", read[p], read[NEXUS]) for p in PRODUCTS]
    said = [f"coherence {means(read)} %"]
    for task in ("joint", f"{simple}->{rich}"):
        metric, far = of.distances((*MIXTURES, *PRODUCTS, NEXUS), task, rich)
        title = f"{metric_title(metric)} {of.group.names.task_title(task)}"
        parts += [above(f"{title} of {_apart(NEXUS, p)}", far[NEXUS], far[p]) for p in PRODUCTS]
        parts += [above(f"{title} of {_apart(m, NEXUS)}", far[m], far[NEXUS]) for m in MIXTURES]
        said.append(f"{title} {means(far)}")
    return parts, "; ".join(said)


def _as_coherent(of: Evidence) -> Found:
    simple, rich = ends(of.group)
    read = {m: of.conditional(m, simple, rich) for m in (MVTCAE, MLD)}
    both = ((MLD, MVTCAE), (MVTCAE, MLD))
    parts = [above(_apart(one, other), read[one], read[other], -CLOSE) for one, other in both]
    return parts, f"coherence {means(read)} %"


DIGITS = {
    "a": (f"MLD's joint coherence is far above every VAE's (by {MARGIN:g} points or more)", (MLD, *VAES), _joint),
    "b": (
        f"mixtures ({', '.join(map(model_title, MIXTURES))}) lose the condition from the simple to the rich modality "
        "(coherence at most twice chance, quality worse than the products')",
        (*MIXTURES, *PRODUCTS),
        _mixtures,
    ),
    "c": (
        f"products ({', '.join(map(model_title, PRODUCTS))}) have good quality of the rich modality, better than the "
        f"mixtures', but poor coherence back to the simple one ({MARGIN:g} points or more below MLD's)",
        (*MIXTURES, *PRODUCTS, MLD),
        _products,
    ),
    "d": (f"MLD's FMD of the simple modality is {LOWER:g} times lower than every VAE's, or more", (*VAES, MLD), _lower),
    "e": (
        "NEXUS lies between mixtures and products in all that concerns the rich modality",
        (*MIXTURES, *PRODUCTS, NEXUS),
        _between,
    ),
    "f": (
        f"MVTCAE's coherence from the simple to the rich modality is close to MLD's ({CLOSE:g} points)",
        (MVTCAE, MLD),
        _as_coherent,
    ),
}
OF_ANY = ("a",)
"""Claims that need no simple and rich modality."""
