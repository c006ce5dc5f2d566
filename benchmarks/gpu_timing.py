"""How a GPU's work is timed and counted: rates, floating-point operations, kernel launches, waits for the host."""

from __future__ import annotations

import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["captured", "flops", "launches", "rate", "seconds_of", "settle", "syncs"]

Work = Callable[[], object]


def settle(device: torch.device) -> None:
    """Wait until the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def rate(work: Work, device: torch.device, seconds: float, warm: int = 10) -> float:
    """Calls a second: the median of five bursts of about a fifth of `seconds`, after `warm` calls (on a CPU one)."""
    for _ in range(warm if device.type == "cuda" else 1):
        work()
    calls = max(1, round(seconds / 5 / seconds_of(work, device)))

    def burst() -> None:
        for _ in range(calls):
            work()

    return calls / statistics.median(seconds_of(burst, device) for _ in range(5))


def seconds_of(work: Work, device: torch.device) -> float:
    """Wall time of one call, all of its device work included."""
    settle(device)
    start = time.perf_counter()
    work()
    settle(device)
    return time.perf_counter() - start


def flops(work: Work) -> int:
    """Floating-point operations of the matrix products and convolutions of one call, backward passes included."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def launches(work: Work, device: torch.device, calls: int = 5) -> dict[str, float]:
    """Per call: calls of the CUDA runtime by name, and milliseconds in which the device computes; {} on a CPU."""
    if device.type != "cuda":
        return {}
    settle(device)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        for _ in range(calls):
            work()
        settle(device)
    events = profiler.key_averages()
    found = {e.key: e.count / calls for e in events if e.key.startswith(("cuda", "cuLaunch"))}
    kernels = sum(n for name, n in found.items() if "Launch" in name)
    busy = (
        sum(e.self_device_time_total for e in events if e.device_type == DeviceType.CUDA and not e.is_user_annotation)
        / calls
        / 1e3
    )
    return {"kernels": kernels, "device_ms": busy, **found}


def syncs(work: Work, device: torch.device, calls: int = 3) -> dict[str, Any]:
    """Per call: how often the host waits for the device, by 'file:line' and in 'all'; and the operations that have no
    deterministic form, where those were asked for. {} on a CPU."""
    if device.type != "cuda":
        return {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            for _ in range(calls):
                work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    waits = [w for w in caught if "synchronizing CUDA operation" in str(w.message)]
    places = Counter(f"{'/'.join(Path(w.filename).parts[-2:])}:{w.lineno}" for w in waits)
    vague = sorted(
        {str(w.message).split(" does not have a deterministic")[0] for w in caught if "determ" in str(w.message)}
    )
    found = {place: round(n / calls, 2) for place, n in places.most_common(12)}
    return {"all": len(waits) / calls, **found, "not deterministic": [text[:120] for text in vague]}


def captured(work: Work, warm: int = 3) -> Callable[[], None]:
    """The CUDA graph of one call; its tensors must stay where they are."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(warm):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph: Any = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay
