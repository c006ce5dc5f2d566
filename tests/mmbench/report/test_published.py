"""Other papers' numbers stand beside cells of exactly their dataset and protocol, named and doubted; nowhere else."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from mmbench.report import published, render
from mmbench.report.comparison import Group, groups
from mmbench.report.figures.trade_off import trade_off
from mmbench.report.table import tables
from mmbench.store import Cell

from ..cells import cell, row

VIEWS = [f"m{k}" for k in range(5)]
PROTOCOL = {"count": None, "quality_count": 10000, "batch_size": 1000, "seed": 0}


def polymnist(views: list[str] = VIEWS, **more: Any) -> Cell:
    """Coherence of every task, the number of given views in percent, and FIDs."""
    rows = [row("coherence", "joint", "+".join(views), 40.0, judge="j", identity="")]
    rows += [row("fid", "joint", view, 90.0) for view in views]
    for n in range(1, len(views)):
        for given in combinations(views, n):
            for target in sorted(set(views) - set(given)):
                task = f"{'+'.join(given)}->{target}"
                rows.append(row("coherence", task, target, 10.0 * n, judge="j", identity=""))
                rows.append(row("fid", task, target, 100.0 + n))
    values = {"dataset": "polymnist", "modalities": views, "rows": rows, "budget": "paper", "protocol": PROTOCOL}
    return cell(**(values | more))


def group(**more: Any) -> Group:
    return groups([polymnist(**more)])[0]


def shown(of: Group) -> dict[str, list[str]]:
    """Title -> the numbers of its line in the main table, as they are printed."""
    (table,) = tables(of, main=True)
    lines = [line for line in table.references if "published" in line.title]
    return {x.title: [f"{e.number.mean:.{e.digits}f}" if e else "" for e in x.entries[:5]] for x in lines}


def test_they_stand_beside_the_means_of_the_same_kind() -> None:
    assert shown(group()) == {
        "MoPoE, published [mopoe]": ["", "66", "77", "81", "83"],
        "MVTCAE, published [mvtcae]": ["", "69", "77", "83", "86"],
        "CMVAE, published [cmvae]": ["78.1", "", "", "", ""],
        "MoPoE, published [multivae]": ["", "67", "79", "84", "85"],
        "MVTCAE, published [multivae]": ["", "64", "82", "88", "91"],
        "CMVAE, published [multivae]": ["76.4", "", "", "", ""],
    }


OTHERS: dict[str, dict[str, Any]] = {
    "drawn in its likeness": {"dataset": "polymnist_drawn"},
    "a part of the files": {"dataset": "polymnist_partial"},
    "another dataset": {"dataset": "own"},
    "fewer views": {"views": VIEWS[:3]},
    "a shorter training": {"budget": "laptop"},
    "some of the test tuples": {"protocol": PROTOCOL | {"count": 100}},
    "validation tuples": {"split": "validation"},
}


@pytest.mark.parametrize("case", OTHERS)
def test_nothing_stands_beside_other_data_or_another_protocol(case: str) -> None:
    of = group(**OTHERS[case])
    assert shown(of) == {}
    assert "published" not in render(of.cells, [], "md")


def test_every_test_tuple_may_be_named_by_its_number() -> None:
    assert shown(group(protocol=PROTOCOL | {"count": 200})), "of 200 test tuples"


@pytest.mark.parametrize("format", ["md", "tex", "json", "html"])
def test_source_protocol_and_doubts_are_told(format: str, tmp_path: Path) -> None:
    found = [polymnist()]
    if format == "html":
        from mmbench.progress import Progress
        from mmbench.report.html import page
        from mmbench.store import Found

        text = page(Found(found, [], []), tmp_path, Progress())
    else:
        text = render(found, [], format)
    assert "CMVAE, published [cmvae]" in text.replace("{[}", "[").replace("{]}", "]"), "LaTeX has its own brackets"
    assert "78.1" in text
    if format != "json":
        assert "Palumbo, Manduchi, Laguna, Chopard and Vogt" in text
        assert "which of the two numbers is the joint one was inferred" in text
    assert "MMVAE+, published" not in text, "how many views it was given is not known"


def test_every_number_has_a_source_and_a_place() -> None:
    known = published.elsewhere("polymnist")
    assert {number.source.key for number in known} == set(published.sources())
    tasks = {number.point[1] for number in known}
    assert tasks == {"joint", "1 given", "2 given", "3 given", "4 given", "conditional"}
    assert {(n.model, n.mean) for n in known if n.point[:2] == ("fid", "conditional")} == {
        ("MMVAE+", 92.81),
        ("MMVAE+", 93),
    }
    for source in published.sources().values():
        assert source.protocol
        assert source.doubts


@pytest.mark.parametrize("dataset", ["polymnist_drawn", "sources", "../published/polymnist", "glyphs"])
def test_no_other_dataset_has_any(dataset: str) -> None:
    assert published.elsewhere(dataset) == ()


def test_a_paper_that_prints_both_is_a_hollow_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coherence and FID of one task: a grey square, named, which the axes show."""
    source = published.sources()["mmvaeplus"]
    both = tuple(
        published.Elsewhere(source, "MMVAE+", (metric, "1 given", "mean"), mean, float("nan"), 1)
        for metric, mean in (("coherence", 86.9), ("fid", 92.81))
    )
    monkeypatch.setattr(published, "elsewhere", lambda name: both if name == "polymnist" else ())
    figure = trade_off(group())
    assert figure is not None
    points = [
        (ax, line)
        for ax in figure.axes
        for line in ax.get_lines()
        if line.get_marker() == "s" and list(line.get_xdata()) == [92.81] and list(line.get_ydata()) == [86.9]
    ]
    ((ax, line),) = points
    assert line.get_markerfacecolor() == "none"
    assert "MMVAE+" in [text.get_text() for text in ax.texts]
    (low, high), (bottom, top) = sorted(ax.get_xlim()), ax.get_ylim()
    assert low <= 92.81 <= high
    assert bottom <= 86.9 <= top
    named = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert "published (hollow, named)" in named
    other = trade_off(group(dataset="polymnist_drawn"))
    assert other is not None
    assert not [text for ax in other.axes for text in ax.texts if text.get_text() == "MMVAE+"]
