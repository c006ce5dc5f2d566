"""Axes, titles and captions of figures: panels can be compared, tasks are called as in tables, and what is said is
drawn."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbench.report.against import series
from mmbench.report.comparison import Group, groups
from mmbench.report.figures import seed_spread, trade_off, training_curves
from mmbench.report.figures.against import against, fronts
from mmbench.report.figures.curves import tick_words, training_words
from mmbench.report.figures.spread import spread_words
from mmbench.report.figures.style import in_a_row
from mmbench.report.figures.trade_off import trade_off_words
from mmbench.report.html.pictures import inline
from mmbench.report.table import tables

from ..cells import cell, row

GLYPHS = ["pen", "sign", "name"]
TASKS = ("pen->sign", "sign->pen", "sign+name->pen", "pen+name->sign")


def glyphs(seeds: int = 1, real: float = 0.5) -> Group:
    """Two models of three modalities, far from the real data's own distance; nobody's published numbers."""
    made = []
    for model, level in (("mvae", 300.0), ("mld", 100.0)):
        for seed in range(seeds):
            rows = [row("coherence", "joint", "pen+sign+name", 40.0 + seed, interval=[38.0, 43.0])]
            for task in ("joint", *TASKS):
                for target in ("pen", "sign") if task == "joint" else (task.partition("->")[2],):
                    distance = level * (2 if target == "sign" else 1) * (1 + len(task) / 50)
                    rows.append(row("fmd", task, target, distance + seed))
                    rows.append(row("fmd", task, target, real, source="real"))
                    if task != "joint":
                        rows.append(row("coherence", task, target, 60.0 + seed, interval=[55.0, 64.0]))
            made.append(cell(model, seed, rows, dataset="glyphs", modalities=GLYPHS))
    (group,) = groups(made)
    return group


def two() -> Group:
    (group,) = groups(cell(model, seed) for model in ("mvae", "mld") for seed in range(3))
    return group


def drawn(figure: Figure | None) -> Figure:
    assert figure is not None
    figure.draw_without_rendering()
    return figure


def row_of(ax: Axes) -> int:
    spec = ax.get_subplotspec()
    assert spec is not None
    return spec.rowspan.start


def crossing(ax: Axes, label: str, side: str) -> list[float]:
    lines = [line for line in ax.get_lines() if line.get_label() == label]
    ends = [np.asarray(line.get_xdata() if side == "x" else line.get_ydata(), dtype=float) for line in lines]
    return [float(pair[0]) for pair in ends if len(pair) == 2 and pair[0] == pair[1]]


@pytest.mark.parametrize("draw", [trade_off, seed_spread])
def test_the_real_datas_distance_is_on_the_axis(draw: Any) -> None:
    """A hundred times below the best model: without it the best corner looks reached."""
    figure = drawn(draw(glyphs()))
    shown = [ax for ax in figure.axes if "FMD" in ax.get_xlabel()]
    assert len(shown) == 6
    for ax in shown:
        low, high = ax.get_xlim()
        assert low < 0.5 < 100 < high
        assert 0.5 in crossing(ax, "real data", "x")
    assert "real data" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_distance_of_nothing_has_no_place_on_a_logarithmic_axis() -> None:
    figure = drawn(trade_off(glyphs(real=0.0)))
    assert all(ax.get_xscale() == "log" and 0 < ax.get_xlim()[0] < 250 for ax in figure.axes)


def test_percentages_stand_between_nothing_and_all_in_every_figure() -> None:
    made = [
        cell("mvae", 0, [row("coherence", "joint", "mnist+svhn", 41 + beta), row("fmd", "joint", "mnist", 9.0 + beta)],
             hash=f"a{beta}", config={"beta": beta}, overrides={"beta": beta})
        for beta in (1, 2, 3)
    ]  # fmt: skip
    (swept,) = groups(made)
    ((_, some),) = series([swept], "beta")
    figures = [trade_off(two()), seed_spread(two()), against(swept, some, "beta"), fronts(swept, some, "beta")]
    for figure in map(drawn, figures):
        limits = [ax.get_ylim() for ax in figure.axes if ax.get_ylabel().startswith("Coherence")]
        limits += [ax.get_xlim() for ax in figure.axes if "%" in ax.get_xlabel()]
        limits += [ax.get_ylim() for ax in figure.axes if ax.get_title().startswith("Coherence")]
        assert limits
        assert len(set(limits)) == 1
        low, high = limits[0]
        assert -15 < low < 0
        assert 100 < high < 115


def test_panels_of_a_metric_and_modality_have_one_scale() -> None:
    for figure in (drawn(trade_off(glyphs())), drawn(seed_spread(glyphs()))):
        scales: dict[str, set[tuple[float, float]]] = {}
        for ax in (ax for ax in figure.axes if "FMD" in ax.get_xlabel()):
            title = ax.get_title()
            scales.setdefault("P" if title in ("Joint(P)",) or title.endswith("→ P") else "S", set()).add(ax.get_xlim())
        assert {target: len(limits) for target, limits in scales.items()} == {"P": 1, "S": 1}
        assert scales["P"] != scales["S"], "the distances of two judges are not one quantity"


def test_tasks_are_called_as_in_the_tables() -> None:
    group = glyphs()
    labels = {column.short for table in tables(group, everything=True) for column in table.columns}
    titles = {ax.get_title() for ax in drawn(seed_spread(group)).axes}
    assert titles == {"Joint", "Joint(P)", "Joint(S)", "P → S", "S → P", "S+N → P", "P+N → S"}
    assert titles <= labels


def test_no_panel_is_empty_and_none_stands_alone_in_its_row() -> None:
    for figure in (drawn(trade_off(glyphs())), drawn(seed_spread(glyphs()))):
        assert all(ax.get_lines() for ax in figure.axes)
        rows = [row_of(ax) for ax in figure.axes]
        assert min(rows.count(k) for k in set(rows)) > 1
    assert in_a_row([7, 6], "page") == 4  # 4 + 3 and 4 + 2
    assert in_a_row([5], "page") == 3  # 4 + 1 would leave one alone
    assert in_a_row([6], "page") == 3
    spread = drawn(seed_spread(glyphs()))
    kinds = [("%" in ax.get_xlabel(), row_of(ax)) for ax in spread.axes]
    assert not {row for percent, row in kinds if percent} & {row for percent, row in kinds if not percent}


def test_captions_say_what_is_drawn_and_nothing_else() -> None:
    one, many = glyphs(), two()
    assert trade_off_words(one) == (
        "Better lies up and to the left. Points: our numbers, with the 95 % interval over its samples. "
        "The axis of FMD is logarithmic."
    )
    said = trade_off_words(many)
    assert "Hollow: the paper's, with its standard deviation where it prints one." in said
    assert "a dot for each seed and bars of one standard deviation" in said
    assert "single seed" not in said
    assert "The axes of FMD and FID are logarithmic." in said
    assert spread_words(many).startswith("Circles: seeds. Bars: the 95 % interval of the mean (Student's t).")
    assert "Grey diamonds" in spread_words(many)
    assert "diamonds" not in spread_words(one)
    assert "a curve for each seed" in training_words(many, many.lines[0])
    assert "each seed" not in training_words(one, one.lines[0])


def test_one_seed_has_no_spread() -> None:
    titles = [drawn(seed_spread(group)).get_suptitle() for group in (glyphs(), two())]
    assert titles == ["glyphs".upper() + ", budget paper: every task", "MNIST_SVHN, budget paper: spread of seeds"]


def test_ticks_say_their_numbers_without_a_factor_at_the_end() -> None:
    assert [tick_words(v) for v in (0, 250, 5000, 12500, 2e6, -3e4, 0.5, 2e-5)] == [
        "0", "250", "5k", "12.5k", "2M", "-30k", "0.5", "2e-05"
    ]  # fmt: skip
    history = {"step": [5000, 10_000, 20_000], "loss": [5e4, 4e4, 3e4], "nll_name_from_pen": [3.0, 2.0, 1.0]}
    stage = {**cell()["stages"]["elbo"], "history": history}
    (group,) = groups([cell("own", stages={"elbo": stage})])
    figure = drawn(training_curves(group, group.lines[0]))
    assert [ax.get_title() for ax in figure.axes] == ["elbo: loss", "elbo: NLL of name from pen"]
    for ax in figure.axes:
        assert not ax.xaxis.get_offset_text().get_text()
        assert not ax.yaxis.get_offset_text().get_text()
        words = [tick.get_text() for tick in ax.get_xticklabels()]
        assert "10k" in words


def test_a_figure_is_drawn_once_for_a_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """To lay it out it was drawn a second time: half of the time that a page of many cells takes."""
    drawings: list[Figure] = []
    plain = Figure.draw

    def draw(self: Figure, *args: Any, **more: Any) -> Any:
        drawings.append(self)
        return plain(self, *args, **more)

    figure = trade_off(two())
    assert figure is not None
    monkeypatch.setattr(Figure, "draw", draw)
    inline(figure, "x", "alt")
    assert len(drawings) == 1


def test_the_places_of_a_page_have_no_digits_that_nobody_sees(tmp_path: Path) -> None:
    figure = trade_off(two())
    assert figure is not None
    plain = tmp_path / "plain.svg"
    figure.savefig(plain)
    own = inline(figure, "x", "alt")
    places = re.findall(r'\sd="([^"]*)"', own)
    assert places
    assert not re.search(r"\.\d{3,}", " ".join(places))
    first = re.findall(r"-?\d+\.?\d*", re.findall(r'\sd="([^"]*)"', plain.read_text())[0])
    assert np.allclose([float(n) for n in re.findall(r"-?\d+\.?\d*", places[0])], [float(n) for n in first], atol=0.011)
