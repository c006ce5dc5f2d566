"""Speed of what a cell spends its time on, compared with the stored run of the same kind of machine.

    make bench                                  compare, print what got slower than 10 %
    python benchmarks/speed.py --save           and keep this run in benchmarks/runs/<kind>.json
    python benchmarks/speed.py --strict         exit code 1 where something got slower
    python benchmarks/speed.py --threads 2      another kind: wall time with two threads

Each number is the median of several repetitions in one process. With one thread (the default) it is time on the CPU,
so that others on the machine change it little.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from speed_cells import commands, evaluation, loading
from speed_clock import Stopwatch
from speed_compare import compare, pace, slower, table, verdict_on_machine
from speed_networks import autoencoders, products, sampler, score_network, score_steps, vaes
from speed_runs import RUNS, Machine, Run, cores, load, place, processor, save

from mmbench.engine.device import tune
from mmbench.errors import MmbenchError
from mmbench.precision import native_bfloat16
from mmbench.store.provenance import commit

SECTIONS = (products, score_network, score_steps, sampler, autoencoders, vaes, evaluation, loading, commands)


def measured(threads: int) -> dict[str, float]:
    """All numbers of this run, in milliseconds."""
    watch = Stopwatch(threads)
    for section in SECTIONS:
        section(watch)
    return watch.numbers()


def compared(run: Run, stored: Run | None, folder: Path) -> tuple[str, list[str]]:
    """What is printed of a run beside the stored one, and the names of what got slower."""
    if stored is None:
        where = place(run.machine, folder)
        return f"There is no stored run of this kind ({run.machine}): --save makes one, {where}.", []
    lines = compare(stored.numbers, run.numbers)
    found = slower(lines)
    words = f"Slower than 10 %: {'; '.join(found)}." if found else "Nothing got slower than 10 %."
    before = f"Stored: commit {stored.commit}, torch {stored.torch}."
    return "\n".join([table(lines), before, verdict_on_machine(pace(stored.numbers, run.numbers)), words]), found


def kind(threads: int) -> Machine:
    """The kind of this machine."""
    native = native_bfloat16(torch.device("cpu"))
    return Machine(cpu=processor(), cores=cores(), threads=threads, bfloat16=native)


def threads(text: str) -> int:
    """Of torch, from the command line."""
    if not text.isdecimal() or not 1 <= int(text) <= cores():
        raise argparse.ArgumentTypeError(f"{text!r} will not do: name 1 to {cores()} threads")
    return int(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="keep this run for its kind of machine")
    parser.add_argument("--strict", action="store_true", help="exit code 1 where something got slower")
    parser.add_argument("--threads", type=threads, default=1, help="of torch (1)")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    tune(torch.device("cpu"))
    machine = kind(asked.threads)
    stored = None if asked.save else load(machine, RUNS)  # before the minutes that the numbers take
    print(f"{machine}; torch {torch.__version__}; commit {commit()}; {'CPU' if asked.threads == 1 else 'wall'} time")
    numbers = measured(asked.threads)
    run = Run(machine=machine, torch=torch.__version__, commit=commit(), numbers=numbers)
    if asked.save:
        print(f"wrote {save(run, RUNS)}")
        return 0
    text, found = compared(run, stored, RUNS)
    print(f"\n{text}")
    return int(asked.strict and bool(found))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MmbenchError as error:
        sys.exit(str(error))
