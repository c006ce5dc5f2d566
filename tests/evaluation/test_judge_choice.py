"""Which network judges an image, and what the residual one is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mmbench import DatasetSpec, Modality
from mmbench.config import Protocol, Schedule
from mmbench.data.glyphs import SPEC, STREET
from mmbench.data.mnist_svhn import MnistSvhn
from mmbench.data.polymnist import specification
from mmbench.errors import ConfigError, PluginError
from mmbench_evaluation.classifiers import judge, second_judge
from mmbench_evaluation.coherence import Coherence
from mmbench_evaluation.judge_choice import briefer, find, first, second
from mmbench_evaluation.judge_networks import LeNet
from mmbench_evaluation.judge_residual import PIXELS, ResidualNet, Shift

PAPER = Protocol.recipe("paper")


def image(shape: tuple[int, ...], **more: Any) -> Modality:
    return Modality(name=f"x{shape[-1]}c{shape[0]}", shape=shape, network="mnist_mlp", latent=4, **more)


def spec(*modalities: Modality, **more: Any) -> DatasetSpec:
    return DatasetSpec(name="own", title="Own", modalities=modalities, classes=3, **more)


def kinds(dataset: DatasetSpec, protocol: Protocol = PAPER) -> list[str]:
    """The first judge of each image, then the second of all."""
    images = [m for m in dataset.modalities if not m.is_text]
    others = {chosen.kind if (chosen := second(dataset, protocol, m)) else "" for m in images}
    assert len(others) == 1
    return [first(dataset, protocol, m).kind for m in images] + list(others)


def test_where_none_is_named_colours_of_28_to_32_pixels_have_a_better_judge_and_the_papers_beside_it() -> None:
    grey, small, colour, photo = image((1, 28, 28)), image((3, 16, 16)), image((3, 32, 32)), image((3, 64, 64))
    assert kinds(spec(grey, colour)) == ["lenet", "residual", "lenet"]
    assert kinds(spec(image((3, 28, 28)), colour)) == ["residual", "residual", "lenet"]
    assert kinds(spec(grey, small, photo)) == ["lenet", "lenet", "lenet", ""]


def test_the_datasets_word_counts_and_the_modalitys_more_and_the_protocols_most() -> None:
    grey, colour = image((1, 28, 28)), image((3, 32, 32))
    assert kinds(spec(grey, colour, judge="lenet")) == ["lenet", "lenet", ""]
    assert kinds(spec(grey, replace(colour, judge="strided"), judge="lenet")) == ["lenet", "strided", "lenet"]
    assert kinds(spec(grey, colour), replace(PAPER, first_judge="lenet")) == ["lenet", "lenet", ""]
    assert kinds(spec(grey, colour), replace(PAPER, first_judge="residual")) == ["residual", "residual", "lenet"]
    assert kinds(spec(grey, colour), replace(PAPER, second_judge="wide")) == ["lenet", "residual", "wide"]


def test_the_papers_tables_keep_the_papers_judges() -> None:
    """methods.md, 6.1 and 12: LeNets on MNIST-SVHN, PolyMNIST's own; and where a LeNet reads 95 % and more."""
    assert kinds(MnistSvhn.spec) == ["lenet", "lenet", ""]
    assert kinds(specification("polymnist", "PolyMNIST", 5)) == ["strided"] * 5 + [""]
    assert kinds(SPEC) == kinds(STREET) == ["lenet", "lenet", ""]


def test_a_name_that_is_none_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    grey, colour = image((1, 28, 28)), image((3, 32, 32))
    assert "did you mean 'residual'" in Coherence.unfit(spec(grey, replace(colour, judge="residul")))
    assert "did you mean 'strided'" in Coherence.unfit(spec(grey, colour, judge="stridet"))
    with pytest.raises(ConfigError, match="there is no judge 'lenett'; did you mean 'lenet'"):
        find("lenett")
    with pytest.raises(PluginError, match="there is no module 'no_such'"):
        find("no_such:Net")


OWN = """
from mmbench_evaluation.judge_networks import LeNet
class Net(LeNet):
    share = 0.5
"""


def test_a_class_of_the_working_directory_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_bench: Any, dataset: Any
) -> None:
    (tmp_path / "my_own_judge.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    own = replace(dataset.spec, judge="my_own_judge:Net")
    bench = make_bench(replace(dataset, spec=own), epochs=2)
    assert judge(bench, "grey").name.startswith("net ")
    assert second_judge(bench, "grey") is None, "the dataset's own is its paper's"
    other = make_bench(dataset, epochs=2, first_judge="my_own_judge:Net")
    assert judge(other, "colour").name.startswith("net ")
    assert second_judge(other, "colour").name.startswith("lenet "), "the paper's keeps its rows"  # type: ignore[union-attr]
    assert second_judge(other, "colour").identity == judge(make_bench(dataset, epochs=2), "colour").identity  # type: ignore[union-attr]


def test_a_dearer_network_takes_fewer_steps() -> None:
    steps = Schedule(steps=3000, batch_size=256, lr=3e-3, warmup=150, decay="cosine")
    assert briefer(steps, LeNet) == steps
    assert briefer(steps, ResidualNet) == replace(steps, steps=1000, warmup=50)
    assert briefer(PAPER.judge, ResidualNet).epochs == pytest.approx(50 / 3)


def test_the_residual_network_has_the_sizes_that_it_says() -> None:
    for shape in ((3, 28, 28), (3, 32, 32)):
        network = ResidualNet(shape, 10).eval()
        x = torch.rand(5, *shape)
        assert network(x).shape == (5, 10)
        features = network.features(x)
        assert features.shape == (5, network.dim) == (5, 64)
        assert (features >= 0).all()
        assert torch.allclose(network(x[:1]), network(x)[:1], atol=1e-5), "rows do not depend on each other"
        assert f"{sum(p.numel() for p in network.parameters()):,}" in (ResidualNet.__doc__ or "")


def test_shifts_move_each_image_on_its_own_and_repeat_its_edge_while_training_alone() -> None:
    """Against a plain loop over all shifts of one image."""
    torch.manual_seed(0)
    x = torch.rand(64, 3, 20, 18)
    shift = Shift()
    assert shift.eval()(x) is x
    moved = shift.train()(x)
    seen = set()
    for before, after in zip(x, moved, strict=True):
        found = [
            (down, right)
            for down in range(-PIXELS, PIXELS + 1)
            for right in range(-PIXELS, PIXELS + 1)
            if torch.equal(after, rolled(before, down, right))
        ]
        assert len(found) == 1
        seen |= set(found)
    assert len(seen) > 12, "nearly all of the 25 shifts"


def rolled(x: torch.Tensor, down: int, right: int) -> torch.Tensor:
    rows = [min(max(k + down, 0), x.shape[1] - 1) for k in range(x.shape[1])]
    columns = [min(max(k + right, 0), x.shape[2] - 1) for k in range(x.shape[2])]
    return torch.stack([torch.stack([x[:, r, c] for c in columns], 1) for r in rows], 1)
