"""In which arithmetic a network computes on a device: float32, or bfloat16 where the device multiplies it natively.

A processor without instructions for bfloat16 emulates it, several times slower than float32; so 'auto' takes bfloat16
where it is native, and float32 elsewhere. Which one it was stands in the record of what was computed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from .config import Precision

__all__ = ["arithmetic", "native_bfloat16"]

CPUINFO = Path("/proc/cpuinfo")
FLAGS = ("amx_bf16", "avx512_bf16", "bf16")
"""Flags of processors that multiply bfloat16 numbers: Intel's and AMD's, and ARM's."""


def arithmetic(precision: Precision, device: torch.device) -> torch.dtype:
    """torch.float32 or torch.bfloat16."""
    if precision == "auto":
        return torch.bfloat16 if native_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def native_bfloat16(device: torch.device) -> str:
    """What multiplies bfloat16 numbers natively: 'avx512_bf16', 'compute capability 9.0'; '' for nothing that is known.

    A GPU has it from compute capability 8.0 on; of a processor, Linux says it.
    """
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"compute capability {major}.{minor}" if major >= 8 else ""
    if device.type != "cpu" or sys.platform != "linux":
        return ""
    try:
        found = set(CPUINFO.read_text().split())
    except OSError:
        return ""
    return next((flag for flag in FLAGS if flag in found), "")
