"""mmbench check --dataset: what keeps the rules passes, and each fault fails the check that names it."""

from __future__ import annotations

import os
import random
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mmbench import Dataset, DatasetSource, DatasetSpec, Modality, Split, check_dataset
from mmbench.checks import DATASET_CHECKS
from mmbench.cli import app
from mmbench.errors import ConfigError, DataError
from mmbench.plugins import DATASETS, available, load

SPEC = DatasetSpec(
    name="bands",
    title="Bands",
    modalities=(
        Modality(name="grey", shape=(1, 28, 28), network="mnist_mlp", latent=4),
        Modality(name="colour", shape=(3, 32, 32), network="svhn_conv", latent=4),
    ),
    classes=4,
    metrics=("coherence", "fmd"),
)


def bands(count: int, seed: int) -> Split:
    """Class k has its k-th quarter of the rows bright."""
    rng, labels = torch.Generator().manual_seed(seed), torch.arange(count) % 4
    items = {}
    for modality in SPEC.modalities:
        quarter = modality.shape[1] // 4
        images = 100 * torch.rand((count, *modality.shape), generator=rng)
        for k in range(4):
            images[labels == k, :, k * quarter : (k + 1) * quarter] += 120
        items[modality.name] = images.to(torch.uint8)
    own = torch.arange(count)
    return Split(items, torch.stack([own, own], 1), labels)


class Bands(DatasetSource):
    """Keeps the rules."""

    title, summary = "Bands", "bright bands"

    def load(self, root: Path, cache: Path) -> Dataset:
        return Dataset(SPEC, bands(80, 0), bands(40, 1))


class Unfinished(DatasetSource):
    title, summary = "Bands", "bright bands"


class Untitled(Bands):
    title = ""


class Early(Bands):
    default_budget = "tomorrow"


class Raising(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        raise KeyError("no such column")


class Leaving(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        os._exit(3)


class Splits(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        return bands(80, 0), bands(40, 1)  # type: ignore[return-value]


class Overlapping(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        whole = bands(100, 0)
        return Dataset(SPEC, whole.take(torch.arange(80)), whole.take(torch.arange(60, 100)))


class Repaired(Bands):
    """The same images in train and test, in other pairs."""

    def load(self, root: Path, cache: Path) -> Dataset:
        one, rows = bands(80, 0), torch.arange(80)
        turned = torch.stack([rows, (rows + 4) % 80], 1)
        return Dataset(SPEC, one, Split(one.items, turned, one.labels))


class Bright(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        train = bands(80, 0)
        floats = {name: x.float() for name, x in train.items.items()}
        return Dataset(SPEC, Split(floats, train.index, train.labels), bands(40, 1))


class Mislabelled(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        train = bands(80, 0)
        return Dataset(SPEC, Split(train.items, train.index, train.labels + 1), bands(40, 1))  # type: ignore[operator]


class Undeclared(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        return Dataset(replace(SPEC, classes="four"), bands(80, 0), bands(40, 1))  # type: ignore[arg-type]


class Called(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        return Dataset(replace(SPEC, name="glyphs"), bands(80, 0), bands(40, 1))


class Mispaired(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        train = bands(80, 0)
        rows = torch.arange(80)
        return Dataset(SPEC, Split(train.items, torch.stack([rows, rows // 2], 1), train.labels), bands(40, 1))


class OfTheMoment(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        return Dataset(SPEC, bands(80, time.monotonic_ns() % 2**40), bands(40, 1))


class OfTorch(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        return Dataset(SPEC, bands(80, int(torch.randint(2**30, ()))), bands(40, 1))


class Seeding(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        torch.manual_seed(0)
        return super().load(root, cache)


class OfNumpy(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        np.random.shuffle(np.arange(3))
        return super().load(root, cache)


class OfPython(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        random.random()
        return super().load(root, cache)


class Threads(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        torch.set_num_threads(torch.get_num_threads() + 1)
        return super().load(root, cache)


class Elsewhere(Bands):
    def load(self, root: Path, cache: Path) -> Dataset:
        os.chdir("/")
        return super().load(root, cache)


def changed(**more: object) -> type[DatasetSource]:
    class Changed(Bands):
        def load(self, root: Path, cache: Path) -> Dataset:
            return Dataset(replace(SPEC, **more), bands(80, 0), bands(40, 1))  # type: ignore[arg-type]

    return Changed


GREY, COLOUR = SPEC.modalities
FAULTS = {
    "unfinished": (Unfinished, "class", "lacks load"),
    "untitled": (Untitled, "class", "must declare title"),
    "early": (Early, "class", "no budget 'tomorrow'"),
    "raising": (Raising, "load", "KeyError: 'no such column' (test_dataset_checks.py, line"),
    "leaving": (Leaving, "load", "asked to end the whole program, SystemExit: 3"),
    "splits": (Splits, "load", "returned a tuple"),
    "undeclared": (Undeclared, "spec", "classes must be a whole number"),
    "overlapping": (Overlapping, "splits", "20 of 40 test tuples are training tuples"),
    "repaired": (Repaired, "splits", "80 of 80 test items of grey are training items, too: split before you pair"),
    "bright": (Bright, "ranges", "divide them by 255"),
    "mislabelled": (Mislabelled, "labels", "count from 0, subtract 1"),
    "called": (Called, "called", "give it another name"),
    "mispaired": (Mispaired, "pairs", "an item of colour stands in tuples of two classes"),
    "of the moment": (OfTheMoment, "repeats", "two loads differ"),
    "of torch": (OfTorch, "repeats", "two loads differ"),
    "seeding": (Seeding, "global_state", "the global random state of torch"),
    "of numpy": (OfNumpy, "global_state", "the global random state of numpy"),
    "of python": (OfPython, "global_state", "the global random state of python"),
    "threads": (Threads, "global_state", "torch's threads"),
    "elsewhere": (Elsewhere, "global_state", "the working directory"),
    "misfit": (
        changed(modalities=(replace(GREY, network="svhn_conv"), COLOUR)),
        "networks",
        "does not fit the modality 'grey'",
    ),
    "no network": (changed(modalities=(replace(GREY, network="mlp"), COLOUR)), "networks", "unknown network 'mlp'"),
    "no metric": (changed(metrics=("coherenc",)), "metrics", "did you mean 'coherence'"),
    "unfit metric": (changed(classes=0), "metrics", "coherence measures nothing of it, the data have no class labels"),
}


def test_what_keeps_the_rules_passes_them_all() -> None:
    results = check_dataset(Bands)
    assert [result.name for result in results] == list(DATASET_CHECKS)
    assert {result.outcome for result in results} == {"passed"}, [result.line() for result in results]
    said = {result.name: result.message for result in results}
    assert said["splits"] == "80 training and 40 test tuples"
    assert said["judges"].startswith("lenet for grey, ")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_fails_the_check_that_names_it(name: str) -> None:
    source, check, said = FAULTS[name]
    before = torch.get_rng_state(), torch.get_num_threads(), os.getcwd()
    results = check_dataset(source)
    failed = {result.name: result.message for result in results if result.outcome == "failed"}
    assert said in failed.get(check, ""), failed
    assert next(iter(failed)) == check
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (torch.get_num_threads(), os.getcwd())


OWN = """
import torch
from mmbench import Dataset, DatasetSource, DatasetSpec, Modality, Split
SPEC = DatasetSpec(name="own", title="Own", classes=2, metrics=("coherence",), modalities=tuple(
    Modality(name=n, shape=(1, 28, 28), network="NETWORK", latent=4) for n in ("left", "right")))
def split(count, seed):
    labels, own = torch.arange(count) % 2, torch.arange(count)
    x = torch.rand(2, count, 1, 28, 28, generator=torch.Generator().manual_seed(seed)) / 2
    x[:, labels == 1] += 0.5
    return Split({"left": x[0], "right": x[1]}, torch.stack([own, own], 1), labels)
class Own(DatasetSource):
    title, summary = "Own", "two greys"
    def load(self, root, cache):
        print("loading")
        return Dataset(SPEC, split(60, 0), split(30, 1))
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_data.py").write_text(OWN.replace("NETWORK", "mnist_mlp"))
    (tmp_path / "misfit_data.py").write_text(OWN.replace("NETWORK", "svhn_conv"))
    monkeypatch.chdir(tmp_path)


def test_a_model_is_built_trained_and_sampled_on_the_real_spec(own: None) -> None:
    done = CliRunner().invoke(app, ["check", "mvae", "--dataset", "own_data:Own"])
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if line.startswith("ok")]
    assert [line.split()[1] for line in lines] == ["data", "networks", "fits", "build", "training", "samples"]
    assert "60 training tuples of left, right" in lines[0]
    assert "left->right, right->left" in lines[-1]


def test_a_misfit_is_told_before_the_model_is_built(own: None) -> None:
    done = CliRunner().invoke(app, ["check", "mvae", "--dataset", "misfit_data:Own"])
    assert done.exit_code == 1
    (failed,) = [line for line in done.output.splitlines() if line.startswith("FAILED")]
    assert "networks" in failed
    assert "'svhn_conv' does not fit the modality 'left' of shape (1, 28, 28)" in failed


@pytest.mark.parametrize(
    ("words", "said"),
    [([], "there is nothing to check"), (["coherence", "--dataset", "glyphs"], "coherence is no model")],
)
def test_what_cannot_be_checked_is_one_sentence(words: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["check", *words])
    assert isinstance(done.exception, ConfigError)
    assert said in str(done.exception)


QUICK = ("mnist_svhn_subset", "glyphs")
BUILT_IN = [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in available(DATASETS)]


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_suites_own_datasets_keep_the_rules(name: str, data_root: Path) -> None:
    source = load(DATASETS, name, DatasetSource)()
    source.allow_partial = True
    try:
        if lack := source.lacks(data_root):
            pytest.skip(lack)
        source.verify(data_root)
    except DataError as error:
        pytest.skip(str(error))
    results = check_dataset(name, data_root)
    assert [result.line() for result in results if not result.passed] == []
