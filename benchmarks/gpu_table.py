"""What `gpu.py` makes of its measurements: the cells in a line, and the hours for Table 1, as arithmetic."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["cells", "hours", "pack"]

SEEDS, TEST_PAIRS, BATCH = 5, 200_000, 1000
CONDITIONS = 3
"""joint, MNIST given, SVHN given: each one is sampled for every test pair."""
REVERSE, FORWARD = 2410, 2160
"""Moves of the paper's path for one batch."""


def cells(results: Path) -> dict[str, Any]:
    """The cells under a folder of results: seconds of each stage and what the model's own samples measured."""
    found = {}
    for path in sorted(results.rglob("seed-*.json")):
        cell = json.loads(path.read_text())
        name = f"{cell['model']['name']} on {cell['dataset']['name']}, {cell['budget']}"
        rows = [row for row in cell.get("rows", []) if row["source"] == "model"]
        found[name] = {
            "status": cell["status"],
            "reason": cell.get("reason"),
            "stage seconds": {n: round(s["seconds"], 1) for n, s in cell.get("stages", {}).items()},
            "skill": {n: s["skill"] for n, s in cell.get("stages", {}).items()},
            "seconds": cell.get("seconds"),
            "rows": {f"{r['metric']} {r['task']} {r['modality']}": round(r["value"], 2) for r in rows},
        }
    return {"cells": found, "line": "; ".join(_brief(name, cell) for name, cell in found.items()) or "no cell"}


def _brief(name: str, cell: Mapping[str, Any]) -> str:
    """'mld on glyphs, smoke: 23 s of training; coherence joint ... 12.0'."""
    if cell["status"] != "complete":
        return f"{name}: {cell['status']}: {cell['reason']}"
    rows = [f"{key} {value:g}" for key, value in cell["rows"].items() if key.startswith("coherence")]
    return f"{name}: {sum(cell['stage seconds'].values()):.0f} s of training; {', '.join(rows[:4])}"


def pack(work: Path, out: Path) -> None:
    """Cells, and the samples for figures where they are small, in one file."""
    kept = [p for p in work.rglob("*") if p.suffix in (".json", ".npz", ".txt") and "artefacts" not in p.parts]
    with tarfile.open(out / "cells.tar.gz", "w:gz") as tar:
        for path in kept:
            inside = path.relative_to(work)
            if inside.parts[0] in ("smoke", "laptop", "paper") and path.stat().st_size < 2**21:
                tar.add(path, inside)


def hours(speed: Mapping[str, Any]) -> dict[str, Any]:
    """Hours on this device for Table 1 at the budget 'paper': measured rates times the paper's numbers."""
    models: dict[str, list[tuple[str, float]]] = {}
    for stage, found in speed.get("training", {}).items():
        if "hours" in found:
            rule = f"{found['steps']:,} steps / {found['steps_s']:.0f} a second"
            models.setdefault(stage.split()[0], []).append((f"{stage}: {rule}", found["hours"]))
    sampling = speed.get("sampling", {})
    for name, terms in models.items():
        terms += _mld_sampling(sampling) if name == "mld" else _vae_sampling(name, sampling)
    judges = [(f"judge of {n}: {j['steps']:,} steps / {j['steps_s']:.0f} a second", j["steps"] / j["steps_s"] / 3600)
              for n, j in speed.get("judges", {}).items() if "steps_s" in j]  # fmt: skip
    lines = [f"  {what} = {h:.2f} h" for terms in models.values() for what, h in terms]
    lines += [f"  once: {what} = {h:.2f} h" for what, h in judges]
    seed = sum(h for terms in models.values() for _, h in terms)
    total = SEEDS * seed + sum(h for _, h in judges)
    line = f"Table 1 ({len(models)} models x {SEEDS} seeds, FID apart): {SEEDS} x {seed:.1f} h + judges = {total:.1f} h"
    return {"table 1": lines, "table 1 hours": total, "line": "\n".join([_headline(speed), *lines, line])}


def _mld_sampling(sampling: Mapping[str, Any]) -> list[tuple[str, float]]:
    found = [(key, value) for key, value in sampling.items() if key.startswith("mld float32") and "reverse_ms" in value]
    wanted = [value for key, value in found if key.endswith(f" {BATCH}")] or [value for _, value in found[:1]]
    batches = CONDITIONS * TEST_PAIRS // BATCH
    return [
        (
            f"mld sampling: {batches} batches of {BATCH} x ({REVERSE} x {v['reverse_ms']:.2f} + {FORWARD} x "
            f"{v['forward_ms']:.2f} ms)",
            batches * (REVERSE * v["reverse_ms"] + FORWARD * v["forward_ms"]) / 3.6e6,
        )
        for v in wanted
    ]


def _vae_sampling(name: str, sampling: Mapping[str, Any]) -> list[tuple[str, float]]:
    """From the mean of joint and conditional samples."""
    found = [v["seconds"] for key, v in sampling.items() if key.startswith(f"{name} ") and "seconds" in v]
    if not found:
        return []
    mean, batches = sum(found) / len(found), CONDITIONS * TEST_PAIRS // BATCH
    return [(f"{name} sampling: {batches} batches of {BATCH} x {1e3 * mean:.1f} ms", batches * mean / 3600)]


def _headline(speed: Mapping[str, Any]) -> str:
    """The numbers to see first."""
    peak = ", ".join(f"{k} {next(iter(v.values())):.4g}" for k, v in speed.get("peaks", {}).items() if _real(v))
    lines = [f"peaks: {peak}"]
    for section in ("training", "training, not deterministic"):
        lines += [f"  {section}: {key}: {_step(v)}" for key, v in speed.get(section, {}).items() if _real(v)]
    for key, v in speed.get("sampling", {}).items():
        if _real(v) and "calls_s" in v:
            lines.append(f"  sample {key}: {v['reverse_ms']:.2f} ms a call, {v['forward_ms']:.2f} ms a move up")
    for key, v in speed.get("network", {}).items():
        lines.append(f"  network {key}: " + ", ".join(f"{k} {x:.4g}" for k, x in v.items() if isinstance(x, float)))
    return "\n".join(lines)


def _real(value: Any) -> bool:
    return isinstance(value, Mapping) and "failed" not in value and "left out" not in value


def _step(found: Mapping[str, Any]) -> str:
    launched, waits = found.get("launches"), found.get("syncs")
    parts = [f"{found['steps_s']:.0f} steps/s"]
    if isinstance(launched, Mapping) and "kernels" in launched:
        busy = launched["device_ms"] * found["steps_s"] / 1e3
        parts.append(f"{launched['kernels']:.0f} launches, device busy {100 * busy:.0f} %")
    if isinstance(waits, Mapping) and "all" in waits:
        parts.append(f"{waits['all']:.1f} syncs")
    if "share of float32 peak" in found:
        parts.append(f"{100 * found['share of float32 peak']:.1f} % of the float32 peak")
    return ", ".join(parts)
