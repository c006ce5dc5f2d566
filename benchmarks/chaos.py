"""A grid whose processes are killed again and again ends as an undisturbed one: every row equal, nothing half-written.

    python benchmarks/chaos.py                       30 kills, SIGKILL and SIGTERM mixed, over six smoke cells
    python benchmarks/chaos.py --kills 100 --seed 1

Each kill hits the process that was started or one of its workers, at random. A run that has ended, by a kill or by
itself, is started again, as its user would do; after the last kill it is left alone. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from mmbench import store

SMOKE = ("--model", "mvae", "--model", "mmvae", "--model", "mvtcae", "--seeds", "2", "--budget", "smoke")


def chaos(home: Path, arguments: Sequence[str], *, kills: int, pause: float, seed: int) -> dict[str, Any]:
    """Two grids below `home`, one undisturbed; what the killed one went through and how it differs.

    Arguments:
        arguments: of `mmbench run`.
        pause: seconds between two kills, at most; a life begins with loading torch.
    """
    started = time.monotonic()
    assert _run(home / "calm", arguments).wait() == 0
    calm = time.monotonic() - started
    report = _disturbed(home / "wild", arguments, kills, pause, random.Random(seed))
    return report | {
        "seconds undisturbed": round(calm),
        "seconds in all": round(time.monotonic() - started),
        "cells": len(store.cells(home / "calm/results")),
        "differing": _differing(home / "calm/results", home / "wild/results"),
        "left behind": _left_behind(home / "wild"),
    }


def _disturbed(home: Path, arguments: Sequence[str], kills: int, pause: float, chance: random.Random) -> dict[str, Any]:
    done: Counter[str] = Counter()
    while sum(done.values()) < kills:
        run = _run(home, arguments)
        while sum(done.values()) < kills and run.poll() is None:
            time.sleep(chance.uniform(0, pause))
            if victim := _victim(run.pid, chance):
                number = chance.choice([signal.SIGKILL, signal.SIGTERM])
                done[f"{victim} {number.name}"] += _sent(victim, number)
        run.wait()
        if run.returncode == 0:
            break
    lives, code = 1, _run(home, arguments).wait()
    while code and lives < 3:  # a cell that was killed as often as it may be is tried anew by the next run
        lives, code = lives + 1, _run(home, arguments).wait()
    roles = Counter(f"{'worker' if ' worker' in name else 'run'} {name.split()[-1]}" for name in done.elements())
    return {"kills": dict(roles), "exit code at the end": code}


class _Victim(str):
    """'123 worker' or '123 run'."""

    pid: int


def _victim(pid: int, chance: random.Random) -> _Victim | None:
    """The process that was started, or one of its workers."""
    try:
        workers = psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return None
    chosen = chance.choice([pid, *(worker.pid for worker in workers)])
    victim = _Victim(f"{chosen} {'run' if chosen == pid else 'worker'}")
    victim.pid = chosen
    return victim


def _sent(victim: _Victim, number: signal.Signals) -> int:
    try:
        os.kill(victim.pid, number)
    except ProcessLookupError:
        return 0
    return 1


def _run(home: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    home.mkdir(exist_ok=True)
    with (home / "said.txt").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "mmbench", "run", *arguments], cwd=home, stdout=said, stderr=said
        )


def _differing(calm: Path, wild: Path) -> list[str]:
    """Cells that are missing on one side or differ in a row or in the course of a training."""
    cells = [{store.CellKey.of(cell): cell for cell in store.cells(results)} for results in (calm, wild)]
    return [
        str(key)
        for key in sorted(cells[0].keys() | cells[1].keys())
        if len({json.dumps(_numbers(side.get(key)), sort_keys=True) for side in cells}) > 1
    ]


def _numbers(cell: Any) -> Any:
    return cell and [cell["rows"], {name: stage["history"] for name, stage in cell["stages"].items()}]


def _left_behind(home: Path) -> list[str]:
    """Temporary files, damaged files, failures, and checkpoints of what is finished."""
    patterns = (".*.tmp", "*.damaged-*", "*.failed.json", "training*.safetensors")
    return sorted(str(path.relative_to(home)) for pattern in patterns for path in home.rglob(pattern))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--pause", type=float, default=15.0, help="seconds between two kills, at most")
    parser.add_argument("--seed", type=int, default=0, help="of who is killed, when and how")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one otherwise")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = asked.folder or Path(temporary)
        found = chaos(home, (*SMOKE, "--jobs", str(asked.jobs)), kills=asked.kills, pause=asked.pause, seed=asked.seed)
    print(json.dumps(found))
    sys.exit(bool(found["differing"] or found["left behind"] or found["exit code at the end"]))


if __name__ == "__main__":
    main()
