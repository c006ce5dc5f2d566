"""Damaged files of cells: each one is a cell that every report can show, or one sentence; never a traceback."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mmbench import store
from mmbench.errors import ResultError
from mmbench.report import FORMATS, render
from mmbench.report.comparison import groups
from mmbench.store import CellKey

from ..cells import cell, mnist_svhn_rows, modality, row
from .mutate import mutant


def cub_rows() -> list[dict[str, Any]]:
    return [
        row("clip_s", "joint", "image+caption", 0.7, judge="CLIP ViT-B/32"),
        row("clip_s", "image->caption", "caption", 0.69, judge="CLIP ViT-B/32", interval=[0.6, 0.75]),
        row("fid", "joint", "image", 120.5, note="fewer samples than dimensions"),
        row("fid", "caption->image", "image", 121.5),
        row("clip_s", "joint", "image+caption", 0.8, judge="CLIP ViT-B/32", source="real", data="the evaluated pairs"),
    ]


def glyphs_rows() -> list[dict[str, Any]]:
    return [
        row("coherence", "joint", "pen+sign+name", 0.5, unit="", judge="lenet", interval=[0.45, 0.55]),
        row("label_entropy", "joint", "pen", 0.4, judge="lenet"),
        row("coherence_second", "joint", "pen+sign+name", 0.4, unit="", judge="wide", higher_is_better=True),
        row("coherence", "pen+name->sign", "sign", 0.9, unit="", judge="lenet"),
        row("fmd", "name->pen", "pen", 3.5, judge="lenet"),
        row("fmd", "pen->pen", "pen", 2.5, judge="lenet", source="reconstruction"),
    ]


GLYPHS: dict[str, Any] = {"dataset": "glyphs", "modalities": ["pen", "sign", modality("name", tokens=30)]}
CUB: dict[str, Any] = {"dataset": "cub", "modalities": ["image", modality("caption", tokens=1706)]}
COLLAPSED = {"elbo": {"steps": 1, "seconds": 1.0, "skill": {"skill": None}, "collapsed": ["it has collapsed"],
                      "artefact": "", "history": {"step": [1], "loss": [2.0]}}}  # fmt: skip
GOOD = (
    cell("mld", 0, mnist_svhn_rows(), overrides={"score.steps": 5, "eval.count": 7}),
    cell("mopoe", 0, cub_rows(), left_out={"caption_match": "weights are missing"}, **CUB),
    cell("nexus", 0, glyphs_rows(), budget="smoke", stages=COLLAPSED, **GLYPHS),
    cell("mvtcae", 0, [], status="failed", reason="the loss is NaN", stages={}),
)
NEIGHBOURS = (
    cell("mld", 1, mnist_svhn_rows(1)),
    *(cell(model, 1, mnist_svhn_rows(2)) for model in ("mvae", "mmvae", "mopoe", "mvtcae", "nexus")),
    cell("mopoe", 1, cub_rows(), **CUB),
    cell("nexus", 1, glyphs_rows(), budget="smoke", **GLYPHS),
    cell("mld", 0, glyphs_rows(), budget="smoke", **GLYPHS),
)
"""Good cells, in whose tables a mutant may stand."""


def every_word(cells: list[store.Cell], failed: list[store.Cell]) -> None:
    """Everything that a report prints, and what figures ask of a group."""
    for format in FORMATS:
        text = render(cells, failed, format, ["a sentence"])
        text.encode()
    for group in groups(cells):
        for line in group.lines:
            assert group.of(line)
            for column in group.columns:
                if number := group.number("model", column.point, line):
                    assert f"{number.mean:.2f} {number.std:.2f} {number.interval} {number.difference}"
        for record in (record for one in group.cells for record in one["stages"].values()):
            for points in record["history"].values():
                list(zip(record["history"]["step"], points, strict=True))


def look_at(results: Path, good: store.Cell, content: bytes) -> bool:
    """Put a mutant in a good cell's place and read it; whether it is still a cell."""
    key = CellKey.of(good)
    path = key.path(results) if good["status"] == "complete" else key.failed(results)
    path.write_bytes(content)
    try:
        read = store.read(path)
    except ResultError as error:
        said = str(error)
        assert "\n" not in said, said
        assert len(said) < 500, said
        assert said.isprintable(), said
        assert str(path) in said
        return False
    failed = read["status"] == "failed"
    every_word([*NEIGHBOURS, *([] if failed else [read])], [read] if failed else [])
    return True


def hunt(folder: Path, seed: int, count: int) -> int:
    """How many of `count` mutants are still cells; fails with the first that neither is one nor a sentence."""
    draw, alive = Random(seed), 0
    for good in GOOD:
        store.write(folder, good)
    for number in range(count):
        good = GOOD[number % len(GOOD)]
        content = mutant(good, draw)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                alive += look_at(folder, good, content)
        except Exception as error:
            kept = folder / f"mutant-{seed}-{number}.json"
            kept.write_bytes(content)
            raise AssertionError(f"mutant {number} of seed {seed}, kept as {kept}: {error!r}") from error
    return alive


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory):
    """A folder with a short path, since a sentence names it."""
    folder = tmp_path_factory.mktemp("m")
    yield folder
    shutil.rmtree(folder / "mnist_svhn", ignore_errors=True)


def test_300_mutants_are_cells_or_sentences(short: Path) -> None:
    alive = hunt(short, 0, 300)
    assert 20 < alive < 280, "both kinds were met"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_10_000_mutants_are_cells_or_sentences(short: Path) -> None:
    assert hunt(short, 1, 10_000)
