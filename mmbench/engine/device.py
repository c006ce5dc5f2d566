"""The device that a process computes on, and process-wide settings of torch."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress

import torch

from ..errors import ConfigError, near

__all__ = ["resolve_device", "tune"]


def resolve_device(name: str) -> torch.device:
    """'auto' is a GPU where there is one. Raises ConfigError for a device that is not here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"there is no device {name!r}; {near(name, ('auto', 'cpu', 'cuda'))}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device is to be seen here; use --device cpu or auto")
    return torch.device(name)


def tune(device: torch.device) -> None:
    """Process-wide settings: a quicker CPU with the same results up to float rounding, a GPU that repeats itself.

    Denormals (from collapsed posteriors) slow a CPU 5 to 18 times; they are flushed to zero, which must be asked for
    before any parallel region. glibc gives freed memory back to the system and faults it in again for each tensor above
    128 KiB; told to keep it, a step of the score network took some per cent less time (two noisy comparisons).
    """
    torch.set_flush_denormal(True)
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.mallopt(-3, 2**25)  # M_MMAP_THRESHOLD, at its greatest allowed value
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
