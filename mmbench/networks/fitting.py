"""Whether a network fits a modality, and how large it is: both are seen without computing anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import MmbenchError, PluginError, deed
from ..modality import Modality
from . import BUILT_IN, Networks, load

__all__ = ["REFERENCES", "fault", "reference", "refuse_misfits", "size"]

REFERENCES = (
    Modality(name="digit", shape=(1, 28, 28), network="mnist_mlp", latent=20),
    Modality(name="colour", shape=(3, 32, 32), network="svhn_conv", latent=20),
    Modality(name="photograph", shape=(3, 64, 64), network="cub_resnet", latent=64),
    Modality(name="word", shape=(8,), network="word_mlp", latent=20, likelihood="categorical",
             vocabulary=tuple("abcdefghijklmnopqrstuvwxyz ")),
    Modality(name="caption", shape=(32,), network="caption_conv", latent=32, likelihood="categorical",
             vocabulary=tuple(f"w{k}" for k in range(1000))),
)  # fmt: skip
"""Modalities at which sizes are told: the one that has the network, or the first that it fits."""
BATCH, HEADS = 2, 2


def refuse_misfits(modalities: Sequence[Modality]) -> None:
    """Raise PluginError where a modality's network cannot take it, before anything is trained."""
    for modality in modalities:
        if reason := fault(modality):
            fitting = [name for name in BUILT_IN if not fault(_with(modality, name))]
            choice = (
                f"choose {' or '.join(fitting)} with --network {modality.name}=NAME" if fitting else "choose another"
            )
            raise PluginError(
                f"the network {modality.network!r} does not fit the modality {modality.name!r} of shape "
                f"{modality.shape} ({reason}): {choice}"
            )


def fault(modality: Modality, networks: Networks | None = None) -> str:
    """Why a modality's network does not fit it, in a few words; '' where it does.

    Tried without values first, which costs nothing; a network that looks at values is tried on the CPU.
    """
    for device in ("meta", "cpu"):
        try:
            with torch.device(device), torch.no_grad():
                return _fault(modality, networks or Networks())
        except MmbenchError as error:
            return str(error)
        except Exception as error:  # a stranger's network may raise anything
            reason = deed(error).removeprefix("failed with ")
    return reason.splitlines()[0]


def size(modality: Modality) -> tuple[int, int]:
    """Parameters of the encoder with two heads, and of the decoder."""
    networks = Networks()
    latent = networks.latent(modality)
    with torch.device("meta"):
        parts = networks.encoder(modality, latent, HEADS), networks.decoder(modality, latent)
    first, second = (sum(p.numel() for p in part.parameters()) for part in parts)
    return first, second


def reference(name: str) -> str:
    """'330,040 + 322,784 parameters at 1x28x28, latent 20'. Raises PluginError for what is no network."""
    load(name)
    for modality in sorted(REFERENCES, key=lambda m: m.network != name):
        known = _with(modality, name)
        if not fault(known):
            encoder, decoder = size(known)
            shape = "x".join(map(str, known.shape)) + (" tokens" if known.is_text else "")
            return f"{encoder:,} + {decoder:,} parameters at {shape}, latent {Networks().latent(known)}, two heads"
    return "its size is not known: it fits none of the suite's shapes"


def _with(modality: Modality, network: str) -> Modality:
    return replace(modality, network=network)


def _fault(modality: Modality, networks: Networks) -> str:
    latent = networks.latent(modality)
    heads = networks.encoder(modality, latent, HEADS).eval()(_batch(modality))
    if not isinstance(heads, tuple) or not all(isinstance(head, Tensor) for head in heads):
        return f"its encoder gives a {type(heads).__name__}, not a tuple of tensors"
    shapes, wanted = [tuple(head.shape) for head in heads], [(BATCH, latent)] * HEADS
    if shapes != wanted:
        return f"its encoder gives {shapes} where {HEADS} heads of {(BATCH, latent)} are asked for"
    answer = networks.decoder(modality, latent).eval()(torch.zeros(BATCH, latent))
    out = (BATCH, *modality.shape, *([len(modality.vocabulary)] if modality.is_text else []))
    got = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
    return "" if got == out else f"its decoder gives {got} where {out} is asked for"


def _batch(modality: Modality) -> Tensor:
    return torch.zeros(BATCH, *modality.shape, dtype=torch.int64 if modality.is_text else torch.float32)
