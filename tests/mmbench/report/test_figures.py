"""Figures: what is drawn where, at which size, and that they leave nothing behind but files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from PIL import Image

from mmbench.data.images import read_image
from mmbench.errors import ResultError
from mmbench.progress import Progress
from mmbench.report.comparison import Group, groups
from mmbench.report.figures import (
    Kept,
    Width,
    caption_table,
    sample_grid,
    seed_spread,
    trade_off,
    training_curves,
    write_figures,
)
from mmbench.report.figures.looks import KNOWN, look_of, looks
from mmbench.report.figures.style import new_figure, save
from mmbench.store import CellKey, read_samples, sample_key, write_samples

from ..cells import cell, keep_samples, mnist_svhn_rows, row

WIDTHS: dict[Width, float] = {"column": 3.25, "page": 6.75}


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


def kept(group: Group, tmp_path: Path) -> dict[Any, Kept]:
    found = {}
    for line in group.lines:
        first = group.of(line)[0]
        keep_samples(tmp_path, first)
        found[line] = Kept(first["seed"], read_samples(tmp_path / str(first["samples"])))
    return found


def texts(figure: Figure) -> list[Text]:
    """What a reader sees."""
    figure.draw_without_rendering()
    return [t for t in figure.findobj(Text) if isinstance(t, Text) and t.get_visible() and t.get_text().strip()]


def points(figure: Figure, panel: int, colour: str, *, hollow: bool) -> set[tuple[float, float]]:
    """The single points of one colour in a panel, filled or hollow."""
    lines = [x for x in figure.axes[panel].get_lines() if len(np.asarray(x.get_xdata())) == 1]
    lines = [x for x in lines if x.get_marker() not in ("|", "None", "") and to_hex(x.get_color()) == colour]
    chosen = [x for x in lines if (x.get_markerfacecolor() == "none") is hollow]
    return {(float(np.asarray(x.get_xdata())[0]), float(np.asarray(x.get_ydata())[0])) for x in chosen}


# --- coherence against quality ---


def test_trade_off_has_a_panel_for_each_quality(group: Group) -> None:
    figure = trade_off(group)
    assert figure is not None
    assert [ax.get_title() for ax in figure.axes] == ["Joint(M)", "Joint(S)", "M → S", "S → M"]
    assert figure.legends[0].get_title().get_text() == "M: mnist, S: svhn"
    assert [ax.get_xlabel() for ax in figure.axes] == ["← FMD", "← FID", "← FID", "← FMD"]
    assert points(figure, 3, "#0072b2", hollow=False) == {(14.0, 31.0)}  # 13, 14, 15 and 30, 31, 32 over the seeds
    assert points(figure, 3, "#0072b2", hollow=True) == {(13.66, 28.57)}  # the paper's MVAE


def test_trade_off_names_the_seeds_and_the_lines_behind_the_points(group: Group) -> None:
    figure = trade_off(group)
    assert figure is not None
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named[:3] == ["MVAE, n = 3", "MLD, n = 3", "own, n = 3"]
    assert {"chance", "real data", "a seed", "paper (hollow)"} <= set(named)
    crossing = {line.get_label(): np.asarray(line.get_ydata())[0] for line in figure.axes[0].get_lines()}
    assert (crossing["chance"], crossing["real data"]) == (10.25, 91.5)


def test_bars_are_one_standard_deviation_and_an_interval_for_a_single_seed() -> None:
    """Over the seeds 40, 41, 42: 1. Of one seed: what its row says."""

    def heights(made: list[Any]) -> list[float]:
        (group,) = groups(made)
        figure = trade_off(group)
        assert figure is not None
        bars = [c for c in figure.axes[0].collections if len(c.get_paths()) == 1]
        ends = [path.vertices for c in bars for path in c.get_paths()]
        return sorted(float(np.ptp(np.asarray(xy)[:, 1])) for xy in ends if np.ptp(np.asarray(xy)[:, 1]) > 0)

    assert heights([cell("own", seed) for seed in range(3)]) == pytest.approx([2.0])
    rows = mnist_svhn_rows()
    rows[0] |= {"interval": [36.5, 43.0]}
    assert heights([cell("own", 0, rows)]) == pytest.approx([6.5])


@pytest.mark.parametrize("shift", [0.0, 25.0])
def test_noise_does_not_look_like_an_effect(shift: float) -> None:
    """Differences of 2 % of a distance and of half a point take less than a twentieth of an axis; and no marker lies on
    the frame."""
    made = []
    for model, up in (("mvae", 0.0), ("own", 1.0)):
        rows = [
            row("coherence", "joint", "mnist+svhn", shift + 0.5 * up),
            row("fmd", "joint", "mnist", 100 + 2 * up),
        ]
        made.append(cell(model, 0, rows))
    (group,) = groups(made)
    figure = trade_off(group)
    assert figure is not None
    figure.draw_without_rendering()
    ax = figure.axes[0]
    places = [
        ax.transAxes.inverted().transform(ax.transData.transform(xy)) for xy in [(100, shift), (102, shift + 0.5)]
    ]
    assert np.all(np.abs(places[1] - places[0]) < 0.05)
    assert np.all((np.asarray(places) > 0.05) & (np.asarray(places) < 0.95))


def test_many_modalities_are_few_panels_of_means() -> None:
    """Five views: 5 + 75 distances become one panel for each number of given views, each the mean over its tasks."""
    views = [f"m{k}" for k in range(5)]
    rows = []
    for number in range(1, 32):
        given = [view for k, view in enumerate(views) if number >> k & 1]
        for view in views:
            if view not in given:
                task = f"{'+'.join(given)}->{view}"
                rows += [row("coherence", task, view, 10.0 * len(given) + int(view[1])), row("fmd", task, view, 50.0)]
    (group,) = groups([cell("mvae", 0, rows, dataset="views", modalities=views)])
    figure = trade_off(group)
    assert figure is not None
    assert [ax.get_title() for ax in figure.axes] == [f"{k} given (mean)" for k in (1, 2, 3, 4)]
    assert points(figure, 0, "#0072b2", hollow=False) == {(50.0, 12.0)}  # 10 + the mean of 0, 1, 2, 3, 4


def test_trade_off_needs_both_numbers() -> None:
    (only,) = groups([cell(rows=[row("coherence", "joint", "mnist+svhn", 50.0)])])
    assert trade_off(only) is None
    (only,) = groups([cell(rows=[row("label_entropy", "joint", "mnist", 2.0)])])
    assert seed_spread(only) is None


# --- seeds ---


def test_seed_spread_has_a_panel_for_each_metric(group: Group) -> None:
    figure = seed_spread(group)
    assert figure is not None
    assert len(figure.axes) == 7  # entropy has no better side
    seeds = [line for line in figure.axes[0].get_lines() if len(np.asarray(line.get_xdata())) == 3]
    assert [sorted(np.asarray(line.get_xdata()).tolist()) for line in seeds] == [[40.0, 41.0, 42.0]] * 3


def test_the_interval_of_the_mean_is_students(group: Group) -> None:
    """40, 41, 42: 41 ± 4.3027 / sqrt(3), from a table of t with two degrees of freedom."""
    figure = seed_spread(group)
    assert figure is not None
    ends = [np.asarray(path.vertices)[:, 0] for c in figure.axes[0].collections for path in c.get_paths()]
    low, high = next((x.min(), x.max()) for x in ends if np.ptp(x) > 0)
    assert (low, high) == (pytest.approx(41 - 4.3027 / 3**0.5, abs=1e-3), pytest.approx(41 + 4.3027 / 3**0.5, abs=1e-3))


def test_ratios_and_second_judges_repeat_nothing() -> None:
    rows = mnist_svhn_rows()
    ratio = row("fmd_ratio", "joint", "mnist", 1.5, higher_is_better=False)
    rows += [ratio, row("coherence_second", "joint", "mnist+svhn", 39.0)]
    (group,) = groups([cell("mvae", 0, rows)])
    figure = seed_spread(group)
    assert figure is not None
    assert len(figure.axes) == 7
    (alone,) = groups([cell("mvae", 0, [ratio])])
    assert seed_spread(alone) is not None, "a ratio without its distance is news"


# --- looks ---


def test_a_model_has_one_colour_and_marker_in_whatever_company() -> None:
    alone = looks(next(iter(groups([cell("mld")]))))
    among = looks(next(iter(groups(cell(m) for m in ("mvae", "mopoe", "aaa", "mld", "zzz")))))
    assert {line.model: look for line, look in among.items()}["mld"] == next(iter(alone.values()))
    assert (look_of("mld").colour, look_of("mld").marker) == ("#d55e00", "*")
    assert len({(look.colour, look.marker) for look in KNOWN.values()}) == len(KNOWN)


def test_strangers_keep_theirs_for_ever_and_borrow_none() -> None:
    assert (look_of("my_package.MyModel"), look_of("another")) == (look_of("my_package.MyModel"), look_of("another"))
    assert (look_of("another").colour, look_of("another").marker) == ("#256a93", "p")  # written down: never another
    strangers = {(look_of(f"model{k}").colour, look_of(f"model{k}").marker) for k in range(200)}
    assert len(strangers) > 100
    assert not {marker for _, marker in strangers} & {look.marker for look in KNOWN.values()}


def test_configurations_of_one_model_share_its_colour_and_are_told_apart() -> None:
    made = [cell("mld", hash=f"{k}" * 10, overrides={"steps": k} if k else {}) for k in range(3)]
    (group,) = groups(made)
    found = list(looks(group).values())
    assert {(look.colour, look.marker) for look in found} == {("#d55e00", "*")}
    assert len({look.fill for look in found}) == 3
    assert found[0].fill == "full", "the recipe's own"


# --- training ---


def test_training_curves_have_a_panel_for_each_term(group: Group) -> None:
    figure = training_curves(group, group.lines[0])
    assert figure is not None
    assert [ax.get_title() for ax in figure.axes] == ["elbo: loss", "elbo: KL"]
    assert [len(ax.get_lines()) for ax in figure.axes] == [3, 3]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["seed 0", "seed 1", "seed 2"]
    (bare,) = groups([cell(stages={})])
    assert training_curves(bare, bare.lines[0]) is None


def test_training_curves_are_few_panels_with_every_loss(group: Group) -> None:
    stage = group.cells[0]["stages"]["elbo"]
    history = {"step": [1, 2], "loss": [99.0, 1.0], **{f"part{k}": [float(k), 1.0] for k in range(30)}}
    stages = {f"stage{k}": stage | {"history": history} for k in range(4)}
    (many,) = groups([cell("own", seed, stages=stages) for seed in (2, 5)])
    figure = training_curves(many, many.lines[0])
    assert figure is not None
    titles = [ax.get_title() for ax in figure.axes]
    assert len(titles) == 6
    assert {f"stage{k}: loss" for k in range(4)} <= set(titles)
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["seed 2", "seed 5", "(118 more terms are in the cells' files)"]  # 4 x 31 - 6


def test_a_seed_has_one_colour_whatever_other_seeds_are_there() -> None:
    colours = []
    for seeds in ((1, 2), (0, 1, 2, 3)):
        (group,) = groups([cell("own", seed) for seed in seeds])
        figure = training_curves(group, group.lines[0])
        assert figure is not None
        colours.append(figure.axes[0].get_lines()[seeds.index(2)].get_color())
    assert colours[0] == colours[1]


# --- samples ---


def test_sample_grids_have_a_row_for_conditions_and_models(group: Group, tmp_path: Path) -> None:
    samples = kept(group, tmp_path)
    conditional = sample_grid(group, "mnist->svhn", samples)
    assert conditional is not None
    beside = [text.get_text() for text in conditional.texts]
    assert beside == ["MNIST_SVHN, M → S, budget paper, seed 0", "given\nmnist (M)", "MVAE", "MLD", "own"]
    assert [len(ax.get_images()) for ax in conditional.axes] == [4] * 4
    shown = np.asarray(conditional.axes[0].get_images()[2].get_array())
    given = samples[group.lines[0]].arrays["mnist->svhn/given/mnist"][2, 0]
    assert np.allclose(shown, given[:, :, None] / 255)
    joint = sample_grid(group, "joint", samples)
    assert joint is not None
    assert len(joint.axes) == 6  # two modalities of three models
    words = sample_grid(group, "mnist->name", samples)
    assert words is not None
    assert [text.get_text() for text in words.axes[1].texts] == ["one", "∅", "a bird with a\nlong red beak", "é"]
    assert sample_grid(group, "svhn->mnist", samples) is None


def classed(count: int, classes: list[int], *, texts: bool) -> dict[str, np.ndarray]:
    """Samples of pen -> sign and back, of tuples of these classes; the classes by number or by a name."""
    draw = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    real = {m: draw.integers(0, 255, (count, 1, 8, 8), dtype=np.uint8) for m in ("pen", "sign")}
    for given, target in (("pen", "sign"), ("sign", "pen")):
        arrays[sample_key(f"{given}->{target}", "given", given)] = real[given]
        arrays[sample_key(f"{given}->{target}", "target", target)] = draw.integers(0, 255, (count, 1, 8, 8), np.uint8)
    if texts:
        arrays[sample_key("name->pen", "given", "name")] = np.array([["zero", "one", "two"][k] for k in classes])
        arrays[sample_key("name->pen", "target", "pen")] = real["pen"]
    else:
        arrays["labels"] = np.array(classes)
    return arrays


@pytest.mark.parametrize("texts", [False, True], ids=["labels", "names"])
def test_conditions_are_of_different_classes_and_their_counterparts_are_shown(tmp_path: Path, texts: bool) -> None:
    """Three tuples of class 2 come first, yet the first three conditions are of three classes."""
    rows = [row("coherence", "pen->sign", "sign", 50.0)]
    (group,) = groups([cell("mld", 0, rows, dataset="glyphs", modalities=["pen", "sign", "name"])])
    arrays = classed(7, [2, 2, 2, 0, 1, 0, 2], texts=texts)
    figure = sample_grid(group, "pen->sign", {group.lines[0]: Kept(4, arrays)})
    assert figure is not None
    given, real, made = ([np.asarray(image.get_array())[..., 0] for image in ax.get_images()] for ax in figure.axes)
    order = [0, 3, 4] if texts else [3, 4, 0]
    assert len(given) == 7, "then the others, each once"
    for place, k in enumerate(order):
        for shown, key in ((given, "given/pen"), (made, "target/sign")):
            assert np.allclose(shown[place], arrays[f"pen->sign/{key}"][k, 0] / 255)
        assert np.allclose(real[place], arrays["sign->pen/given/sign"][k, 0] / 255)
    assert "seed 4" in figure.texts[0].get_text()
    if texts:
        names = sample_grid(group, "name->pen", {group.lines[0]: Kept(4, arrays)})
        assert names is not None
        assert [t.get_text() for t in names.axes[0].texts] == ["two", "zero", "one"], "no name comes twice"


def test_a_model_with_other_conditions_is_left_out_and_named(group: Group, tmp_path: Path) -> None:
    samples = {}
    for number, line in enumerate(group.lines[:2]):
        keep_samples(tmp_path, group.of(line)[0], conditions=number)
        samples[line] = Kept(number, read_samples(tmp_path / str(group.of(line)[0]["samples"])))
    grid = sample_grid(group, "mnist->svhn", samples)
    assert grid is not None
    words = [text.get_text() for text in grid.texts]
    assert words[1:] == ["given\nmnist (M)", "MVAE", "Left out, since they were given other conditions: MLD."]


def test_all_models_show_the_same_seed_where_they_have_one(tmp_path: Path) -> None:
    made = [cell(model, seed) for model in ("mvae", "mld") for seed in (0, 1)]
    for one in made[1:]:  # MVAE's seed 0 has no samples
        keep_samples(tmp_path, one)
    with mpl.rc_context({"svg.fonttype": "none"}):
        write_figures(made, tmp_path, tmp_path / "words", forms=("svg",))
    assert "seed 1" in (tmp_path / "words/mnist_svhn-paper-samples-joint.svg").read_text()


# --- files ---


@pytest.mark.parametrize("width", ["column", "page"])
def test_no_text_is_under_six_points_at_the_width_of_a_paper(group: Group, tmp_path: Path, width: Width) -> None:
    samples = kept(group, tmp_path)
    drawn = [trade_off(group, width), seed_spread(group, width), training_curves(group, group.lines[0], width)]
    drawn += [sample_grid(group, task, samples, width) for task in ("joint", "mnist->svhn", "mnist->name")]
    drawn.append(caption_table(group, "mnist->name", samples, width))
    for figure in drawn:
        assert figure is not None
        assert figure.get_figwidth() == WIDTHS[width]
        assert min(text.get_fontsize() for text in texts(figure)) >= 6.0


@pytest.mark.parametrize("width", ["column", "page"])
def test_long_names_stay_inside_the_picture(tmp_path: Path, width: Width) -> None:
    made = [cell(f"{k}" + "long_name_" * 20, seed, titles={"mnist": "m" * 200}) for k in range(3) for seed in range(2)]
    made = [one | {"dataset": one["dataset"] | {"title": "T" * 200}} for one in made]  # type: ignore[operator]
    (group,) = groups(made)
    samples = kept(group, tmp_path)
    drawn = [trade_off(group, width), seed_spread(group, width), training_curves(group, group.lines[0], width)]
    drawn += [sample_grid(group, "mnist->svhn", samples, width), caption_table(group, "mnist->name", samples, width)]
    for figure in drawn:
        assert figure is not None
        figure.set_dpi(300)
        figure.draw_without_rendering()
        drawn_on = figure.get_tightbbox()
        assert (drawn_on.x0, drawn_on.y0) >= (-0.02, -0.02)
        assert drawn_on.x1 <= figure.get_figwidth() + 0.02
        assert drawn_on.y1 <= figure.get_figheight() + 0.02


def test_every_figure_is_written_as_png_svg_and_pdf_at_its_width(group: Group, tmp_path: Path) -> None:
    paths = write_figures(group.cells, tmp_path, tmp_path, width="column")
    assert [path.suffix for path in paths] == [".png", ".svg", ".pdf"] * 5  # trade-off, seeds, three trainings
    for path in paths:
        content = path.read_bytes()
        if path.suffix == ".svg":
            assert b'width="234pt"' in content  # 3.25 x 72
        elif path.suffix == ".pdf":
            assert re.search(rb"/MediaBox \[ ?0 0 234 ", content)
            assert b"/Type3" not in content, "journals refuse fonts of Type 3"
        else:
            assert imread(path).shape[1] == 975  # 300 dots an inch
    again = write_figures(group.cells, tmp_path, tmp_path / "again", width="column")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]


def test_write_figures(group: Group, tmp_path: Path) -> None:
    settings, backend = mpl.rcParams.copy(), mpl.get_backend(auto_select=False)
    keep_samples(tmp_path, group.cells[0])
    heard = Heard()
    paths = write_figures(group.cells, tmp_path, tmp_path / "out", heard, forms=("png",))
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
    missing = CellKey.of(group.cells[0]).model  # the only model whose samples are there
    assert len(heard.said) == 2
    assert not any(said.upper().startswith(missing.upper()) for said in heard.said)
    assert mpl.rcParams.copy() == settings
    assert mpl.get_backend(auto_select=False) == backend


def test_groups_of_one_budget_do_not_overwrite_each_other(tmp_path: Path) -> None:
    protocol = {"count": 7, "quality_count": 7, "batch_size": 7, "judge_epochs": 7.0, "seed": 0}
    rows = [row("coherence", "joint", "mnist+svhn", 50.0)]
    made = [cell(rows=rows, stages={}), cell(rows=rows, stages={}, protocol=protocol)]
    paths = write_figures(made, tmp_path, tmp_path, forms=("png",))
    assert len(set(paths)) == 2
    assert write_figures([], tmp_path, tmp_path) == []


def test_a_folder_that_cannot_be_made(group: Group, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(ResultError, match="a file is in the way: move the file or name another folder"):
        write_figures(group.cells, tmp_path, tmp_path / "out")


# --- captions ---


def birds() -> dict[str, np.ndarray]:
    words = np.array([f"this bird number {k} has a long red beak and small black wings" for k in range(6)])
    images = np.random.default_rng(0).integers(0, 255, (6, 3, 64, 64), dtype=np.uint8)
    arrays = {}
    for given, target in (("caption", "image"), ("image", "caption")):
        for role, name in (("given", given), ("target", target)):
            arrays[sample_key(f"{given}->{target}", role, name)] = words if name == "caption" else images
    return arrays


def test_captions_stand_beside_the_pictures_of_each_model(tmp_path: Path) -> None:
    """The form of Figure 2: columns for what is given, what really belongs to it, and each model; a line for each
    condition."""
    rows = [row("caption_match", "caption->image", "image", 60.0)]
    made = [cell(m, rows=rows, dataset="cub", modalities=["image", "caption"], stages={}) for m in ("mopoe", "mld")]
    (group,) = groups(made)
    arrays = birds()
    figure = caption_table(group, "caption->image", {line: Kept(0, arrays) for line in group.lines})
    assert figure is not None
    shown = [text.get_text().replace("\n", " ") for ax in figure.axes for text in ax.texts]
    assert shown == arrays["caption->image/given/caption"].tolist()
    assert sum(len(ax.images) for ax in figure.axes) == 18  # the real ones and two models'
    titles = [text.get_text() for text in figure.texts]
    assert {"given\ncaption (C)", "real\nimage (I)", "MoPoE", "MLD"} <= set(titles)
    assert any("C → I" in title and "CUB" in title for title in titles), "the heading says what is shown"
    back = caption_table(group, "image->caption", {line: Kept(0, arrays) for line in group.lines})
    assert back is not None
    assert sum(len(ax.texts) for ax in back.axes) == 18
    for each in made:
        write_samples(tmp_path / str(each["samples"]), arrays)
    names = [path.name for path in write_figures(made, tmp_path, tmp_path / "figures", forms=("png",))]
    assert "cub-paper-samples-caption-to-image.png" in names
    assert "cub-paper-samples-image-to-caption.png" in names


def test_models_without_room_in_a_column_stand_below_beside_the_conditions_again() -> None:
    rows = [row("caption_match", "caption->image", "image", 60.0)]
    named = [f"model{k}" for k in range(6)]
    made = [cell(m, rows=rows, dataset="cub", modalities=["image", "caption"], stages={}) for m in named]
    (group,) = groups(made)
    figure = caption_table(group, "image->caption", {line: Kept(0, birds()) for line in group.lines}, "column")
    assert figure is not None
    titles = [text.get_text() for text in figure.texts]
    assert set(named) <= set(titles)
    assert titles.count("given\nimage (I)") > 1


def test_long_texts_need_room_and_pictures_stay_square(tmp_path: Path) -> None:
    """Figure 9's form: joint samples, each picture over its caption, under a heading of the figure's own."""
    rows = [row("caption_match", "joint", "image+caption", 60.0)]
    (group,) = groups([cell("mld", rows=rows, dataset="cub", modalities=["image", "caption"], stages={})])
    words = np.array([f"this bird number {k} has a long red beak and small black wings" for k in range(6)])
    images = np.random.default_rng(0).integers(0, 255, (6, 3, 64, 64), dtype=np.uint8)
    arrays = {sample_key("joint", "target", "image"): images, sample_key("joint", "target", "caption"): words}
    figure = sample_grid(group, "joint", {group.lines[0]: Kept(0, arrays)})
    assert figure is not None
    box = figure.axes[0].get_position()
    width, height = figure.get_size_inches()
    shown = len(figure.axes[0].get_images())
    assert box.width * width / shown == pytest.approx(box.height * height, rel=1e-6)
    assert box.width * width / shown > 0.8
    assert figure.texts[0].get_text() == "CUB, joint generation, budget paper, seed 0"


def test_a_name_with_dollars_is_a_name_and_no_formula(tmp_path: Path) -> None:
    odd = cell("$\\frac$")
    odd["dataset"]["title"] = "$\\no$"
    odd["stages"] = {"$\\stage$": odd["stages"]["elbo"]}
    written = write_figures([odd], tmp_path, tmp_path / "figures", forms=("png",))
    assert {path.suffix for path in written} == {".png"}
    assert len(written) == 3  # trade-off, seeds, training


@pytest.mark.parametrize("inches", [(35.0, 35.0), (200.0, 1.0), (6.75, 26.0)])
def test_a_png_is_none_that_we_would_refuse_to_read(tmp_path: Path, inches: tuple[float, float]) -> None:
    """Pillow warns of more than 89,478,485 pixels, which a reader of ours takes for no honest picture."""
    path = save(new_figure(*inches, layout=None), tmp_path / "large.png")
    assert read_image(path, (1, 8, 8)).shape == (1, 8, 8)
    with Image.open(path) as image:
        assert image.width / image.height == pytest.approx(inches[0] / inches[1], rel=0.01)
        assert image.width * image.height > 0.9 * min(300**2 * inches[0] * inches[1], 80_000_000)
