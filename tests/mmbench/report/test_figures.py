"""Figures: what is drawn where, and that they leave nothing behind but files."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.image import imread

from mmbench.errors import ResultError
from mmbench.progress import Progress
from mmbench.report.comparison import Group, groups
from mmbench.report.figures import caption_table, sample_grid, seed_spread, trade_off, training_curves, write_figures
from mmbench.store import CellKey, read_samples, sample_key, write_samples

from ..cells import cell, keep_samples, row


class Heard(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def group() -> Group:
    (only,) = groups(cell(model, seed) for model in ("mvae", "mld", "own") for seed in range(3))
    return only


def test_trade_off_has_a_panel_for_each_quality(group: Group) -> None:
    figure = trade_off(group)
    assert figure is not None
    labels = [ax.get_xlabel() for ax in figure.axes]
    assert [label.split("  ")[0] for label in labels] == ["Joint(M) FMD", "Joint(S) FID", "M → S FID", "S → M FMD"]
    ours = [line.get_xydata() for line in figure.axes[3].get_lines() if line.get_marker() == "o"]
    means = {tuple(np.asarray(xy)[0].tolist()) for xy in ours if len(np.asarray(xy)) == 1}
    assert (14.0, 31.0) in means  # 13, 14, 15 and 30, 31, 32 over the seeds
    assert (13.66, 28.57) in means  # the paper's MVAE


def test_trade_off_needs_both_numbers() -> None:
    (only,) = groups([cell(rows=[row("coherence", "joint", "mnist+svhn", 50.0)])])
    assert trade_off(only) is None
    (only,) = groups([cell(rows=[row("label_entropy", "joint", "mnist", 2.0)])])
    assert seed_spread(only) is None


def test_seed_spread_has_a_panel_for_each_metric(group: Group) -> None:
    figure = seed_spread(group)
    assert figure is not None
    assert len(figure.axes) == 7  # entropy has no better side
    dots = [c for c in figure.axes[0].collections if isinstance(c, PathCollection)]
    points = np.concatenate([np.asarray(c.get_offsets()) for c in dots])
    assert sorted(points[:, 0].tolist()) == sorted([40.0, 41.0, 42.0] * 3)


def test_training_curves_have_a_panel_for_each_term(group: Group) -> None:
    figure = training_curves(group, group.lines[0])
    assert figure is not None
    assert [ax.get_title() for ax in figure.axes] == ["elbo: loss", "elbo: kl"]
    assert [len(ax.get_lines()) for ax in figure.axes] == [3, 3]
    (bare,) = groups([cell(stages={})])
    assert training_curves(bare, bare.lines[0]) is None


def test_sample_grids_have_a_row_for_conditions_and_models(group: Group, tmp_path: Path) -> None:
    samples = {}
    for line in group.lines:
        keep_samples(tmp_path, group.of(line)[0])
        samples[line] = read_samples(tmp_path / group.of(line)[0]["samples"])
    conditional = sample_grid(group, "mnist->svhn", samples)
    assert conditional is not None
    assert [ax.get_ylabel() for ax in conditional.axes] == ["given\nmnist", "MVAE", "MLD", "own"]
    assert [len(ax.get_images()) for ax in conditional.axes] == [4] * 4
    shown = np.asarray(conditional.axes[0].get_images()[2].get_array())
    given = samples[group.lines[0]]["mnist->svhn/given/mnist"][2, 0]
    assert np.allclose(shown, given[:, :, None] / 255)
    joint = sample_grid(group, "joint", samples)
    assert joint is not None
    assert len(joint.axes) == 6  # two modalities of three models
    words = sample_grid(group, "mnist->name", samples)
    assert words is not None
    assert [text.get_text() for text in words.axes[1].texts] == ["one", "∅", "a bird with a\nlong red beak", "é"]
    assert sample_grid(group, "svhn->mnist", samples) is None


def test_a_model_with_other_conditions_is_left_out(group: Group, tmp_path: Path) -> None:
    samples = {}
    for number, line in enumerate(group.lines[:2]):
        keep_samples(tmp_path, group.of(line)[0], conditions=number)
        samples[line] = read_samples(tmp_path / group.of(line)[0]["samples"])
    grid = sample_grid(group, "mnist->svhn", samples)
    assert grid is not None
    assert [ax.get_ylabel() for ax in grid.axes] == ["given\nmnist", "MVAE"]


def test_write_figures(group: Group, tmp_path: Path) -> None:
    settings, backend = mpl.rcParams.copy(), mpl.get_backend(auto_select=False)
    keep_samples(tmp_path, group.cells[0])
    heard = Heard()
    paths = write_figures(group.cells, tmp_path, tmp_path / "out", heard)
    assert [path.name for path in paths] == [
        "mnist_svhn-paper-trade-off.png",
        "mnist_svhn-paper-seeds.png",
        "mnist_svhn-paper-samples-joint.png",
        "mnist_svhn-paper-samples-mnist-to-svhn.png",
        "mnist_svhn-paper-samples-mnist-to-name.png",
        "mnist_svhn-paper-training-MVAE.png",
        "mnist_svhn-paper-training-MLD.png",
        "mnist_svhn-paper-training-own.png",
    ]
    for path in paths:
        picture = imread(path)
        assert min(picture.shape[:2]) > 100
        assert picture.std() > 0.01
    kept = CellKey.of(group.cells[0]).model  # the only model whose samples are there
    assert len(heard.said) == 2
    assert not any(said.upper().startswith(kept.upper()) for said in heard.said)
    assert mpl.rcParams.copy() == settings
    assert mpl.get_backend(auto_select=False) == backend


def test_groups_of_one_budget_do_not_overwrite_each_other(tmp_path: Path) -> None:
    protocol = {"count": 7, "quality_count": 7, "batch_size": 7, "judge_epochs": 7.0, "seed": 0}
    rows = [row("coherence", "joint", "mnist+svhn", 50.0)]
    made = [cell(rows=rows, stages={}), cell(rows=rows, stages={}, protocol=protocol)]
    paths = write_figures(made, tmp_path, tmp_path)
    assert len(set(paths)) == 2
    assert write_figures([], tmp_path, tmp_path) == []


def test_a_folder_that_cannot_be_made(group: Group, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(ResultError, match="a file is in the way: move the file or name another folder"):
        write_figures(group.cells, tmp_path, tmp_path / "out")


def test_captions_stand_beside_the_pictures_of_each_model(tmp_path: Path) -> None:
    """The form of Figure 2: a column for what is given and one for each model, a line for each condition."""
    rows = [row("caption_match", "caption->image", "image", 60.0)]
    made = [cell(m, rows=rows, dataset="cub", modalities=["image", "caption"], stages={}) for m in ("mopoe", "mld")]
    (group,) = groups(made)
    words = np.array([f"this bird number {k} has a long red beak and small black wings" for k in range(6)])
    images = np.random.default_rng(0).integers(0, 255, (6, 3, 64, 64), dtype=np.uint8)
    task = "caption->image"
    arrays = {sample_key(task, "given", "caption"): words, sample_key(task, "target", "image"): images}
    figure = caption_table(group, task, dict.fromkeys(group.lines, arrays))
    assert figure is not None
    shown = [text.get_text().replace("\n", " ") for ax in figure.axes for text in ax.texts]
    assert shown == words.tolist()
    assert sum(len(ax.images) for ax in figure.axes) == 12
    titles = [text.get_text() for text in figure.texts]
    assert {"MoPoE", "MLD"} <= set(titles)
    other = {
        sample_key("image->caption", "given", "image"): images,
        sample_key("image->caption", "target", "caption"): words,
    }
    assert any("caption → image" in title and "CUB" in title for title in titles), "the heading says what is shown"
    back = caption_table(group, "image->caption", dict.fromkeys(group.lines, other))
    assert back is not None
    assert sum(len(ax.texts) for ax in back.axes) == 12
    for each in made:
        write_samples(tmp_path / each["samples"], arrays | other)
    names = [path.name for path in write_figures(made, tmp_path, tmp_path / "figures")]
    assert "cub-paper-samples-caption-to-image.png" in names
    assert "cub-paper-samples-image-to-caption.png" in names


def test_long_texts_widen_a_grid_and_pictures_stay_square(tmp_path: Path) -> None:
    """Figure 9's form: joint samples, each picture over its caption, under a heading of the figure's own."""
    rows = [row("caption_match", "joint", "image+caption", 60.0)]
    (group,) = groups([cell("mld", rows=rows, dataset="cub", modalities=["image", "caption"], stages={})])
    words = np.array([f"this bird number {k} has a long red beak and small black wings" for k in range(6)])
    images = np.random.default_rng(0).integers(0, 255, (6, 3, 64, 64), dtype=np.uint8)
    arrays = {sample_key("joint", "target", "image"): images, sample_key("joint", "target", "caption"): words}
    figure = sample_grid(group, "joint", dict.fromkeys(group.lines, arrays))
    assert figure is not None
    box = figure.axes[0].get_position()
    width, height = figure.get_size_inches()
    assert box.width * width / 6 == pytest.approx(box.height * height, rel=1e-6)
    assert [text.get_text() for text in figure.texts] == ["CUB, joint generation, budget paper"]


def test_a_name_with_dollars_is_a_name_and_no_formula(tmp_path: Path) -> None:
    odd = cell("$\\frac$")
    odd["dataset"]["title"] = "$\\no$"
    odd["stages"] = {"$\\stage$": odd["stages"]["elbo"]}
    written = write_figures([odd], tmp_path, tmp_path / "figures")
    assert {path.suffix for path in written} == {".png"}
    assert len(written) == 3  # trade-off, seeds, training
