"""The end of `make demo`, in three lines: what was shown, where the report is, what to type next.

python examples/demo.py runs/demo/results runs/demo/report.html
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import fmean

from mmbench import store
from mmbench.store import Cell


def joint(cells: list[Cell], source: str) -> float | None:
    """Mean joint coherence of all modalities in %, of samples from a source; None where it was not measured."""
    values = []
    for cell in cells:
        every = "+".join(modality["name"] for modality in cell["dataset"]["modalities"])
        for row in cell["rows"]:
            if (row["metric"], row["task"], row["modality"], row["source"]) == ("coherence", "joint", every, source):
                values.append(float(row["value"]) * (1 if row["unit"] == "%" else 100))
    return fmean(values) if values else None


def main(results: Path, report: Path) -> None:
    cells = store.cells(results)
    shown = []
    for name, title in (("mld", "MLD"), ("mvae", "MVAE")):
        value = joint([cell for cell in cells if cell["model"]["name"] == name], "model")
        shown.append(f"{value:.0f} % of {title}'s" if value is not None else f"nothing of {title}'s, which failed,")
    chance = joint(cells, "shuffled")
    among = f" ({chance:.0f} % by chance)" if chance is not None else ""
    print(
        f"Shown: of samples drawn from nothing, pen, sign and name are the same digit in {' and '.join(shown)}{among}."
    )
    print(f"Report: {report}: open it in a browser; what the models drew is in it.")
    print("Next: mmbench run --model all --dataset glyphs --seeds 3, then mmbench report; mmbench list has more.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
