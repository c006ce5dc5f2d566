from __future__ import annotations

import hashlib
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor

from mmbench.data.dataset import Dataset
from mmbench.errors import ConfigError
from mmbench.metric import Bench, Row
from mmbench.modality import Task
from mmbench_evaluation.classifiers import Judge
from mmbench_evaluation.frechet import FMD
from mmbench_evaluation.moments import Moments, frechet_distance
from mmbench_evaluation.reference import Autoencoder, ReferenceAutoencoder

JOINT = Task((), ("grey", "colour", "word"))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def textbook(mu1: Tensor, cov1: Tensor, mu2: Tensor, cov2: Tensor) -> float:
    """The usual formula, tr(C1 + C2 - 2 sqrtm(C1 C2))."""
    root = linalg.sqrtm(cov1.numpy() @ cov2.numpy())
    return float((mu1 - mu2).square().sum() + cov1.trace() + cov2.trace() - 2 * np.trace(root).real)


@pytest.mark.parametrize("dim", [1, 5, 40])
def test_shifted_and_scaled_gaussians(dim: int) -> None:
    """N(0, I) against N(a, s^2 I): |a|^2 + D (s - 1)^2."""
    mu, eye = torch.zeros(dim), torch.eye(dim)
    assert frechet_distance(mu, eye, mu + 0.3, eye) == pytest.approx(0.09 * dim)
    assert frechet_distance(mu, eye, mu, 9 * eye) == pytest.approx(4 * dim)
    assert frechet_distance(mu, eye, mu - 2, 0.25 * eye) == pytest.approx(4 * dim + 0.25 * dim)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dim", [2, 17, 64])
def test_random_covariances_against_sqrtm(dim: int, seed: int) -> None:
    a, b = normal(dim, 2 * dim, seed=seed), 3 * normal(dim, 2 * dim, seed=seed + 100)
    case = (normal(dim, seed=7), a @ a.T / dim, normal(dim, seed=8), b @ b.T / dim)
    distance = frechet_distance(*case)
    assert distance == pytest.approx(textbook(*case), rel=1e-9)
    assert distance == pytest.approx(frechet_distance(*case[2:], *case[:2]), rel=1e-12)


def test_rank_deficient_covariances() -> None:
    """Fewer samples than dimensions: orthogonal supports share nothing, and nothing becomes complex or negative."""
    x = torch.zeros(20, 100, dtype=torch.float64)
    y = x.clone()
    x[:, :10], y[:, 50:60] = normal(20, 10), normal(20, 10, seed=1)
    m, n = Moments.of(x), Moments.of(y)
    expected = (m.mean - n.mean).square().sum() + m.covariance.trace() + n.covariance.trace()
    distance = frechet_distance(m.mean, m.covariance, n.mean, n.covariance)
    assert distance == pytest.approx(expected.item(), rel=1e-12)
    turn = linalg.qr(normal(100, 100, seed=2).numpy())[0]  # and turned out of the axes
    q = torch.from_numpy(turn)
    turned = frechet_distance(m.mean @ q, q.T @ m.covariance @ q, n.mean @ q, q.T @ n.covariance @ q)
    assert turned == pytest.approx(expected.item(), rel=1e-7)
    assert frechet_distance(m.mean, m.covariance, m.mean, m.covariance) < 1e-12


@pytest.mark.parametrize(("few", "many"), [(30, 40), (30, 400), (400, 30)])
def test_rank_deficient_against_scipy(few: int, many: int) -> None:
    """Overlapping supports of 100 dimensions. The joint span is taken first: scipy's root wants no null space of both.

    Rounding errors of scipy's root, about 1e-8 of its scale for each null direction, set the tolerance.
    """
    x, y = normal(few, 100).relu(), 2 * normal(many, 100, seed=1).relu()
    m, n = Moments.of(x), Moments.of(y)
    q = torch.from_numpy(linalg.orth(torch.cat((x - m.mean, y - n.mean, (m.mean - n.mean)[None])).T.numpy()))
    (mu1, cov1), (mu2, cov2) = ((p.mean @ q, q.T @ p.covariance @ q) for p in (m, n))
    expected = textbook(mu1, cov1, mu2, cov2)
    assert frechet_distance(m.mean, m.covariance, n.mean, n.covariance) == pytest.approx(expected, rel=1e-6)
    assert m.distance(n) == pytest.approx(n.distance(m), rel=1e-9)


def test_a_point_against_a_point_and_a_cloud() -> None:
    mu, none, eye = torch.zeros(6), torch.zeros(6, 6), torch.eye(6)
    assert frechet_distance(mu, none, mu + 1, none) == pytest.approx(6)
    assert frechet_distance(mu, none, mu, eye) == pytest.approx(6)


@pytest.mark.parametrize("count", [30, 700])
def test_a_set_against_itself_is_zero(count: int) -> None:
    m = Moments.of(normal(count, 320).relu())
    assert frechet_distance(m.mean, m.covariance, m.mean, m.covariance) < 1e-10 * m.covariance.trace()


@pytest.mark.parametrize("sizes", [[1000], [1] * 10 + [990], [250] * 4, [0, 999, 1], [7, 300, 693]])
def test_any_cut_into_batches_gives_the_same(sizes: list[int]) -> None:
    x = 1000 + normal(1000, 12)  # a mean far from 0: plain sums of squares would lose six digits
    parts = list(x.split(sizes))
    stream = Moments.zero(12)
    for part in parts:
        stream = stream.update(part)
    halves = Moments.zero(12).merge(Moments.of(x[:400])).merge(Moments.of(x[400:]))
    for moments in (stream, halves):
        assert moments.count == 1000
        np.testing.assert_allclose(moments.mean, x.numpy().mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(moments.covariance, np.cov(x.numpy(), rowvar=False), rtol=1e-10, atol=1e-10)


def test_moments_of_float32_are_taken_in_float64() -> None:
    x = normal(50, 3).float()
    assert Moments.of(x).scatter.dtype == torch.float64
    np.testing.assert_allclose(Moments.of(x).covariance, np.cov(x.double().numpy(), rowvar=False), rtol=1e-12)


def test_one_sample_has_no_covariance() -> None:
    assert Moments.zero(2).merge(Moments.zero(2)).count == 0
    with pytest.raises(ConfigError, match=r"raise eval\.quality_count"):
        _ = Moments.of(torch.rand(1, 4)).covariance


@pytest.mark.slow
def test_a_million_rows_in_constant_memory() -> None:
    """512 MB of float64 features pass through a few MB; a correlated Gaussian's covariance comes out."""
    mix = normal(64, 64)
    rng = torch.Generator().manual_seed(3)
    stream = Moments.zero(64)
    stream = stream.update(torch.randn(10_000, 64, generator=rng) @ mix.float())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(99):
        stream = stream.update(torch.randn(10_000, 64, generator=rng) @ mix.float())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB
    assert stream.count == 1_000_000
    scale = (mix.T @ mix).diagonal().mean().item()
    np.testing.assert_allclose(stream.covariance, mix.T @ mix, atol=0.01 * scale)


def fmd(metric: FMD) -> list[Row]:
    return [row for row in metric.compute() if row.metric == "fmd"]


def test_fmd_of_samples_whose_distance_is_known(judged) -> None:  # type: ignore[no-untyped-def]
    """The oracle's features are the pixels: adding 0.1 to each of D pixels gives a distance of 0.01 D."""
    bench = judged(quality_count=200)
    metric = FMD(bench)
    for rows in bench.order[:200].split(130):
        real = bench.dataset.test.gather(rows)
        metric.update(JOINT, {"grey": real["grey"] + 0.1, "colour": real["colour"], "word": real["word"]}, rows)
    grey, colour = fmd(metric)
    assert (grey.metric, grey.task, grey.modality, grey.count) == ("fmd", "joint", "grey", 200)
    assert grey.value == pytest.approx(0.01 * 256, rel=1e-5)
    assert (grey.judge, grey.higher_is_better) == ("oracle", False)
    assert (grey.identity, grey.reference) == (hashlib.sha256(b"oracle").hexdigest()[:8], "")
    assert grey.note == "biased: 200 samples for 256 dimensions"
    assert colour.value == pytest.approx(0.0, abs=1e-9)


def test_fmd_is_numpys_and_scipys(judged) -> None:  # type: ignore[no-untyped-def]
    """Also, the real set is the evaluation's first tuples, whatever `rows` are."""
    bench = judged(quality_count=280)
    metric = FMD(bench)
    made = torch.rand(280, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    metric.update(Task(("word",), ("grey",)), {"grey": made}, torch.zeros(280, dtype=torch.int64))
    (row,) = fmd(metric)
    assert row.note == ""
    real = bench.dataset.test.gather(bench.order[:280])["grey"]
    x, y = made.flatten(1).double().numpy(), real.flatten(1).double().numpy()
    root = linalg.sqrtm(np.cov(x, rowvar=False) @ np.cov(y, rowvar=False))
    traces = np.cov(x, rowvar=False).trace() + np.cov(y, rowvar=False).trace() - 2 * np.trace(root).real
    assert row.value == pytest.approx(((x.mean(0) - y.mean(0)) ** 2).sum() + traces, rel=1e-6)


def test_fmd_with_a_trained_judge(make_bench) -> None:  # type: ignore[no-untyped-def]
    """More noise is farther away; `prepare` has trained the judge and measured the real images."""
    bench = make_bench(epochs=5, quality_count=150)
    FMD.prepare(bench)
    kinds = {path.parent.parent.name for path in bench.artefacts.root.glob("*/*/card.json")}
    assert kinds == {"judge", "reference-autoencoder", "statistics"}
    before = {path: path.stat().st_mtime_ns for path in bench.artefacts.root.rglob("*")}
    rng = torch.Generator().manual_seed(0)
    rows = bench.order[:150]
    real = bench.dataset.test.gather(rows, ("colour",))["colour"]
    values = []
    for noise in (0.0, 0.1, 0.5):
        metric = FMD(bench)
        made = (real + noise * torch.randn(real.shape, generator=rng)).clamp(0, 1)
        metric.update(Task(("grey",), ("colour",)), {"colour": made}, rows)
        (row,) = fmd(metric)
        assert row.judge.startswith("lenet ")
        values.append(row.value)
    assert values[0] < 1e-6
    assert values[0] < values[1] < values[2]
    assert {path: path.stat().st_mtime_ns for path in bench.artefacts.root.rglob("*")} == before


def test_how_much_it_wants(judged) -> None:  # type: ignore[no-untyped-def]
    assert FMD(judged(quality_count=40)).wants(JOINT) == 40
    assert FMD(judged()).wants(Task(("word",), ("grey",))) == 300
    assert FMD(judged()).wants(Task(("grey",), ("word",))) == 0
    assert FMD(judged()).compute() == []


def count_features(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> list[int]:
    """The numbers of images that the judge of `grey` looks at from here on."""
    seen: list[int] = []
    judge = bench.memory.recall(Judge, ("judge", "grey"), _Other)
    original = judge.features
    monkeypatch.setattr(judge, "features", lambda x: (seen.append(len(x)), original(x))[1])
    return seen


def test_real_statistics_are_computed_once(judged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Once for all metrics of a process, and never again for later ones: the second bench reads the cache."""
    bench = judged(quality_count=120)
    first, seen = FMD.real(bench, "grey"), count_features(monkeypatch, bench)
    assert FMD.real(bench, "grey") is first
    assert FMD(bench).real(bench, "grey") is first
    later = judged(quality_count=120)
    seen_later = count_features(monkeypatch, later)
    again = FMD.real(later, "grey")
    assert (seen, seen_later) == ([], [])
    assert again.count == 120
    assert torch.equal(again.mean, first.mean)
    assert torch.equal(again.scatter, first.scatter)
    assert len(list((tmp_path / "artefacts/statistics").glob("*/card.json"))) == 1
    assert FMD.real(replace(bench, order=bench.order.flip(0)), "grey") is not first, "other tuples, other moments"
    assert len(list((tmp_path / "artefacts/statistics").glob("*/card.json"))) == 2


class _Other(Judge):
    """Sees a single pixel."""

    accuracy = 1.0
    name = "another oracle"  # type: ignore[assignment]

    def predict(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :1]


def test_other_statistics_are_other_files(judged, dataset: Dataset, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Another count, order, network or dataset is never answered from the cache."""
    FMD.real(judged(quality_count=120), "grey")
    FMD.real(judged(quality_count=121), "grey")
    bench = judged(quality_count=120)
    FMD.real(replace(bench, order=bench.order.flip(0)), "grey")
    bench = judged(quality_count=120)
    bench.memory.remember(Judge, ("judge", "grey"), _Other())
    FMD.real(bench, "grey")
    items = {**dataset.test.items, "grey": 255 - dataset.test.items["grey"]}
    darker = replace(dataset, test=replace(dataset.test, items=items))
    FMD.real(judged(quality_count=120, data=darker), "grey")
    assert len(list((tmp_path / "artefacts/statistics").glob("*/card.json"))) == 5


@pytest.mark.parametrize("damage", [lambda b: b[:-200], lambda b: b"", lambda b: b[:-9] + b"\x7f" + b[-8:]])
def test_damaged_statistics_are_computed_anew(judged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    first = FMD.real(judged(quality_count=120), "grey")
    (path,) = (tmp_path / "artefacts/statistics").glob("*/tensors.safetensors")
    path.write_bytes(damage(path.read_bytes()))
    bench = judged(quality_count=120)
    seen = count_features(monkeypatch, bench)
    again = FMD.real(bench, "grey")
    assert sum(seen) == 120
    assert torch.equal(again.scatter, first.scatter)


def lending(bench: Bench, skill: float) -> Bench:
    """A reference autoencoder that adds 0.2 to each of 256 pixels of an image: its FMD is 10.24."""
    modality = bench.dataset.spec.modality("grey")
    fixed = ReferenceAutoencoder(Autoencoder(modality), modality, skill, "fixed")
    object.__setattr__(fixed, "reconstruct", lambda x: x + 0.2)
    bench.memory.remember(ReferenceAutoencoder, "grey", fixed)
    return bench


def test_the_ratio_has_no_scale(judged) -> None:  # type: ignore[no-untyped-def]
    bench = lending(judged(quality_count=200), skill=0.8)
    metric = FMD(bench)
    real = bench.dataset.test.gather(bench.order[:200], ("grey",))["grey"]
    metric.update(Task(("word",), ("grey",)), {"grey": real + 0.1}, bench.order[:200])
    value, ratio = metric.compute()
    assert value.value == pytest.approx(0.01 * 256, rel=1e-5)
    assert (ratio.metric, ratio.modality, ratio.judge, ratio.higher_is_better) == ("fmd_ratio", "grey", "oracle", False)
    assert ratio.value == pytest.approx(0.25, rel=1e-5)
    assert (ratio.identity, value.reference) == (value.identity, "")
    assert ratio.reference == hashlib.sha256(b"fixed").hexdigest()[:8]


def test_a_collapsed_reference_autoencoder_is_no_measure(judged) -> None:  # type: ignore[no-untyped-def]
    bench = lending(judged(quality_count=200), skill=0.04)
    metric = FMD(bench)
    metric.update(Task(("word",), ("grey",)), {"grey": torch.rand(200, 1, 16, 16)}, bench.order[:200])
    assert [row.metric for row in metric.compute()] == ["fmd"]
