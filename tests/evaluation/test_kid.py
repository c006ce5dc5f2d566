"""KID against torch-fidelity's own call on the same images, and on generators whose order is known."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmbench.modality import Task
from mmbench_evaluation.inception import Inception, find_weights, lacking
from mmbench_evaluation.kid import KID, kid

from .conftest import MakeBench


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_definition(x: Tensor, y: Tensor) -> float:
    """The unbiased squared MMD of the cubic kernel (x . y / d + 1)^3, Bińkowski et al., Equation 4, in plain sums."""
    d, n, m = x.shape[1], len(x), len(y)

    def kernel(a: Tensor, b: Tensor) -> float:
        return (float(a.double() @ b.double()) / d + 1) ** 3

    within = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    other = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within + other - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def test_against_the_definition() -> None:
    """Fewer images than a subset has: then each subset is all of them."""
    real, made = draw(20, 5), draw(20, 5, seed=1) + 0.5
    assert kid(real, made) == pytest.approx(by_definition(real, made), rel=1e-4)


def test_constructed_generators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmbench_evaluation.kid.SIZE", 200)
    real = draw(400, 16)
    perfect, shifted, collapsed = draw(400, 16, seed=1), draw(400, 16, seed=1) + 1, draw(1, 16, seed=1).expand(400, 16)
    assert abs(kid(real, perfect)) < 0.05
    assert kid(real, shifted) > 1
    assert kid(real, collapsed) > 1


def test_the_subsets_depend_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmbench_evaluation.kid.SIZE", 50)
    real, made, state = draw(100, 4), draw(100, 4, seed=1), torch.get_rng_state()
    assert kid(real, made, 3) == kid(real, made, 3)
    assert kid(real, made, 3) != kid(real, made, 4)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.weights
def test_the_row_is_what_torch_fidelity_says_of_the_same_images(make_bench: MakeBench, tmp_path: Path) -> None:
    """Its own call, from images to the number, with its own network, resizing and rounding."""
    if lacking(None, tmp_path):
        pytest.skip("no weights of Inception here")
    from torch_fidelity import calculate_metrics

    bench = make_bench(quality_count=24, resize="torch-fidelity", rounding=True)
    weights = tmp_path / "weights.pth"
    torch.save(find_weights(bench), weights)
    made = torch.rand(24, 3, 18, 16, generator=torch.Generator().manual_seed(0))
    metric = KID(bench)
    metric.update(Task((), bench.dataset.spec.names), {"colour": made}, bench.order[:24])
    (row,) = metric.compute()

    class Images(torch.utils.data.Dataset):
        def __init__(self, x: Tensor) -> None:
            self.x = (255 * x).round().to(torch.uint8)

        def __len__(self) -> int:
            return len(self.x)

        def __getitem__(self, k: int) -> Tensor:
            return self.x[k]

    with contextlib.redirect_stderr(io.StringIO()):
        theirs = calculate_metrics(
            input1=Images(made), input2=Images(bench.real("colour", 24)), kid=True, kid_subset_size=24, cuda=False,
            verbose=False, rng_seed=bench.protocol.seed, feature_extractor_weights_path=str(weights), cache=False,
            save_cpu_ram=True,
        )  # fmt: skip
    assert row.value == pytest.approx(1000 * theirs["kernel_inception_distance_mean"], rel=1e-3)
    assert row.judge == "inception 2015-12-05, resize torch-fidelity, 8 bits"
    assert isinstance(bench.extractor("colour", "inception"), Inception)
