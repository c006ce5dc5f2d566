"""Precision, recall, density and coverage against their definitions, and on generators whose numbers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_prc import calculate_precision_recall_full

from mmbench.checks import check_metric
from mmbench.errors import ConfigError
from mmbench.modality import Task
from mmbench_evaluation.prdc import PRDC, prdc, radii

from .conftest import MakeBench


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_definition(real: np.ndarray, made: np.ndarray, k: int) -> dict[str, float]:
    """Naeem et al., Equations 3 to 6, point by point."""

    def ball(points: np.ndarray, i: int) -> float:
        return sorted(np.linalg.norm(points[i] - points[j]) for j in range(len(points)) if j != i)[k - 1]

    n, m = len(real), len(made)
    inside = [[np.linalg.norm(real[i] - made[j]) < ball(real, i) for j in range(m)] for i in range(n)]
    recalled = [any(np.linalg.norm(real[i] - made[j]) < ball(made, j) for j in range(m)) for i in range(n)]
    return {
        "precision": np.mean([any(inside[i][j] for i in range(n)) for j in range(m)]),
        "recall": np.mean(recalled),
        "density": sum(inside[i][j] for i in range(n) for j in range(m)) / (k * m),
        "coverage": np.mean([any(inside[i]) for i in range(n)]),
    }


@pytest.mark.parametrize(("n", "m", "d", "k", "shift"), [(30, 30, 2, 5, 0.0), (25, 40, 3, 3, 1.0), (40, 12, 7, 1, 0.3)])
def test_against_the_definition(n: int, m: int, d: int, k: int, shift: float) -> None:
    real, made = draw(n, d), draw(m, d, seed=1) * 1.3 + shift
    expected = by_definition(real.double().numpy(), made.double().numpy(), k)
    assert prdc(real, made, k) == pytest.approx(expected, abs=1e-12)
    assert 0 < expected["precision"] < 1, "the case tells something"


def test_against_torch_fidelity() -> None:
    """It has precision and recall, whose balls are closed: the same where no distance occurs twice."""
    real, made = draw(400, 16).double(), (draw(300, 16, seed=1) + 0.4).double()
    precision, recall = calculate_precision_recall_full(made, real, neighborhood=5)
    found = prdc(real, made)
    assert (found["precision"], found["recall"]) == pytest.approx((precision, recall), abs=1e-6)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real, made = draw(70, 4), draw(50, 4, seed=1) + 0.5
    whole = prdc(real, made)
    monkeypatch.setattr("mmbench_evaluation.prdc.BLOCK", 13)
    assert prdc(real, made) == pytest.approx(whole, abs=1e-12)


def test_a_large_mean_costs_no_digits() -> None:
    real, made = draw(60, 4).double(), draw(60, 4, seed=1).double()
    assert prdc(real + 1e6, made + 1e6) == pytest.approx(prdc(real, made), abs=1e-12)


def test_constructed_generators() -> None:
    """Real points on two far islands: a perfect generator, one that lost an island, one that left both, one point."""
    island = torch.tensor([100.0, 0.0])
    real = torch.cat((draw(200, 2), draw(200, 2, seed=1) + island))
    perfect = prdc(real, torch.cat((draw(200, 2, seed=2), draw(200, 2, seed=3) + island)))
    assert min(perfect["precision"], perfect["recall"], perfect["coverage"]) > 0.9
    assert perfect["density"] == pytest.approx(1.0, abs=0.15)
    half = prdc(real, draw(400, 2, seed=2))
    assert half["precision"] > 0.9
    assert half["recall"] < 0.52
    assert 0.4 < half["coverage"] <= 0.5
    astray = prdc(real, draw(400, 2, seed=2) + torch.tensor([0.0, 50.0]))
    assert set(astray.values()) == {0.0}
    collapsed = prdc(real, real[:1].expand(400, 2) + 1e-3)
    assert collapsed["precision"] == 1.0
    assert collapsed["recall"] == 0.0
    assert collapsed["coverage"] < 0.05


def test_a_radius_leaves_the_point_itself_out() -> None:
    assert radii(torch.tensor([[0.0], [1.0], [3.0], [7.0]]), 1).tolist() == [1.0, 1.0, 2.0, 4.0]
    assert radii(torch.zeros(4, 2), 2).tolist() == [0.0] * 4


def test_rows_are_those_of_the_features(judged: MakeBench) -> None:
    bench = judged(quality_count=40)
    metric, task = PRDC(bench), Task((), bench.dataset.spec.names)
    made = {name: torch.rand(40, *bench.dataset.spec.modality(name).shape) for name in ("grey", "colour")}
    made["word"] = torch.zeros(40, 4, dtype=torch.int64)
    for part in torch.arange(40).split(15):
        metric.update(task, {name: x[part] for name, x in made.items()}, bench.order[part])
    rows = {(row.metric, row.modality): row for row in metric.compute()}
    assert {modality for _, modality in rows} == {"grey", "colour"}
    expected = prdc(bench.real("grey", 40).flatten(1), made["grey"].flatten(1))
    for name, value in expected.items():
        row = rows[name, "grey"]
        assert row.value == pytest.approx(100 * value)
        assert (row.count, row.judge, row.unit) == (40, "oracle", "%")
    assert not metric._features, "features are dropped when all are there"


def test_too_few_samples_are_refused_in_a_sentence(judged: MakeBench) -> None:
    with pytest.raises(ConfigError, match=r"prdc needs 6 samples or more, got 5: raise eval\.quality_count"):
        PRDC.prepare(judged(quality_count=5))


def test_the_metric_passes_its_checks_and_tells_a_collapse() -> None:
    results = check_metric("prdc")
    assert all(result.passed for result in results), [result.line() for result in results]
    assert "tells collapsed" in results[-1].message
