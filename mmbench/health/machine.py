"""Devices, whether kernels run on them, and free memory."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import conv2d

from ..precision import native_bfloat16
from ..progress import one_line

__all__ = ["Kernels", "devices", "free_memory", "kernels", "name"]

MEMINFO, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
DTYPES = (torch.float32, torch.bfloat16)


@dataclass(frozen=True)
class Kernels:
    """What a device makes of small products and convolutions of one type."""

    dtype: str
    """'float32', 'bfloat16'."""
    fault: str
    """What went wrong, one sentence; '' for nothing."""
    note: str = ""
    """'native', 'emulated, slow'."""


def devices() -> list[torch.device]:
    """The processor, then each GPU that is to be seen."""
    return [torch.device("cpu"), *(torch.device("cuda", k) for k in range(torch.cuda.device_count()))]


def name(device: torch.device) -> str:
    """'cpu: x86_64, 2 threads', 'cuda:0: NVIDIA H100 80GB HBM3, 79 of 80 GB free'."""
    if device.type == "cuda":
        try:
            free, total = torch.cuda.mem_get_info(device)
            room = f", {free / 1e9:.0f} of {total / 1e9:.0f} GB free"
        except RuntimeError:
            room = ""
        return f"{device}: {torch.cuda.get_device_name(device)}{room}"
    return f"cpu: {platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


def kernels(device: torch.device) -> list[Kernels]:
    """A product and a convolution, forward and backward, in each type."""
    return [Kernels(str(d).removeprefix("torch."), _fault(device, d), _note(device, d)) for d in DTYPES]


def free_memory() -> tuple[float, float] | None:
    """Gigabytes that are free, and in all, within the bounds set to this process; None where nobody says."""
    with suppress(OSError, KeyError, ValueError):
        said = {key: int(kilo) * 1024 for key, kilo in re.findall(r"(\w+):\s+(\d+) kB", MEMINFO.read_text())}
        free, total = said["MemAvailable"], said["MemTotal"]
        with suppress(OSError, ValueError):
            bound = int((CGROUP / "memory.max").read_text())
            free, total = min(free, bound - int((CGROUP / "memory.current").read_text())), min(total, bound)
        return free / 1e9, total / 1e9
    return None


def _fault(device: torch.device, dtype: torch.dtype) -> str:
    """Why small numbers, which each type holds exactly, do not come out as they must; '' where they do."""
    try:
        wrong = [kind for kind, got, wanted in _results(device, dtype) if not torch.equal(got.double().cpu(), wanted)]
    except Exception as error:  # of drivers, of builds without kernels for a device
        return f"{type(error).__name__}: {one_line(str(error)).strip()[:200]}"
    return f"a wrong {' and a wrong '.join(wrong)}" if wrong else ""


def _results(device: torch.device, dtype: torch.dtype) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """(what, its result on the device, the same in float64 on the CPU): integers below 2^8, exact in bfloat16."""
    draws = torch.Generator().manual_seed(0)
    a, b = (torch.randint(-1, 2, (32, 32), generator=draws) for _ in range(2))
    x, w = torch.randint(-1, 2, (2, 3, 8, 8), generator=draws), torch.randint(-1, 2, (4, 3, 3, 3), generator=draws)
    yield "product", a.to(device, dtype) @ b.to(device, dtype), a.double() @ b.double()
    yield "convolution", conv2d(x.to(device, dtype), w.to(device, dtype)), conv2d(x.double(), w.double())
    gradients = []
    for kind, place in ((dtype, device), (torch.float64, torch.device("cpu"))):
        weights = w.to(place, kind).requires_grad_()
        conv2d(x[:1].to(place, kind), weights).sum().backward()
        assert weights.grad is not None
        gradients.append(weights.grad)
    yield "gradient", gradients[0], gradients[1].cpu()


def _note(device: torch.device, dtype: torch.dtype) -> str:
    if dtype != torch.bfloat16:
        return ""
    native = native_bfloat16(device)
    return f"native ({native})" if native else "emulated, slow: --precision auto computes in float32 here"
