"""The score network's training step on a GPU in many forms: precision, CUDA graph, torch.compile, five at once.

The network is the paper's for MNIST-SVHN (D = 80, W = 512, T = 256); a step is forward, backward, fused Adam and the
moving average, on fixed inputs. What a form gains here is what the training loop could gain.
"""

from __future__ import annotations

import copy
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from gpu_timing import captured, flops, launches, rate
from torch import Tensor, nn

from mmbench_mld.score import ScoreNetwork

__all__ = ["network"]

SEEDS = 5
Attempt = Callable[[str, str, Callable[[], Any]], None]


def made(device: torch.device, tiny: bool) -> ScoreNetwork:
    torch.manual_seed(0)
    width, time_embed = (32, 16) if tiny else (512, 256)
    return ScoreNetwork(80, 2, width=width, time=time_embed, blocks=2, groups=8).to(device)


def objective(net: Callable[..., Tensor], r: Tensor, tau: Tensor, eps: Tensor, device: str, low: bool) -> Tensor:
    with torch.autocast(device, torch.bfloat16, enabled=low, cache_enabled=False):
        out = net(r, tau)
    return (out.float() + eps).square().sum(1).mean()


def stepping(net: nn.Module, forward: Callable[..., Tensor], batch: int, low: bool) -> Callable[[], None]:
    """One training step of `net`, whose forward pass is `forward`; fit for a CUDA graph."""
    device = next(net.parameters()).device
    parameters = list(net.parameters())
    average = [p.detach().clone() for p in parameters]
    optim = torch.optim.Adam(parameters, lr=1e-4, fused=True, capturable=device.type == "cuda")
    r, eps = (torch.randn(batch, 80, device=device) for _ in range(2))
    tau = torch.rand(batch, 2, device=device)

    def step() -> None:
        optim.zero_grad(set_to_none=True)
        objective(forward, r, tau, eps, device.type, low).backward()
        optim.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, parameters, 0.001)

    return step


def network(device: torch.device, tiny: bool, seconds: float, attempt: Attempt) -> None:
    """All forms, the quick and sure ones first."""
    cuda = device.type == "cuda"

    def form(how: str, precision: str, batch: int, deterministic: bool = False) -> dict[str, Any]:
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        try:
            return _timed(device, tiny, seconds, how, precision, batch)
        finally:
            torch.set_float32_matmul_precision("highest")
            torch.use_deterministic_algorithms(cuda, warn_only=True)

    for how in ("eager", "graph")[: 1 + cuda]:
        for precision, batch in (("float32", 256), ("tf32", 256), ("bfloat16", 256), ("float32", 128)):
            attempt("network", f"{how} {precision} {batch}", lambda h=how, p=precision, b=batch: form(h, p, b))
        attempt("network", f"{how} deterministic float32 128", lambda h=how: form(h, "float32", 128, True))
    for how, precision in (("reduce-overhead", "float32"), ("default", "float32"), ("reduce-overhead", "bfloat16")):
        attempt("network", f"compile {how} {precision} 256", lambda h=how, p=precision: form(h, p, 256))
    if cuda:
        for precision in ("float32", "bfloat16"):
            for size in (100, 1000, 5000):
                attempt("network", f"call {precision} {size}", lambda p=precision, n=size: _call(device, seconds, p, n))
    attempt("network", f"stacked {SEEDS} float32 128", lambda: _stacked(device, tiny, seconds))
    for count in (SEEDS, 1):
        attempt("network", f"processes {count} float32 128", lambda n=count: _processes(device, tiny, n))


def _timed(device: torch.device, tiny: bool, seconds: float, how: str, precision: str, batch: int) -> dict[str, Any]:
    net, start = made(device, tiny), time.monotonic()
    forward = net if how in ("eager", "graph") else torch.compile(net, mode=None if how == "default" else how)
    step = stepping(net, forward, batch, precision == "bfloat16")
    found: dict[str, Any] = {}
    if how == "eager":
        step()
        found["flop"] = flops(step)
        with suppress(Exception):
            found["launches"] = launches(step, device)
    if how == "graph":
        step = captured(step)
    step()
    found["first_s"] = time.monotonic() - start
    found["steps_s"] = rate(step, device, seconds)
    found["ms"] = 1e3 / found["steps_s"]
    return found


@torch.no_grad()
def _call(device: torch.device, seconds: float, precision: str, size: int) -> dict[str, float]:
    """One call of the sampler's network for `size` samples: as it is, and as a CUDA graph."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    net = made(device, False).to(dtype).eval()
    r, tau = torch.randn(size, 80, device=device).to(dtype), torch.rand(1, 2, device=device).to(dtype)
    eager = rate(lambda: net(r, tau), device, seconds / 2)
    graph = rate(captured(lambda: net(r, tau)), device, seconds / 2)
    return {"eager_ms": 1e3 / eager, "graph_ms": 1e3 / graph}


def _stacked(device: torch.device, tiny: bool, seconds: float) -> dict[str, Any]:
    """Five networks as one program (vmap over their parameters), with and without a CUDA graph."""
    nets = [copy.deepcopy(made(device, tiny)) for _ in range(SEEDS)]
    stacked, _ = torch.func.stack_module_state(nets)  # type: ignore[arg-type]
    names, base = list(stacked), copy.deepcopy(nets[0]).to("meta")
    values = [stacked[n].detach().requires_grad_() for n in names]
    optim = torch.optim.Adam(values, lr=1e-4, fused=True, capturable=device.type == "cuda")
    r, eps = (torch.randn(SEEDS, 128, 80, device=device) for _ in range(2))
    tau = torch.rand(SEEDS, 128, 2, device=device)

    def one(parameters: dict[str, Tensor], r: Tensor, tau: Tensor) -> Tensor:
        return torch.func.functional_call(base, parameters, (r, tau))

    def step() -> None:
        optim.zero_grad(set_to_none=True)
        out = torch.func.vmap(one)(dict(zip(names, values, strict=True)), r, tau)
        (out + eps).square().sum(2).mean(1).sum().backward()
        optim.step()

    found = {}
    if device.type == "cuda":  # before any eager step, whose autograd nodes belong to the default stream
        found["graph_steps_s_all"] = SEEDS * rate(captured(step), device, seconds)
    return {**found, "eager_steps_s_all": SEEDS * rate(step, device, seconds)}


def _processes(device: torch.device, tiny: bool, count: int) -> dict[str, Any]:
    """`count` processes that train one network each on this device at the same time, eagerly and as CUDA graphs."""
    command = [sys.executable, "-u", __file__, device.type, "tiny" if tiny else "whole"]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    try:
        for child in children:
            assert child.stdout
            if child.stdout.readline().strip() != "ready":
                raise RuntimeError("one of the processes failed before it was ready")
        for child in children:
            assert child.stdin
            child.stdin.write("go\n")
            child.stdin.flush()
        rates = [[float(v) for v in child.communicate(timeout=60)[0].split()] for child in children]
    finally:
        for child in children:
            child.kill()
    return {"eager_steps_s_all": sum(r[0] for r in rates), "graph_steps_s_all": sum(r[1] for r in rates)}


def _alone(device: torch.device, tiny: bool) -> None:
    """One of several processes: ready when warm, then steps a second on the word."""
    graphed, eager = (stepping(net, net, 128, False) for net in (made(device, tiny), made(device, tiny)))
    replay = captured(graphed) if device.type == "cuda" else graphed
    eager()
    print("ready", flush=True)
    sys.stdin.readline()
    print(*(rate(work, device, 0.1 if tiny else 3.0) for work in (eager, replay)), flush=True)


if __name__ == "__main__":
    _alone(torch.device(sys.argv[1]), sys.argv[2] == "tiny")
