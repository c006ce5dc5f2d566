"""Devices, kernels, memory, versions: against what the system itself says."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from mmbench import precision
from mmbench.cli import app
from mmbench.health import machine, versions

CPU = torch.device("cpu")


def test_kernels_run_here() -> None:
    assert [(kind.dtype, kind.fault) for kind in machine.kernels(CPU)] == [("float32", ""), ("bfloat16", "")]


@pytest.mark.parametrize(
    ("flags", "note"),
    [("fpu avx512_bf16 sse", "native (avx512_bf16)"), ("amx_bf16", "native (amx_bf16)"), ("avx512f", "emulated, slow")],
)
def test_bfloat16_is_native_or_emulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, note: str) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "cpuinfo")
    assert machine.kernels(CPU)[1].note.startswith(note)
    assert machine.kernels(CPU)[0].note == ""


def test_a_device_that_computes_wrongly_or_not_at_all_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(device: torch.device, dtype: torch.dtype) -> Iterator[Any]:
        if dtype == torch.bfloat16:
            raise RuntimeError("CUDA error: no kernel image is available\nfor execution on the device")
        yield "product", torch.ones(2), torch.ones(2, dtype=torch.float64)
        yield "convolution", torch.ones(2), torch.zeros(2, dtype=torch.float64)

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    monkeypatch.setattr(machine, "_results", wrong)
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "float32: FAILS: a wrong convolution\n" in done.output
    assert "bfloat16: FAILS: RuntimeError: CUDA error: no kernel image is available for execution" in done.output


def test_memory_is_what_the_system_says_within_its_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:   16000000 kB\nMemFree:  10 kB\nMemAvailable:   8000000 kB\n")
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    assert machine.free_memory() == pytest.approx((8.192, 16.384))
    for name, value in (("memory.max", "4000000000"), ("memory.current", "1000000000")):
        (tmp_path / name).write_text(value)
    assert machine.free_memory() == pytest.approx((3.0, 4.0))
    (tmp_path / "memory.max").write_text("max")
    assert machine.free_memory() == pytest.approx((8.192, 16.384))
    (tmp_path / "meminfo").write_text("nothing")
    assert machine.free_memory() is None


def test_versions_and_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    assert versions.installed()["torch"] == importlib.metadata.version("torch")
    needs = ["torch>=2", "no-such-package>=1 ; extra == 'moon'", 'numpy; extra == "sun"', "ruff; extra == 'dev'"]
    monkeypatch.setattr(versions, "requires", lambda _: needs)
    assert versions.extras() == {"moon": ["no-such-package"], "sun": []}
