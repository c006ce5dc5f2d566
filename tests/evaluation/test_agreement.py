"""Agreement of targets on generators whose numbers are known: perfect, independent, collapsed, wrong together."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mmbench.checks import check_metric
from mmbench.metric import Bench, Row
from mmbench.modality import DatasetSpec, Modality, Task
from mmbench_evaluation.agreement import Agreement

from .conftest import MakeBench

CLASSES = 3


def shown(bench: Bench, name: str, labels: Tensor) -> Tensor:
    """Samples that the oracle reads as these labels."""
    shape = bench.dataset.spec.modality(name).shape
    return labels.view(-1, *[1] * len(shape)).expand(-1, *shape).float()


def measured(bench: Bench, labels: Callable[[str, Tensor], Tensor], batch: int = 64) -> dict[tuple[str, str], Row]:
    """(metric, task) -> row, where `labels(target, truth)` is what a generator makes."""
    metric, truth = Agreement(bench), bench.dataset.test.labels
    assert truth is not None
    for task in bench.dataset.spec.tasks():
        for rows in bench.order[: metric.wants(task)].split(batch) if metric.wants(task) else ():
            made = {name: shown(bench, name, labels(name, truth[rows])) for name in task.targets}
            metric.update(task, made, rows)
    return {(row.metric, row.task): row for row in metric.compute()}


def test_what_is_measured(judged: MakeBench) -> None:
    """Three conditions leave two targets; joint generation is coherence's."""
    bench = judged()
    rows = measured(bench, lambda name, truth: truth)
    tasks = {"grey->colour+word", "colour->grey+word", "word->grey+colour"}
    assert {task for _, task in rows} == tasks
    assert {(row.value, row.count) for row in rows.values()} == {(100.0, len(bench.order))}
    assert rows["agreement", "grey->colour+word"].modality == "colour+word"
    assert rows["agreement", "grey->colour+word"].judge == "oracle + oracle"


def test_collapsed_targets_agree_and_are_wrong(judged: MakeBench) -> None:
    rows = measured(judged(), lambda name, truth: torch.ones_like(truth))
    assert rows["agreement", "grey->colour+word"].value == 100.0
    assert rows["all_right", "grey->colour+word"].value == pytest.approx(100 / CLASSES)


def test_independent_targets_agree_by_chance(judged: MakeBench) -> None:
    """Each right with 0.7, else one of the two others: right together 0.49, wrong alike 2 * 0.15^2."""
    rng = torch.Generator().manual_seed(0)

    def noisy(name: str, truth: Tensor) -> Tensor:
        wrong = (truth + torch.randint(1, CLASSES, truth.shape, generator=rng)) % CLASSES
        return torch.where(torch.rand(truth.shape, generator=rng) < 0.7, truth, wrong)

    rows = measured(judged(), noisy)
    for task in ("grey->colour+word", "colour->grey+word", "word->grey+colour"):
        assert rows["agreement", task].value == pytest.approx(49 + 4.5, abs=9)
        assert rows["all_right", task].value == pytest.approx(49, abs=9)
        low, high = rows["all_right", task].interval or (0, 0)
        assert low < 49 < high


def half_right(_: str, truth: Tensor) -> Tensor:
    return torch.where(torch.arange(len(truth)) % 2 == 0, truth, (truth + 1) % CLASSES)


def test_targets_that_err_together_agree_more_than_they_are_right(judged: MakeBench) -> None:
    """What `coherence` of each target alone cannot tell from independent errors."""
    rows = measured(judged(), half_right)
    assert rows["agreement", "word->grey+colour"].value == 100.0
    assert rows["all_right", "word->grey+colour"].value == pytest.approx(50, abs=1)


def test_samples_of_no_class_agree_with_nothing(judged: MakeBench) -> None:
    rows = measured(judged(), lambda name, truth: torch.full_like(truth, -1))
    assert {row.value for row in rows.values()} == {0.0}


def test_two_modalities_leave_nothing_to_agree() -> None:
    images = [Modality(name=name, shape=(1, 16, 16), network="mnist_mlp", latent=2) for name in "ab"]
    spec = DatasetSpec(name="two", title="Two", modalities=tuple(images), classes=2)
    assert Agreement.unfit(spec) == "no condition leaves two modalities to generate"


def test_reconstructions_and_single_targets_are_not_asked_for(judged: MakeBench) -> None:
    metric = Agreement(judged())
    assert metric.wants(Task(("grey",), ("grey",))) == 0
    assert metric.wants(Task(("grey", "word"), ("colour",))) == 0
    assert metric.wants(Task((), ("grey", "colour", "word"))) == 0


@pytest.mark.parametrize("name", ["agreement", "reconstruction_error", "log_likelihood", "linear_probe"])
def test_they_pass_their_checks(name: str) -> None:
    results = check_metric(name)
    assert all(result.passed for result in results), [result.line() for result in results]
