"""Reports of many cells: their cost grows with the number of cells, and they wait for nothing that they do not use."""

from __future__ import annotations

import cProfile
import pstats
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmbench import store
from mmbench.progress import Advance, Progress
from mmbench.report import render
from mmbench.report.comparison import groups
from mmbench.report.figures.trade_off import trade_off
from mmbench.report.render import MANY
from mmbench.store import Cell

from ..cells import cell, row


def many(lines: int, seeds: int = 5) -> list[Cell]:
    """Configurations of one model, with five seeds each."""
    rows = [row("coherence", "joint", "mnist+svhn", 50.0), row("fid", "joint", "svhn", 9.0)]
    return [
        cell("mld", seed, rows=rows, hash=f"{k:010x}", overrides={"width": k})
        for k in range(lines)
        for seed in range(seeds)
    ]


def calls(lines: int) -> int:
    """Calls of functions that a report makes of so many lines: no clock is asked."""
    made, profile = many(lines), cProfile.Profile()
    render(made)  # what is kept for the process
    profile.runcall(render, made)
    return pstats.Stats(profile).total_calls  # type: ignore[attr-defined]


def test_twice_the_cells_cost_twice_the_calls() -> None:
    """Looking for a line's cells among all, for each of its numbers, made it four times."""
    assert calls(120) < 2.3 * calls(60)


def test_a_report_in_markdown_waits_for_no_library_that_it_does_not_use(tmp_path: Path) -> None:
    store.write(tmp_path, cell())
    code = (
        "import sys; from pathlib import Path; from mmbench import store; from mmbench.report import render; "
        f"render(store.gather(Path({str(tmp_path)!r})).cells); "
        "print([name for name in ('torch', 'pandas', 'matplotlib', 'scipy.stats') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Told(Progress):
    def __init__(self) -> None:
        self.phases: list[tuple[str, int]] = []
        self.steps: list[int] = []

    @contextmanager
    def phase(self, title: str, total: int, unit: str = "step", done: int = 0) -> Iterator[Advance]:
        self.phases.append((title, total))
        place = len(self.steps)
        self.steps.append(0)

        def advance(steps: int = 1, note: str = "", left: float | None = None) -> None:
            self.steps[place] += steps

        yield advance


@pytest.mark.parametrize(("lines", "phases"), [(1, []), (MANY // 5 + 1, [("report", 1)])])
def test_progress_is_shown_of_many_cells_only(lines: int, phases: list[tuple[str, int]]) -> None:
    told = Told()
    render(many(lines), progress=told)
    assert told.phases == phases


def test_a_page_and_figures_say_how_far_they_are(tmp_path: Path) -> None:
    """A step for each part of the page and for each figure, and no group that says nothing while it is drawn."""
    from mmbench.report.figures import write_figures
    from mmbench.report.html import page

    made = [*many(2, seeds=1), *many(1, seeds=1)]
    made[2]["dataset"]["name"] = "another"
    told = Told()
    page(store.Found(made), tmp_path, told)
    assert told.phases == [("page", 9 + 2 + 9 + 1)]
    assert told.steps == [21]
    told = Told()
    written = write_figures(made, tmp_path, tmp_path, told, forms=("svg",))
    assert [title for title, _ in told.phases] == ["all figures", "figures of MNIST_SVHN", "figures of MNIST_SVHN"]
    assert [total for _, total in told.phases] == told.steps == [2, 3, 4]
    assert len(written) == 7


def test_a_long_legend_leaves_room_for_the_panels() -> None:
    """Fifty models of long names in a column: matplotlib warned that it could not lay them out, on a user's screen."""
    (group,) = groups(many(50, seeds=2))
    figure = trade_off(group, "column")
    assert figure is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()
    assert min(ax.get_position().height * figure.get_figheight() for ax in figure.axes) > 0.7
