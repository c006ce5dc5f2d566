from __future__ import annotations

import importlib
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmbench.config import Schedule
from mmbench.data.dataset import Dataset, Split
from mmbench.errors import ConfigError, PluginError, TrainingError
from mmbench.progress import Advance, Progress
from mmbench.store import provenance
from mmbench.training import Checkpoints
from mmbench_evaluation import classifiers
from mmbench_evaluation.classifiers import (
    Classifier,
    LeNet,
    Reader,
    WideNet,
    accuracy,
    judge,
    second_judge,
    train_judge,
)
from mmbench_evaluation.frechet import FMD
from mmbench_evaluation.judge_networks import StridedNet


class Counting(Progress):
    """Adds up the steps that are reported."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int]] = []
        self.steps = 0

    @contextmanager
    def phase(self, title: str, total: int, unit: str = "step", done: int = 0) -> Iterator[Advance]:
        self.phases.append((title, total))

        def advance(steps: int = 1, note: str = "") -> None:
            self.steps += steps

        yield advance


SHORT = Schedule(epochs=2, batch_size=64, lr=1e-3)


@pytest.mark.parametrize(("shape", "parameters", "features"), [((1, 28, 28), 21_840, 320), ((3, 32, 32), 31_340, 500)])
def test_lenet_has_the_papers_size(shape: tuple[int, ...], parameters: int, features: int) -> None:
    network = LeNet(shape, 10)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network.features(torch.rand(2, *shape)).shape == (2, features)
    assert network.dim == features
    assert network(torch.rand(2, *shape)).shape == (2, 10)


def test_lenet_takes_other_sizes_and_refuses_tiny_ones() -> None:
    assert LeNet((2, 16, 40), 3)(torch.rand(5, 2, 16, 40)).shape == (5, 3)
    with pytest.raises(ConfigError, match="16 x 16"):
        LeNet((1, 15, 28), 10)


def test_lenet_is_the_network_of_the_public_code() -> None:
    """Against the layers written out with functional calls, in the order of methods 6.1."""
    network = LeNet((1, 28, 28), 10).eval()
    w = list(network.parameters())
    x = torch.rand(4, 1, 28, 28)
    f = torch.nn.functional
    h = f.relu(f.max_pool2d(f.conv2d(x, w[0], w[1]), 2))
    h = f.relu(f.max_pool2d(f.conv2d(h, w[2], w[3]), 2)).reshape(4, -1)
    torch.testing.assert_close(network.features(x), h)
    torch.testing.assert_close(network(x), f.linear(f.relu(f.linear(h, w[4], w[5])), w[6], w[7]))


def test_polymnists_judge_is_the_network_of_its_public_code() -> None:
    """Against the layers written out with functional calls, in the order of methods 12; and its size, summed up: 490 +
    3,220 + 125,568 + 1,290."""
    network = StridedNet((3, 28, 28), 10).eval()
    assert sum(p.numel() for p in network.parameters()) == 130_568
    w = list(network.parameters())
    x = torch.rand(4, 3, 28, 28)
    f = torch.nn.functional
    h = f.relu(f.conv2d(x, w[0], w[1], stride=2, padding=1))
    h = f.relu(f.conv2d(h, w[2], w[3], stride=2, padding=1)).reshape(4, -1)
    assert h.shape == (4, 980)
    h = f.relu(f.linear(h, w[4], w[5]))
    torch.testing.assert_close(network.features(x), h)
    torch.testing.assert_close(network(x), f.linear(h, w[6], w[7]))
    kinds = " ".join(type(layer).__name__ for layer in network.body)
    assert kinds == "Conv2d Dropout2d ReLU Conv2d Dropout2d ReLU Flatten Linear Dropout ReLU"
    assert not torch.equal(network.train().features(x), h)


def test_a_dataset_names_its_judge(make_bench) -> None:
    bench = make_bench(epochs=1)
    spec = replace(bench.dataset.spec, judge="strided")
    named = make_bench(replace(bench.dataset, spec=spec), epochs=1)
    reader = judge(named, "grey")
    assert isinstance(reader, Classifier)
    assert isinstance(reader.network, StridedNet)
    assert reader.name.startswith("strided ")
    assert reader.digits != judge(bench, "grey").digits
    assert FMD.dim(named, spec.modality("grey")) == 128
    wrong = make_bench(replace(bench.dataset, spec=replace(spec, judge="stridet")))
    with pytest.raises(ConfigError, match="there is no judge 'stridet'; did you mean 'strided'"):
        judge(wrong, "grey")


def test_a_judge_has_no_dropout() -> None:
    network = LeNet((1, 28, 28), 10).train()
    x = torch.rand(2500, 1, 28, 28)
    assert not torch.equal(network.features(x), network.features(x))
    reader = Classifier(network, 0.9876)
    network.train()  # even if somebody switches it back
    assert torch.equal(reader.features(x), reader.features(x))
    assert torch.equal(reader.predict(x), reader.predict(x))
    assert reader.features(x).shape == (2500, 320)
    assert reader.features(x).min() >= 0
    assert reader.predict(x).dtype == torch.int64
    assert not reader.features(x).requires_grad
    assert reader.name == "lenet 98.8 %"


@pytest.mark.parametrize("size", [0, 1, 999, 1001])
def test_a_judge_takes_any_number_of_samples(size: int) -> None:
    reader = Classifier(LeNet((1, 16, 16), 3))
    x = torch.rand(size, 1, 16, 16)
    assert reader.predict(x).shape == (size,)
    assert reader.features(x).shape == (size, reader.network.dim)


def test_the_reader_accepts_exact_words_only(dataset: Dataset) -> None:
    word = dataset.spec.modality("word")
    letter = {letter: k for k, letter in enumerate(word.vocabulary)}
    texts = ["two", "one", "twx", "on", "six", "sixx", ""]
    tokens = torch.tensor([[letter[c] for c in text] + [0] * (4 - len(text)) for text in texts])
    reader = Reader(word)
    assert reader.predict(tokens).tolist() == [1, 0, -1, -1, 2, -1, -1]
    assert (reader.name, reader.accuracy) == ("exact", 1.0)
    assert accuracy(reader, dataset.test, "word") == 1.0
    with pytest.raises(PluginError, match="no features"):
        reader.features(tokens)


def test_a_judge_learns_separable_classes(make_bench) -> None:  # type: ignore[no-untyped-def]
    progress = Counting()
    bench = make_bench(progress=progress)
    for name in ("grey", "colour"):
        reader = judge(bench, name)
        truth = bench.dataset.test.labels
        share = (reader.predict(bench.dataset.test.gather(torch.arange(300))[name]) == truth).double().mean().item()
        assert reader.accuracy > 0.95
        assert share == pytest.approx(reader.accuracy)  # two tuples per item: items and tuples weigh alike
        assert judge(bench, name) is reader
    steps = 10 * (1200 // 64)
    assert progress.phases == [("judge of grey", steps), ("judge of colour", steps)]
    assert progress.steps == 2 * steps
    assert judge(bench, "word").name == "exact"


def test_fractional_epochs(dataset: Dataset) -> None:
    progress = Counting()
    grey = dataset.spec.modality("grey")
    train_judge(LeNet, dataset.train, grey, 3, Schedule(epochs=0.5, batch_size=100, lr=1e-3), 0, progress)
    assert progress.phases == [("judge of grey", 6)]


def test_same_seed_same_weights(dataset: Dataset) -> None:
    grey = dataset.spec.modality("grey")
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = train_judge(LeNet, dataset.train, grey, 3, SHORT, seed=4).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again = train_judge(LeNet, dataset.train, grey, 3, SHORT, seed=4).state_dict()
    other = train_judge(LeNet, dataset.train, grey, 3, SHORT, seed=5).state_dict()
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not any(torch.equal(first[k], other[k]) for k in first)


class Interrupting(Progress):
    """Sends a signal when `left` steps have passed."""

    def __init__(self, left: int) -> None:
        self.left = left

    @contextmanager
    def phase(self, title: str, total: int, unit: str = "step", done: int = 0) -> Iterator[Advance]:
        def advance(steps: int = 1, note: str = "") -> None:
            self.left -= steps
            if self.left == 0:
                signal.raise_signal(signal.SIGINT)

        yield advance


@pytest.mark.parametrize("build", [LeNet, WideNet])
@pytest.mark.parametrize("times", [[1], [20, 1], [5, 10, 17]])
def test_interrupted_and_resumed_is_the_same_as_uninterrupted(
    dataset: Dataset, tmp_path: Path, build: type[torch.nn.Module], times: list[int]
) -> None:
    """Dropout's stream, BatchNorm's statistics and the order of the tuples, over the end of a pass (18 steps)."""
    grey, counted = dataset.spec.modality("grey"), Counting()
    schedule = replace(SHORT, epochs=None, steps=36)

    def trained(progress: Progress, checkpoints: Checkpoints | None) -> dict[str, torch.Tensor]:
        return train_judge(build, dataset.train, grey, 3, schedule, 4, progress, checkpoints=checkpoints).state_dict()

    checkpoints = Checkpoints(tmp_path, lambda _: None)
    for steps in times:
        torch.manual_seed(steps)  # where the global state stands must not matter
        with pytest.raises(KeyboardInterrupt):
            trained(Interrupting(steps), checkpoints)
    resumed = trained(counted, checkpoints)
    assert counted.steps == 36 - sum(times), "the finished steps were not repeated"
    expected = trained(Progress(), None)
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


def test_the_cache_saves_the_training(make_bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    trained = judge(make_bench(), "grey")
    (path,) = (tmp_path / "artefacts/judge").glob("*/card.json")
    card = json.loads(path.read_text())
    assert (card["identity"]["data"], card["identity"]["modality"]) == (make_bench().dataset.fingerprint, "grey")
    assert card["facts"]["accuracy"] == trained.accuracy
    assert sorted(p.name for p in path.parent.iterdir()) == ["card.json", "tensors.safetensors"]
    with monkeypatch.context() as patch:
        patch.setattr(classifiers, "train_judge", None)  # calling it would be a TypeError
        loaded = judge(make_bench(), "grey")
    assert isinstance(trained, Classifier)
    assert isinstance(loaded, Classifier)
    assert (loaded.accuracy, loaded.name) == (trained.accuracy, trained.name)
    assert not loaded.network.training
    x = torch.rand(50, 1, 16, 16)
    assert torch.equal(loaded.features(x), trained.features(x))
    assert torch.equal(loaded.predict(x), trained.predict(x))


@pytest.mark.parametrize("settings", [{"seed": 1}, {"epochs": 3}])
def test_other_settings_are_another_judge(make_bench, tmp_path: Path, settings: dict[str, float]) -> None:  # type: ignore[no-untyped-def]
    for overrides in ({"epochs": 2}, {"epochs": 2} | settings):
        judge(make_bench(**overrides), "grey")
    assert len(list((tmp_path / "artefacts/judge").glob("*/card.json"))) == 2


def flip(content: bytes) -> bytes:
    return content[:-9] + bytes([content[-9] ^ 64]) + content[-8:]


@pytest.mark.parametrize("damage", [lambda b: b[:-200], lambda b: b"", lambda b: b"\x00" * 99, flip])
def test_a_damaged_cache_is_trained_again(make_bench, tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    trained = judge(make_bench(epochs=2), "grey")
    (path,) = (tmp_path / "artefacts/judge").glob("*/tensors.safetensors")
    path.write_bytes(damage(path.read_bytes()))
    progress = Counting()
    again = judge(make_bench(epochs=2, progress=progress), "grey")
    assert progress.steps > 0
    assert again.accuracy == trained.accuracy
    assert (judge(make_bench(epochs=2, progress=progress), "grey").accuracy, progress.steps) == (again.accuracy, 36)


def test_nan_is_an_error(dataset: Dataset) -> None:
    grey = dataset.spec.modality("grey")
    images = torch.full((300, 1, 16, 16), float("nan"))
    split = Split({"grey": images}, torch.arange(300)[:, None], torch.zeros(300, dtype=torch.int64))
    with pytest.raises(TrainingError, match="judge of grey: loss is not finite at step"):
        train_judge(LeNet, split, grey, 3, SHORT, 0)


def test_the_schedule_is_kept_or_refused(dataset: Dataset) -> None:
    grey = dataset.spec.modality("grey")
    plain = train_judge(LeNet, dataset.train, grey, 3, SHORT, 0).state_dict()
    for change in ({"weight_decay": 0.1}, {"decay": "cosine"}, {"warmup": 5}, {"lr": 2e-3}):
        other = train_judge(LeNet, dataset.train, grey, 3, replace(SHORT, **change), 0).state_dict()  # type: ignore[arg-type]
        assert not torch.equal(plain["head.0.weight"], other["head.0.weight"])
    for change in ({"ema": 0.9}, {"precision": "bfloat16"}):
        with pytest.raises(ConfigError, match="without ema and in float32"):
            train_judge(LeNet, dataset.train, grey, 3, replace(SHORT, **change), 0)  # type: ignore[arg-type]


def test_nothing_to_judge_by(make_bench, dataset: Dataset) -> None:  # type: ignore[no-untyped-def]
    bare = replace(dataset, spec=replace(dataset.spec, classes=0))
    with pytest.raises(PluginError, match="no class labels"):
        judge(make_bench(bare), "grey")
    modalities = (*dataset.spec.modalities[:2], replace(dataset.spec.modalities[2], classes=()))
    mute = replace(dataset, spec=replace(dataset.spec, modalities=modalities))
    with pytest.raises(PluginError, match="give its modality `classes`"):
        judge(make_bench(mute), "word")


@pytest.mark.slow
def test_real_digits(data_root: Path) -> None:
    """Three passes over MNIST read more than 97 % of the test digits."""
    from torchvision.datasets import MNIST

    from mmbench.modality import Modality

    def split(train: bool) -> Split:
        raw = MNIST(data_root, train=train)
        return Split({"mnist": raw.data[:, None]}, torch.arange(len(raw.data))[:, None], raw.targets)

    mnist = Modality(name="mnist", shape=(1, 28, 28), network="mnist_mlp", latent=16)
    network = train_judge(LeNet, split(True), mnist, 10, Schedule(epochs=3, batch_size=256, lr=1e-3), 0)
    assert accuracy(Classifier(network), split(False), "mnist") > 0.97


STRANGER = """
from torch import nn
WIDTH = 8
class Net(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.LazyLinear(WIDTH), nn.ReLU(), nn.LazyLinear(classes))
        self.body(__import__("torch").zeros(1, *shape))
    def forward(self, x):
        return self.body(x)
"""


def test_a_strangers_judge_is_kept_by_its_source(make_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """An edited class is another judge, of the same name; a comment changes nothing."""
    monkeypatch.syspath_prepend(tmp_path)
    counts = []
    for source in (STRANGER, STRANGER + "# the same\n", STRANGER.replace("WIDTH = 8", "WIDTH = 9")):
        (tmp_path / "my_judge.py").write_text(source)
        sys.modules.pop("my_judge", None)
        importlib.invalidate_caches()
        provenance.code_of_module.cache_clear()
        provenance._imported.cache_clear()
        second_judge(make_bench(epochs=1, second_judge="my_judge:Net"), "grey")
        counts.append(len(list((tmp_path / "artefacts/judge").glob("*/card.json"))))
    sys.modules.pop("my_judge", None)
    assert counts == [1, 1, 2]
