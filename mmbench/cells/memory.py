"""The most memory that is taken at a time, of the process or, for what computes on one, of the GPU."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path

import torch

__all__ = ["Peak"]

CLEAR = Path("/proc/self/clear_refs")
"""Of Linux: '5' makes the largest resident set of this process the present one (proc(5))."""


class Peak:
    """From when it is made, where the system can begin anew, else from the process's start."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        since = "since the cell began"
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.of = f"tensors on the GPU, {since}"
            return
        self.of = "resident set of the process, since it began"
        _give_back()
        with suppress(OSError):
            CLEAR.write_text("5")
            self.of = f"resident set of the process, {since}"

    def megabytes(self) -> float | None:
        """10^6 bytes; None where the system does not say it."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 1e6
        try:
            import resource
        except ImportError:  # Windows
            return None
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _give_back() -> None:
    """What was freed and is still held, by Python or by glibc (which is told to keep it, `engine.device.tune`)."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
