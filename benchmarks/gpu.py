"""Everything that only a GPU can show, in eight minutes and one folder: tests, cells, speed, hours for Table 1.

    python benchmarks/gpu.py --out OUT [--seconds 470] [--data-root data] [--parts tests,smoke,speed,laptop,paper]
    python benchmarks/gpu.py --out OUT --device cpu --tiny --seconds 900       (tries the program itself)

Needs the requirements of mmbench, but no installation of it: the sources beside this file are used, and their entry
points are declared in a temporary folder. Parts run one after the other in processes of their own, each with its own
limit; what each one found is in OUT/gpu.json as soon as it has ended, and its output in OUT/NAME.log.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpu_site import ROOT, declare, environment
from gpu_table import cells, hours, pack

HOST_TESTS = (
    "tests/mld", "tests/baselines", "tests/contract", "tests/mmbench/test_training.py", "tests/mmbench/test_seeding.py",
    "tests/mmbench/test_networks.py", "tests/mmbench/test_dropout.py", "tests/evaluation/test_classifiers.py",
)  # fmt: skip
"""Tests without a GPU, for they have not run with this machine's versions of Python and torch."""
TINY_TESTS = ("tests/mmbench/test_seeding.py",)
SMOKE_MODELS, TINY_MODELS = ("mld", "mmvae", "mopoe", "mvae", "mvtcae", "nexus"), ("mvae", "mvtcae")
"""Not MMVAE with DReG, whose cell alone outlasted the first run's limit; the tests of CUDA train it."""


@dataclass
class Session:
    """What the parts share."""

    device: str
    tiny: bool
    out: Path
    data: Path
    seconds: float
    begun: float = field(default_factory=time.monotonic)
    work: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mmbench-gpu-")))
    report: dict[str, Any] = field(default_factory=dict)

    def left(self) -> float:
        return self.begun + self.seconds - time.monotonic()

    def start(self, name: str, command: Sequence[str], **more: str) -> subprocess.Popen[bytes]:
        log = (self.out / f"{name}.log").open("ab")
        env = {**environment(self.work), **more}
        return subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )

    def call(self, name: str, command: Sequence[str], limit: float, **more: str) -> dict[str, Any]:
        """Run a command to its end or its limit; how it ended."""
        return ended(self.start(name, command, **more), min(limit, self.left()))

    def log(self, name: str) -> str:
        return (self.out / f"{name}.log").read_text(errors="replace")

    def save(self) -> None:
        (self.out / "gpu.json").write_text(json.dumps(self.report, indent=1))


def ended(
    process: subprocess.Popen[bytes], limit: float, ask: signal.Signals = signal.SIGTERM, grace: float = 20.0
) -> dict[str, Any]:
    """Wait; past the limit SIGTERM, as a cluster would send it, and past the grace SIGKILL to all that it started."""
    start, asked = time.monotonic(), False
    try:
        process.wait(max(1.0, limit))
    except subprocess.TimeoutExpired:
        asked = True
        process.send_signal(ask)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return {"rc": process.returncode, "seconds": round(time.monotonic() - start, 1), "stopped at its limit": asked}


def pytest(session: Session, name: str, targets: Sequence[str], workers: int, **more: str) -> subprocess.Popen[bytes]:
    parallel = ["-n", str(workers)] if find_spec("xdist") and workers > 1 else []
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *parallel, *targets]
    return session.start(name, command, **more)


def verdict(session: Session, name: str, how: dict[str, Any]) -> dict[str, Any]:
    """pytest's last line and the tests that failed."""
    lines = session.log(name).splitlines()
    bad = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    counts = [line for line in lines if re.search(r"\d+ (passed|failed|skipped|error)", line)]
    said = counts[-1].strip("= ") if counts else "pytest did not end"
    return {**how, "failed": bad, "line": f"{said}; {len(bad)} to look at: {' | '.join(bad)[:1500]}" if bad else said}


def tests(session: Session, limit: float) -> dict[str, Any]:
    """The tests of CUDA."""
    workers = 1 if session.tiny else 4
    threads = {"OMP_NUM_THREADS": "1" if session.tiny else "3"}
    chosen = ["tests/cuda", *(["-k", "not cub and not DReG"] if session.tiny else [])]
    started = pytest(session, "tests", chosen, workers, MMBENCH_TEST_DEVICE=session.device, **threads)
    return verdict(session, "tests", ended(started, limit, signal.SIGINT))  # at which pytest still says what failed


def mmbench(session: Session, *arguments: str) -> list[str]:
    where = ["--device", session.device, "--data-root", str(session.data)]
    return [sys.executable, "-m", "mmbench", "run", *where, *arguments]


def places(session: Session, name: str) -> list[str]:
    return ["--results", str(session.work / name / "results"), "--runs", str(session.work / name / "runs")]


def brief(session: Session, *models: str) -> list[str]:
    """Settings that make a cell a trifle, to try this program on a CPU."""
    if not session.tiny:
        return []
    stages = {"mld": ("score", "path")}
    found = ["eval.count=40", "eval.quality_count=40", "eval.fid_count=40", "eval.judge.steps=5"]
    found += [f"{m}.{s}.steps=5" for m in models for s in stages.get(m, ("schedule",))]
    found += ["mld.sampler.kind=path", "mld.path.resample=1"] if "mld" in models else []
    return [word for setting in found for word in ("--set", setting)]


def smoke(session: Session, limit: float) -> dict[str, Any]:
    """Cells on glyphs, end to end; beside them, tests that need no GPU."""
    beside = pytest(session, "host", TINY_TESTS if session.tiny else HOST_TESTS, 10, OMP_NUM_THREADS="1")
    models = TINY_MODELS if session.tiny else SMOKE_MODELS
    command = mmbench(session, "--model", ",".join(models), "--dataset", "glyphs", "--budget", "smoke")
    how = session.call("smoke", [*command, *brief(session, *models), *places(session, "smoke")], limit)
    found = cells(session.work / "smoke" / "results")
    session.report["host"] = verdict(
        session, "host", ended(beside, min(max(30.0, limit - how["seconds"]), session.left()))
    )
    say(session, "host")
    return {**how, **found}


def speed(session: Session, limit: float) -> dict[str, Any]:
    """Peaks, steps, sampling, forms of the score network; hours for Table 1."""
    out = session.work / "speed.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu_speed.py"), "--device", session.device, "--out", str(out)]
    command += ["--seconds", str(0.85 * limit), *(["--tiny"] if session.tiny else [])]
    how = session.call("speed", command, limit)
    found = json.loads(out.read_text()) if out.exists() else {}
    return {**how, **found, **hours(found)}


def laptop(session: Session, limit: float) -> dict[str, Any]:
    """MLD and MVTCAE on real images at the laptop budget."""
    if not list(session.data.glob("MNIST/raw/*")):
        return {"line": f"left out: no MNIST under {session.data}"}
    command = mmbench(session, "--model", "mld,mvtcae", "--dataset", "mnist_fashion", "--budget", "laptop")
    if session.tiny:
        command += ["--set", "mld.autoencoders.mnist.steps=5", "--set", "mld.autoencoders.fashion.steps=5"]
    how = session.call("laptop", [*command, *brief(session, "mld", "mvtcae"), *places(session, "laptop")], limit)
    return {**how, **cells(session.work / "laptop" / "results")}


def paper(session: Session, limit: float) -> dict[str, Any]:
    """MLD at the paper's budget, ended by SIGTERM and started again: how far it came."""
    dataset = "mnist_fashion" if list(session.data.glob("MNIST/raw/*")) else "glyphs"
    command = mmbench(session, "--model", "mld", "--dataset", dataset, "--budget", "paper", *places(session, "paper"))
    ends, end = [], time.monotonic() + limit
    for share in (0.5, 0.9) if limit > 90 else (0.9,):  # loading takes a while
        ends.append({**session.call("paper", command, share * (end - time.monotonic())), **saved(session)})
    line = f"{dataset}, ended by SIGTERM: " + "; started again: ".join(
        f"code {e['rc']}, its checkpoint at step {e['step']}" for e in ends
    )
    return {"ends": ends, "line": line}


def saved(session: Session) -> dict[str, Any]:
    """Where the newest checkpoint stands."""
    for path in (session.work / "paper" / "runs").rglob("training.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        course = json.loads(header["__metadata__"]["state"])["course"]
        return {"step": course["steps"], "train seconds": course["seconds"]}
    return {"step": None}


def say(session: Session, name: str) -> None:
    found = session.report[name]
    line = found.get("line", "")
    how = f"rc {found['rc']}, {found['seconds']} s" if "rc" in found else ""
    if found.get("stopped at its limit"):
        how += ", stopped at its limit"
    print(f"{name}: {line} ({how})" if how else f"{name}: {line}", flush=True)


Part = Callable[[Session, float], dict[str, Any]]
PARTS: Mapping[str, tuple[Part, float]] = {
    "tests": (tests, 0.235),
    "smoke": (smoke, 0.17),
    "speed": (speed, 0.5),
    "laptop": (laptop, 0.28),
    "paper": (paper, 0.5),
}
"""In order of worth: the part, and its largest share of the time; of 470 s, 110 s are for tests and 235 s for speed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=os.environ.get("OUT", "runs/gpu"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--seconds", type=float, default=470.0)
    parser.add_argument("--data-root", type=Path, default=os.environ.get("MMBENCH_DATA", "data"))
    parser.add_argument("--parts", default=",".join(PARTS))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    session = Session(asked.device, asked.tiny, asked.out.resolve(), asked.data_root.resolve(), asked.seconds)
    declare(session.work)
    try:
        for name in asked.parts.split(","):
            part, share = PARTS[name]
            limit = min(share * asked.seconds, session.left() - 10)
            try:
                found = part(session, limit) if limit > 15 else {"line": "left out: no time"}
            except Exception as error:
                found = {"line": f"failed: {type(error).__name__}: {error}"}
            session.report[name] = found
            say(session, name)
            session.save()
            with suppress(OSError):
                pack(session.work, session.out)
    finally:
        shutil.rmtree(session.work, ignore_errors=True)


if __name__ == "__main__":
    main()
