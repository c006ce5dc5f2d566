"""Floating-point operations of what torch computes: matrix products, convolutions and attention, forward and backward;
a multiplication and an addition are two. The formulas are torch's."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import (
    FlopCounterMode,
    flop_registry,
    sdpa_backward_flop_count,
    sdpa_flop_count,
    shape_wrapper,
)

__all__ = ["Flops", "flops_of_all"]


def _forward(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(grad, query, key, value)


ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _forward,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _backward,
}
"""What torch's table lacks: attention on a CPU, as on a GPU; shapes are passed."""
FORMULAS = {**flop_registry, **{operation: shape_wrapper(formula) for operation, formula in ATTENTION.items()}}


class Flops(TorchDispatchMode):
    """Counts inside a `with`, and changes no bit of what is computed: each operation runs as it would have.

    torch's own `FlopCounterMode` hangs hooks into the backward pass and takes operations apart, after which gradients
    were summed in another order. What is computed in torch's inference mode may escape this one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = FORMULAS.get(getattr(func, "_overloadpacket", None))
        if formula:
            self.total += int(formula(*args, **(kwargs or {}), out_val=out))
        return out


def flops_of_all() -> FlopCounterMode:
    """torch's own counter, for numbers that are not kept: `get_total_flops()` has also what inference mode computes."""
    return FlopCounterMode(display=False, custom_mapping=ATTENTION)
