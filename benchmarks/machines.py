"""The same cells on two kinds of machine: `python benchmarks/machines.py results results/xeon`.

Cells of the same dataset, model, configuration and seed, each kind with judges of its own. For each metric: how many
numbers, and how far they are from each other, in its own unit and as a ratio.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import typer
from again import name, numbers

from mmbench import store
from mmbench.store import Cell


def common(first: Sequence[Cell], second: Sequence[Cell]) -> Iterator[tuple[Cell, Cell]]:
    """Pairs of cells of one name."""
    others = {name(cell): cell for cell in second}
    for cell in first:
        if other := others.get(name(cell)):
            yield cell, other


def differences(pairs: Sequence[tuple[Cell, Cell]]) -> dict[str, np.ndarray]:
    """Metric -> (N, 2): the numbers of models in the first and in the second."""
    found: dict[str, list[tuple[float, float]]] = {}
    for one, other in pairs:
        ours, theirs = ({place[:4]: value for place, (value, _) in numbers(cell).items()} for cell in (one, other))
        for place in ours.keys() & theirs.keys():
            if place[0] == "model":
                found.setdefault(place[1], []).append((ours[place], theirs[place]))
    return {metric: np.array(sorted(values)) for metric, values in sorted(found.items())}


def main(first: Path, second: Path) -> None:
    pairs = list(common(store.cells(first), store.cells(second)))
    print(f"{len(pairs)} cells are in both")
    for metric, values in differences(pairs).items():
        gap, ratio = values[:, 0] - values[:, 1], values[:, 0] / values[:, 1]
        rms, most = np.sqrt((gap**2).mean()), np.abs(gap).max()
        print(
            f"{metric}: {len(values)} numbers, {first} - {second}: mean {gap.mean():+.2f}, root mean square {rms:.2f}, "
            f"at most {most:.2f}; ratios {ratio.min():.2f} to {ratio.max():.2f}"
        )


main.__doc__ = __doc__

if __name__ == "__main__":
    typer.run(main)
