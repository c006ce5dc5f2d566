"""Full float32 on a GPU: what a judge says is not to depend on the card."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

__all__ = ["full_precision"]

T = TypeVar("T")
BACKENDS: Any = torch.backends
"""Its parts put themselves in the place of modules, which a type checker does not see."""


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """On a GPU, convolutions and matrix products in float32 instead of TensorFloat-32, which moves features by 1e-3.

    torch has two interfaces to the same switches, and refuses to read the older where the newer contradicts it; so both
    are set, and put back. Without a GPU nothing is touched.
    """
    if device.type != "cuda":
        yield
        return
    cudnn = BACKENDS.cudnn
    parts = (BACKENDS.cuda.matmul, BACKENDS.mkldnn.matmul, cudnn.conv, cudnn.rnn)
    newer = [(part, part.fp32_precision) for part in parts]
    product, convolution = _older(torch.get_float32_matmul_precision), _older(lambda: cudnn.allow_tf32)
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32 = False
    for part, _ in newer:
        part.fp32_precision = "ieee"
    try:
        yield
    finally:
        if product is not None:
            torch.set_float32_matmul_precision(product)
        if convolution is not None:
            cudnn.allow_tf32 = convolution
        for part, before in newer:
            part.fp32_precision = before


def _older(switch: Callable[[], T]) -> T | None:
    """What one of the older switches says; None where it cannot be read."""
    try:
        return switch()
    except RuntimeError:
        return None
