"""Metrics of the model itself: a probe against scikit-learn, what a model without the ability is told; and SSIM."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmbench.errors import PluginError, UnavailableError
from mmbench.metric import Bench
from mmbench.modality import Task
from mmbench_evaluation.likelihood import LogLikelihood
from mmbench_evaluation.probe import LinearProbe, fitted
from mmbench_evaluation.reconstruction import ReconstructionError, ssim

from .conftest import MakeBench


class Fake:
    """A model that says of each tuple what a test wants."""

    device = torch.device("cpu")

    def __init__(self, vectors: Any = None, values: Any = None) -> None:
        if vectors is not None:
            self.represent = vectors
        if values is not None:
            self.log_likelihood = lambda batch, *, samples, generator: values(batch)


def brightest(batch: dict[str, Tensor]) -> Tensor:
    """Mean of each row of the first image: the class is its brightest third."""
    return batch["grey"].mean(dim=(1, 3))


def test_a_probe_reads_what_is_there_and_nothing_else(make_bench: MakeBench) -> None:
    bench = make_bench()
    for vectors, low, high in ((brightest, 99, 100), (lambda b: torch.ones(len(b["grey"]), 3), 20, 45)):
        metric = LinearProbe(bench)
        metric.examine(Fake(vectors))  # type: ignore[arg-type]
        (row,) = metric.compute()
        assert low <= row.value <= high
        assert (row.task, row.modality, row.count) == ("joint", "grey+colour+word", len(bench.order))


def test_the_probe_is_scikit_learns() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (200,), generator=rng)
    x = torch.randn(200, 4, generator=rng) + labels[:, None] * torch.tensor([1.0, 0.0, -0.5, 0.2])
    weights, biases = fitted(x, labels, 3, penalty=0.01)
    theirs = linear.LogisticRegression(C=1 / (0.01 * 200), tol=1e-10, max_iter=5000).fit(
        x.double().numpy(), labels.numpy()
    )
    ours = torch.softmax(x.double() @ weights + biases, dim=1).numpy()
    assert ours == pytest.approx(theirs.predict_proba(x.double().numpy()), abs=1e-4)


def test_likelihoods_are_averaged_over_the_first_tuples(make_bench: MakeBench) -> None:
    bench = make_bench(quality_count=50)
    metric = LogLikelihood(bench)
    metric.examine(Fake(values=lambda batch: batch["grey"].mean(dim=(1, 2, 3))))  # type: ignore[arg-type]
    (row,) = metric.compute()
    assert row.value == pytest.approx(bench.real("grey", 50).double().mean().item(), rel=1e-6)
    assert (row.count, row.unit, row.judge) == (50, "nats", "importance sampling, 100 samples a tuple")


@pytest.mark.parametrize(("metric", "word"), [(LogLikelihood, "likelihood"), (LinearProbe, "representation")])
def test_a_model_without_the_ability_is_left_out(make_bench: MakeBench, metric: Any, word: str) -> None:
    with pytest.raises(UnavailableError, match=f"Fake offers no {word}"):
        metric(make_bench()).examine(Fake())


@pytest.mark.parametrize(
    ("metric", "model"),
    [
        (LogLikelihood, Fake(values=lambda batch: torch.zeros(3))),
        (LinearProbe, Fake(lambda batch: torch.zeros(len(batch["grey"])))),
        (LinearProbe, Fake(lambda batch: torch.full((len(batch["grey"]), 2), math.nan))),
    ],
)
def test_odd_answers_are_refused(make_bench: MakeBench, metric: Any, model: Any) -> None:
    with pytest.raises(PluginError, match="must return"):
        metric(make_bench(quality_count=20)).examine(model)


def by_definition(x: np.ndarray, y: np.ndarray) -> float:
    """Wang et al., Equations 13 to 16, window by window, of one channel."""
    at = np.arange(11) - 5
    window = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    found = []
    for i in range(x.shape[0] - 10):
        for j in range(x.shape[1] - 10):
            a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            cov = (window * (a - ma) * (b - mb)).sum()
            top = (2 * ma * mb + 0.01**2) * (2 * cov + 0.03**2)
            found.append(top / ((ma**2 + mb**2 + 0.01**2) * (va + vb + 0.03**2)))
    return float(np.mean(found))


def test_ssim_against_its_definition() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(3, 2, 14, 13, generator=rng)
    y = (x + 0.3 * torch.randn(x.shape, generator=rng)).clamp(0, 1)
    expected = [
        np.mean([by_definition(x[k, c].double().numpy(), y[k, c].double().numpy()) for c in (0, 1)]) for k in range(3)
    ]
    assert ssim(x, y).numpy() == pytest.approx(np.array(expected), abs=1e-10)
    assert ssim(x, x).numpy() == pytest.approx(1.0)
    assert (ssim(x, 1 - x) < 0).all()


def test_reconstructions_are_compared_with_what_was_given(make_bench: MakeBench) -> None:
    bench: Bench = make_bench(quality_count=60)
    metric, task = ReconstructionError(bench), Task(("grey",), ("grey",))
    assert metric.wants(task) == 60
    assert metric.wants(Task(("word",), ("word",))) == metric.wants(Task((), ("grey",))) == 0
    for rows in bench.order[:60].split(25):
        x = bench.dataset.test.gather(rows, ("grey",))["grey"]
        metric.update(task, {"grey": x + 0.1}, rows)
    rows = {row.metric: row for row in metric.compute()}
    assert rows["mse"].value == pytest.approx(10.0, rel=1e-4)
    assert 0 < rows["ssim"].value < 1
    assert (rows["mse"].task, rows["mse"].count) == ("grey->grey", 60)
