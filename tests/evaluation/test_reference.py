from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from mmbench.data.dataset import Dataset, Split
from mmbench.modality import Task
from mmbench.progress import Progress
from mmbench_evaluation import reference as module
from mmbench_evaluation.frechet import FMD
from mmbench_evaluation.reference import reference_autoencoder


class Saying(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def test_it_learns_to_reconstruct(make_bench) -> None:  # type: ignore[no-untyped-def]
    """Bars of known classes: far better than the median image, and the skill is what numpy says."""
    bench = make_bench(epochs=20)
    fixed = reference_autoencoder(bench, "grey")
    x = bench.dataset.test.gather(bench.order, ("grey",))["grey"]
    made = fixed.reconstruct(x)
    assert made.shape == x.shape
    assert made.min() >= 0
    assert made.max() <= 1
    error = (made - x).abs().mean() / (x.median(0).values - x).abs().mean()
    assert fixed.skill == pytest.approx(1 - error.item(), rel=1e-5)
    assert fixed.skill > 0.1
    assert not fixed.collapsed
    assert reference_autoencoder(bench, "grey") is fixed


def test_the_cache_saves_the_training(make_bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    trained = reference_autoencoder(make_bench(epochs=1), "grey")
    assert len(list((tmp_path / "artefacts/reference-autoencoder").glob("*/card.json"))) == 1
    with monkeypatch.context() as patch:
        patch.setattr(module, "train_autoencoder", None)  # calling it would be a TypeError
        loaded = reference_autoencoder(make_bench(epochs=1), "grey")
    x = torch.rand(7, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    assert (loaded.identity, loaded.skill) == (trained.identity, trained.skill)
    assert torch.equal(loaded.reconstruct(x), trained.reconstruct(x))
    assert reference_autoencoder(make_bench(epochs=1, seed=1), "grey").identity != trained.identity


def test_the_seed_alone_chooses_it(make_bench, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = reference_autoencoder(make_bench(epochs=1), "grey").identity
    assert torch.equal(torch.get_rng_state(), state)
    shutil.rmtree(tmp_path / "artefacts")
    torch.manual_seed(2)
    assert reference_autoencoder(make_bench(epochs=1), "grey").identity == first


def test_a_collapsed_reference_autoencoder_says_so(make_bench, dataset: Dataset) -> None:  # type: ignore[no-untyped-def]
    """Pure noise cannot be put in four numbers: the best answer is one image for all, and there is no ratio."""
    rng = torch.Generator().manual_seed(0)

    def noise(split: Split) -> Split:
        items = {
            name: torch.randint(0, 256, x.shape, generator=rng, dtype=torch.uint8) if x.ndim == 4 else x
            for name, x in split.items.items()
        }
        return Split(items, split.index, split.labels)

    data = Dataset(dataset.spec, noise(dataset.train), noise(dataset.test))
    progress = Saying()
    bench = make_bench(data, progress, epochs=1, quality_count=100)
    assert reference_autoencoder(bench, "grey").collapsed
    assert progress.said == [
        f"the reference autoencoder of grey has collapsed (skill {reference_autoencoder(bench, 'grey').skill:.2f}): "
        "fmd_ratio is left out"
    ]
    metric = FMD(bench)
    metric.update(Task(("word",), ("grey",)), {"grey": torch.rand(100, 1, 16, 16, generator=rng)}, bench.order[:100])
    assert [row.metric for row in metric.compute()] == ["fmd"]
