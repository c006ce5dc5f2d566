"""The claims of the paper's Table 5: photographs and their captions."""

from __future__ import annotations

from .comparison import Group
from .evidence import Evidence, Part, above, lower, means
from .paper import CLIP_S, CLOSE_CLIP, DISTANCES, FID, LOWER, MLD, MLD_STAR, VAES, metric_title, model_title

__all__ = ["CAPTIONS", "are_captions"]

Found = tuple[list[Part], str]


def are_captions(group: Group) -> bool:
    """Whether the data are one image with a distance and one text, and CLIP-S was measured."""
    texts = [m["name"] for m in group.dataset["modalities"] if m["tokens"]]
    measured = {column.metric for column in group.columns}
    return len(group.names.modalities) == 2 and len(texts) == 1 and CLIP_S in measured and bool({*DISTANCES} & measured)


def _ends(of: Evidence) -> tuple[str, str]:
    """The image and the text."""
    image, text = sorted(of.group.dataset["modalities"], key=lambda m: m["tokens"])
    return image["name"], text["name"]


def _joint(of: Evidence) -> Found:
    read = {m: of.joint(m, CLIP_S) for m in (MLD, *VAES)}
    parts = [above(f"{model_title(MLD)} − {model_title(m)}", read[MLD], read[m]) for m in VAES]
    return parts, f"joint CLIP-S {means(read, 3)}"


def _convincing(of: Evidence) -> Found:
    image, text = _ends(of)
    read = {m: of.conditional(m, text, image, CLIP_S) for m in (MLD, *VAES)}
    parts = [above(f"CLIP-S of {model_title(MLD)} − {model_title(m)}", read[MLD], read[m]) for m in VAES]
    further, said = _far(of, f"{text}->{image}")
    return parts + further, f"CLIP-S {means(read, 3)}; {said}"


def _images(of: Evidence) -> Found:
    return _far(of, "joint")


def _far(of: Evidence, task: str) -> Found:
    image, _ = _ends(of)
    metric, far = of.distances((MLD, *VAES), task, image, (FID,))
    title = metric_title(metric)
    parts = [lower(f"{title} of {model_title(m)} / {model_title(MLD)}", far[MLD], far[m], LOWER) for m in VAES]
    return parts, f"{title} {means(far)}"


def _captions(of: Evidence) -> Found:
    image, text = _ends(of)
    read = {m: of.conditional(m, image, text, CLIP_S) for m in (MLD, *VAES)}
    pairs = [pair for m in VAES for pair in ((MLD, m), (m, MLD))]
    parts = [above(f"{model_title(a)} − {model_title(b)}", read[a], read[b], -CLOSE_CLIP) for a, b in pairs]
    return parts, f"CLIP-S {means(read, 3)}"


def _larger(of: Evidence) -> Found:
    image, text = _ends(of)
    parts, said = [], []
    for task in ("joint", f"{text}->{image}"):
        metric, far = of.distances((MLD, MLD_STAR), task, image, (FID,))
        title = f"{metric_title(metric)} {of.group.names.task_title(task)}"
        name = f"{title} of {model_title(MLD)} / {model_title(MLD_STAR)}"
        parts.append(lower(name, far[MLD_STAR], far[MLD], LOWER))
        said.append(f"{title} {means(far)}")
    return parts, "; ".join(said)


CAPTIONS = {
    "a": ("MLD's joint CLIP-S is above every VAE's", (MLD, *VAES), _joint),
    "b": (
        "MLD is the only model capable of convincing caption → image generation (CLIP-S above every VAE's, FID "
        f"{LOWER:g} times lower than every VAE's, or more)",
        (MLD, *VAES),
        _convincing,
    ),
    "c": (f"MLD's FID of joint images is {LOWER:g} times lower than every VAE's, or more", (MLD, *VAES), _images),
    "d": (
        f"no model stands out in image → caption (CLIP-S of every VAE within {CLOSE_CLIP:g} of MLD's)",
        (MLD, *VAES),
        _captions,
    ),
    "e": (
        f"a larger image autoencoder makes better images (MLD*'s FID {LOWER:g} times lower than MLD's)",
        (MLD, MLD_STAR),
        _larger,
    ),
}
