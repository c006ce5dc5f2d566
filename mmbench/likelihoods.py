"""Reconstruction terms -log p(x|z) by modality, and how good a reconstruction is.

The MLD's autoencoders are trained with the same reconstruction term as the VAEs (paper, Appendix C.1), so it stands
here once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from .errors import PluginError
from .modality import Modality

__all__ = [
    "COLLAPSED",
    "decoded",
    "median_item",
    "nll",
    "reconstruction_skill",
    "reconstruction_skills",
    "skill_count",
    "token_accuracy",
]

COLLAPSED = 0.05
"""A reconstruction skill below this is a collapse: hardly better than one constant item."""


def nll(modality: Modality, output: Tensor, x: Tensor) -> Tensor:
    """-log p(x|z) of each item, summed over its values: (..., B), in nats.

    Arguments:
        output: what the decoder gives: the location (..., B, *shape), or logits (..., B, length, vocabulary) of a text.
        x: images float (B, *shape) in [0, 1], or tokens int64 (B, length); the same for all leading dimensions.

    Laplace with scale b: sum |x - xhat| / b + size log(2 b); Gaussian with standard deviation b: sum (x - xhat)^2 /
    (2 b^2) + size (log b + log(2 pi) / 2); a text sums the cross-entropy over all positions, padding included (methods
    of the paper's code).
    """
    if modality.likelihood == "categorical":
        tokens = x.expand(output.shape[:-1])
        return cross_entropy(output.flatten(0, -2), tokens.flatten(), reduction="none").view_as(tokens).sum(-1)
    error, b = (output - x).flatten(-len(modality.shape)), modality.scale
    if modality.likelihood == "laplace":
        return error.abs().sum(-1) / b + modality.size * math.log(2 * b)
    return error.square().sum(-1) / (2 * b**2) + modality.size * (math.log(b) + math.log(2 * math.pi) / 2)


def decoded(modality: Modality, output: Tensor) -> Tensor:
    """The item a decoder's output stands for: the location clamped to [0, 1], or the likeliest tokens (int64).

    Raises PluginError for an output that is not finite: clamped, an infinity is a white pixel, and the likeliest of NaN
    is token 0. (On a GPU the check waits for the output, as whoever takes the item to the CPU does next.)
    """
    if not torch.isfinite(output).all():
        what = "logits" if modality.is_text else "values"
        raise PluginError(
            f"the decoder of {modality.name!r} gives {what} that are not finite (a NaN or an infinity); look at its "
            "weights and at what it was given"
        )
    return output.argmax(-1) if modality.is_text else output.float().clamp(0.0, 1.0)


def reconstruction_skill(modality: Modality, x: Tensor, reconstruction: Tensor) -> float:
    """1 - error / error of the best constant answer: 1 is perfect, 0 or less is no better than one fixed item.

    The error is the mean absolute difference of images (best constant: the median image) and the share of wrong tokens
    of texts (best constant: the commonest token of each position). Both arguments are (n, *shape).
    """
    if modality.is_text:
        error = (reconstruction != x).double().mean()
        baseline = (x.mode(0).values != x).double().mean()
    else:
        error = (reconstruction - x).abs().double().mean()
        baseline = (median_item(x) - x).abs().double().mean()
    return float(1.0 - error / torch.clamp(baseline, min=1e-12))


def median_item(x: Tensor) -> Tensor:
    """`x.median(0).values`, of two middle values the lower: (n, *shape) -> shape, by sorting, for torch's median does
    not promise a GPU the same answer twice. Sorted in parts: the sort's int64 indices are twice the size of the data.
    """
    middle = (len(x) - 1) // 2
    parts = [part.sort(0).values[middle] for part in x.flatten(1).split(1024, 1)]
    return torch.cat(parts).view(x.shape[1:])


def token_accuracy(modality: Modality, x: Tensor, reconstruction: Tensor) -> float:
    """Share of right tokens among those of the true texts x (n, length) that are not padding; 0 where all are."""
    real = torch.ones_like(x, dtype=torch.bool) if modality.padding is None else x != modality.padding
    return float(((reconstruction == x) & real).sum() / real.sum().clamp(min=1))


def skill_count(modality: Modality) -> int:
    """Held-out items that a stage's skill is measured on: fewer of large images, which take a while to decode."""
    return 2000 if modality.size < 10_000 else 200


def reconstruction_skills(modality: Modality, x: Tensor, reconstruction: Tensor) -> dict[str, float]:
    """'skill', and for texts 'token accuracy': the skill of captions counts their padding, most of which is easy.

    Arguments:
        x: items (B, *shape).
        reconstruction: finished items of that shape, `decoded(modality, output)`, made under `torch.no_grad()`.
    """
    skills = {"skill": reconstruction_skill(modality, x, reconstruction)}
    if modality.is_text:
        skills["token accuracy"] = token_accuracy(modality, x, reconstruction)
    return skills
