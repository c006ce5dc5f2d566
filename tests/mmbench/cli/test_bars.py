"""Bars at every width of a terminal: what a user waits for is in print, and no line is wider than the terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from mmbench.cli import bars, terminal
from mmbench.cli.bars import Count, Display, clock, pace
from mmbench.engine.grid import Grid
from mmbench.engine.orders import Answer, Order, PlannedCell, Report
from mmbench.engine.outcome import Outcome
from mmbench.progress import Progress
from mmbench.store import CellKey


def drawn(width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The last picture of a grid's bar, of a training's and of a generation's, a minute after they began."""
    now = [1000.0]
    monkeypatch.setattr(bars, "time", SimpleNamespace(monotonic=lambda: now[0]))
    file = io.StringIO()
    display = Display(Console(file=file, width=width, force_terminal=True, color_system=None, legacy_windows=False))
    with (
        display.bar("all cells", 6, "cell", 0) as cells,
        display.bar("mld seed 1: train score", 20_000, "step", 8_000) as steps,
        display.bar("mvae seed 0: generate pen->sign+name", 5000, "sample", 0) as samples,
    ):
        now[0] = 1060.0
        cells(2, left=600.0)
        steps(6_000, note="loss 0.3312")
        samples(1000)
        display._bars.refresh()
        last = file.getvalue().rpartition("\x1b[2K")[2]
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", last).strip("\r\n").splitlines()


@pytest.mark.parametrize("width", [1, 8, 20, 40, 59, 60, 80, 100, 132, 200, 400])
def test_no_line_is_wider_than_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = drawn(width, monkeypatch)
    assert len(lines) == 3, "a line that is too wide is broken in two"
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("width", [60, 80, 200])
def test_count_bar_and_times_are_in_print(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: 6,000 steps in 60 s leave 6,000 for 60 s more; 1,000 samples a minute leave 4,000 for 4 minutes."""
    cells, steps, samples = drawn(width, monkeypatch)
    assert re.search(r"all cells .*cell 3 of 6 .*1:00 .*left 10:00", cells)
    assert re.search(r"train score|rain score|in score", steps), "the end of a title tells what is done"
    assert re.search(r"14000/20000 .*1:00 .*left 1:00", steps)
    assert re.search(r"1000/5000 .*1:00 .*left 4:00", samples)
    assert all("━" in line for line in (cells, steps, samples))
    assert ("100 steps/s" in steps, "17 samples/s" in samples) == (width >= 80, width >= 80)
    assert ("100/s" in steps, "17/s" in samples) == (width == 60, width == 60)
    assert ("loss 0.3312" in steps) == (width == 200)


@pytest.mark.parametrize(
    ("steps", "said"),
    [(0.0, ""), (1e-6, ""), (1 / 3600, "1.0 images/h"), (0.05, "3.0 images/min"), (0.99, "59 images/min"),
     (1.0, "1.0 images/s"), (9.94, "9.9 images/s"), (312.4, "312 images/s"), (1e6, "1000000 images/s")],
)  # fmt: skip
def test_a_pace_has_the_unit_in_which_it_is_no_zero(steps: float, said: str) -> None:
    assert pace(steps, " images") == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "-:--"), (0, "0:00"), (59.6, "1:00"), (245, "4:05"), (3845, "1:04:05"), (172_000, "47:46:40"),
     (183_600, "2 d 03 h")],
)  # fmt: skip
def test_a_clock_is_short(seconds: float | None, said: str) -> None:
    assert clock(seconds) == said


def test_a_count_knows_what_was_done_before_it() -> None:
    count = Count(100, "step", done=90)
    count.started -= 5
    assert count.remaining is None, "nothing is known before the first step"
    count.add(5, "", None)
    assert count.remaining == pytest.approx(5, abs=0.1), "5 steps in 5 s, 5 are left"
    count.add(5, "", None)
    assert count.remaining == 0


def test_where_there_is_no_terminal_slow_things_have_a_pace_too(capsys: pytest.CaptureFixture[str]) -> None:
    count = Count(400, "image")
    count.started -= 120
    count.add(6, "loss 1", None)
    assert terminal._line("fid", count) == "  fid: 6/400 images, 3.0 images/min, 2 min, 2.2 h left loss 1"
    with terminal.Terminal("mvae seed 0").phase("generate", 10, "sample") as advance:
        advance(10)
    assert re.fullmatch(r"  mvae seed 0: generate: 10/10 samples, \d+ samples/s, 0 s\n", capsys.readouterr().err)


class Slow:
    """A crew that says at once what it was told to say of each cell."""

    tries, jobs = 1, 1

    def __init__(self, fates: list[Any]) -> None:
        self.fates, self.orders = fates, list[Order]()

    def free(self) -> bool:
        return not self.orders

    def give(self, order: Order) -> None:
        self.orders.append(order)

    def next(self, seconds: float | None = None) -> tuple[Order, Answer]:
        return self.orders.pop(), Answer(report=Report(fate=self.fates.pop(0)))


class Heard(Progress):
    """Progress that remembers what is left."""

    def __init__(self) -> None:
        self.left: list[float | None] = []

    def phase(self, *args: Any, **more: Any) -> Any:
        from contextlib import nullcontext

        return nullcontext(lambda steps, note="", left=None: self.left.append(left))


def test_a_grid_says_what_is_left_by_the_cells_that_were_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cells that were there already cost no time: of six, after the first computed one of 100 s three are left."""
    now = iter([0.0, *[100.0] * 20])
    clock = SimpleNamespace(monotonic=lambda: next(now), time=lambda: 0.0, sleep=lambda _: None)
    monkeypatch.setattr("mmbench.engine.grid.time", clock)
    cells = [PlannedCell(key=CellKey("glyphs", "mld", "laptop", "0", k), who="", typed="mld", state="", settings="")
             for k in range(6)]  # fmt: skip
    crew, heard = Slow(["skipped", "skipped", "complete", "complete", "failed", "complete"]), Heard()
    request: Any = SimpleNamespace(metrics=(), results=Path("nowhere"), runs=Path("nowhere"))
    Grid(cells, "compute", request, crew, heard).run(Outcome())
    assert heard.left == [None, None, 300.0, 100.0, 50.0, 0.0]
