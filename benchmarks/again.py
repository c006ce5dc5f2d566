"""Cells picked at random, computed once more from scratch and compared number by number.

    python benchmarks/again.py --count 2 --draw 20261127

Each cell is asked for by its own command (`mmbench.store.rerun`), with the threads that it had, into a folder of its
own: no judge, no trained stage and no reference of the first time is seen. On the same kind of machine, under the same
versions, every number is bit-equal; elsewhere the differences are shown in widths of the number's 95 % interval. The
exit code is 1 where a number differs.
"""

from __future__ import annotations

import random
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from mmbench import store
from mmbench.store import Cell
from mmbench.store.commands import rerun

Place = tuple[str, ...]


def picked(cells: Sequence[Cell], count: int, draw: int) -> list[Cell]:
    """`count` complete cells, by a draw of this number; the same of the same cells."""
    by_name = sorted(cells, key=name)
    return random.Random(draw).sample(by_name, min(count, len(by_name)))


def name(cell: Cell) -> str:
    """'mvae on glyphs, laptop-0123456789, seed 0'."""
    return f"{cell['model']['name']} on {cell['dataset']['name']}, {cell['budget']}-{cell['hash']}, seed {cell['seed']}"


def words(cell: Cell, places: Mapping[str, Path]) -> list[str]:
    """The call of `mmbench` that computes the cell."""
    threads = re.search(r"(\d+) threads", cell["environment"].get("device") or "")
    return [*shlex.split(rerun([cell]))[1:], "--jobs", "1", *(["--threads", threads[1]] if threads else []),
            *(word for place, path in places.items() for word in (f"--{place}", str(path)))]  # fmt: skip


def numbers(cell: Cell) -> dict[Place, tuple[float, Any]]:
    """Value and interval of each row, by what names it."""
    keys = ("source", "metric", "task", "modality", "data", "reference")
    return {tuple(str(row.get(key)) for key in keys): (row["value"], row["interval"]) for row in cell["rows"]}


def different(first: Cell, second: Cell) -> list[str]:
    """A line for each number that is not the same in every bit, or that one of the two lacks."""
    one, two = numbers(first), numbers(second)
    lines = [f"{' '.join(filter(None, place))}: only in one of the two" for place in sorted(one.keys() ^ two.keys())]
    for place in sorted(one.keys() & two.keys()):
        (a, between), (b, _) = one[place], two[place]
        if a != b:
            width = f", {abs(a - b) / (between[1] - between[0]):.2f} widths of its interval" if between else ""
            lines.append(f"{' '.join(filter(None, place))}: {a!r} and {b!r}{width}")
    return lines


def main(
    count: Annotated[int, typer.Option("--count", min=1, help="Cells.")] = 2,
    draw: Annotated[int, typer.Option("--draw", help="The seed of the choice.")] = 0,
    results: Annotated[Path, typer.Option("--results")] = Path("results"),
    data_root: Annotated[Path, typer.Option("--data-root", envvar="MMBENCH_DATA")] = Path("data"),
    dataset: Annotated[str | None, typer.Option("--dataset", help="Of this dataset only.")] = None,
) -> None:
    cells = store.cells(results) if dataset is None else store.cells(results, dataset)
    if not cells:
        print(f"again: no complete cell in {results}: mmbench run computes some")
        raise typer.Exit(1)
    wrong = 0
    for cell in picked(cells, count, draw):
        print(f"{name(cell)}:", flush=True)
        with TemporaryDirectory() as folder:
            places = {"data-root": data_root, "results": Path(folder) / "results", "runs": Path(folder) / "runs"}
            call = words(cell, places)
            print(f"  mmbench {shlex.join(call)}", flush=True)
            status = subprocess.run([sys.executable, "-m", "mmbench", *call], check=False).returncode
            made = store.cells(Path(folder) / "results")
        if status or not made:
            print(f"  could not be computed again: exit code {status}")
            wrong += 1
            continue
        found = different(cell, made[0])
        print("\n".join(f"  {line}" for line in found) or f"  {len(numbers(cell))} numbers, all bit-equal", flush=True)
        wrong += bool(found)
    if wrong:
        raise typer.Exit(1)


main.__doc__ = __doc__

if __name__ == "__main__":
    typer.run(main)
