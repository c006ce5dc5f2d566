from __future__ import annotations

import hashlib
import math
import re
from dataclasses import replace

import pytest
import torch
from scipy import stats
from torch import Tensor

from mmbench.errors import PluginError
from mmbench.metric import Memory, Row
from mmbench.modality import Task
from mmbench_evaluation.classifiers import Classifier, Judge, LeNet, Reader, judge, second_judge
from mmbench_evaluation.coherence import Coherence, agreement, entropy

JOINT = Task((), ("grey", "colour"))
ROWS = torch.arange(100)


def samples(**labels: Tensor) -> dict[str, Tensor]:
    """Samples whose first value is the label that the oracle reads."""
    shapes = {"grey": (1, 16, 16), "colour": (3, 18, 16), "word": (4,)}
    return {k: v.float().view(-1, *[1] * len(shapes[k])).expand(-1, *shapes[k]) for k, v in labels.items()}


def find(rows: list[Row], metric: str, modality: str) -> Row:
    (row,) = (row for row in rows if (row.metric, row.modality) == (metric, modality))
    return row


def test_agreement() -> None:
    a, b, c = torch.tensor([0, 1, -1, 2, 2]), torch.tensor([0, 2, -1, 2, 2]), torch.tensor([0, 1, -1, 2, -1])
    assert agreement([a, b, c]).tolist() == [True, False, False, True, False]
    assert agreement([a]).tolist() == [True, True, False, True, True]


def test_entropy() -> None:
    assert entropy(torch.full((10,), 7)) == pytest.approx(math.log(10), abs=1e-12)
    assert entropy(torch.tensor([0, 9, 0])) == 0
    assert entropy(torch.zeros(3, dtype=torch.int64)) == 0
    counts = torch.tensor([1, 5, 0, 20])
    assert entropy(counts) == pytest.approx(float(stats.entropy(counts.numpy())), abs=1e-12)


@pytest.mark.parametrize("task", [Task(("colour",), ("grey",)), Task(("grey",), ("grey",))])
def test_conditional_is_the_share_of_true_labels(judged, task: Task) -> None:  # type: ignore[no-untyped-def]
    metric = Coherence(judged())
    rows = 2 * torch.randperm(150, generator=torch.Generator().manual_seed(0))[:100]  # each item once
    labels = metric.bench.dataset.test.labels
    assert labels is not None
    truth = labels[rows]
    read = torch.cat([truth[:37], (truth[37:90] + 1) % 3, torch.full((10,), -1)])
    for part in (slice(0, 60), slice(60, 100)):  # uneven batches: a micro average
        metric.update(task, samples(grey=read[part]), rows[part])
    (row,) = metric.compute()
    assert (row.metric, row.task, row.modality, row.count) == ("coherence", task.name, "grey", 100)
    assert row.value == pytest.approx(37.0)
    assert (row.judge, row.higher_is_better, row.unit, row.note) == ("oracle", True, "%", "")
    interval = stats.binomtest(37, 100).proportion_ci(method="wilson")
    assert row.interval == pytest.approx((100 * interval.low, 100 * interval.high))


@pytest.mark.parametrize("given", ["grey", "colour"])
@pytest.mark.parametrize("decided_by", ["grey", "colour"])
def test_an_image_in_six_tuples_counts_once(judged, dataset, given: str, decided_by: str) -> None:  # type: ignore[no-untyped-def]
    """50 images, each in six crossed pairings, of which 40 decide that all is right: the interval is that of 40 in 50.

    So it is where the given images decide (a model's samples), and where the real targets do (the row of real data).
    """
    rng = torch.Generator().manual_seed(0)
    crossed = [torch.cat([torch.randperm(50, generator=rng) for _ in range(6)]) for _ in range(2)]
    index = torch.stack((*crossed, torch.zeros(300, dtype=torch.int64)), dim=1)
    bench = judged(
        data=replace(dataset, test=replace(dataset.test, index=index, labels=torch.zeros(300, dtype=torch.int64)))
    )
    right = index[:, ("grey", "colour").index(decided_by)] < 40
    target = "colour" if given == "grey" else "grey"
    tasks = [Task((given,), (target,)), Task(("word",), (target,)), JOINT]
    metric = Coherence(bench)
    for part in torch.arange(300).split(110):
        read = samples(**{target: (~right[part]).long(), given: torch.zeros(len(part))})
        for task in tasks:
            metric.update(task, {name: read[name] for name in task.targets}, part)
    clustered, *independent = (row.interval for row in metric.compute() if row.metric == "coherence")
    low, high = stats.binomtest(40, 50).proportion_ci(method="wilson")
    assert (clustered[1] - clustered[0]) == pytest.approx(100 * (high - low), rel=0.05)  # type: ignore[index]
    low, high = stats.binomtest(240, 300).proportion_ci(method="wilson")
    assert independent == [pytest.approx((100 * low, 100 * high))] * 2


def test_joint_is_agreement_whatever_the_truth(judged) -> None:  # type: ignore[no-untyped-def]
    metric = Coherence(judged())
    grey, colour = ROWS % 3, ROWS % 3
    colour[:20] = (colour[:20] + 1) % 3
    grey[20:30] = colour[20:30] = -1
    metric.update(JOINT, samples(grey=grey[:50], colour=colour[:50]), ROWS[:50])
    metric.update(JOINT, samples(grey=grey[50:], colour=colour[50:]), ROWS[50:])
    rows = metric.compute()
    row = find(rows, "coherence", "grey+colour")
    assert (row.task, row.value, row.count, row.judge) == ("joint", 70.0, 100, "oracle + oracle")
    spread = find(rows, "label_entropy", "grey")
    counts = [int((grey == k).sum()) for k in range(3)]
    assert spread.value == pytest.approx(float(stats.entropy(counts)))
    assert (spread.count, spread.higher_is_better, spread.unit) == (90, None, "nats")
    assert spread.note == "10 of 100 samples are of no class"


def test_unreadable_samples_never_agree(judged) -> None:  # type: ignore[no-untyped-def]
    metric = Coherence(judged())
    nothing = torch.full((10,), -1)
    metric.update(JOINT, samples(grey=nothing, colour=nothing), ROWS[:10])
    metric.update(Task(("colour",), ("grey",)), samples(grey=nothing), ROWS[:10])
    rows = metric.compute()
    assert [row.value for row in rows if row.metric == "coherence"] == [0.0, 0.0]
    assert find(rows, "label_entropy", "grey").value == 0.0
    assert find(rows, "label_entropy", "grey").count == 0


def test_a_collapsed_generator_is_unmasked_by_its_entropy(judged) -> None:  # type: ignore[no-untyped-def]
    metric = Coherence(judged())
    same = torch.full((100,), 2)
    metric.update(JOINT, samples(grey=same, colour=same), ROWS)
    rows = metric.compute()
    assert find(rows, "coherence", "grey+colour").value == 100.0
    assert find(rows, "label_entropy", "grey").value == 0.0
    assert find(rows, "label_entropy", "colour").value == 0.0


def test_uniform_labels_have_the_full_entropy(judged) -> None:  # type: ignore[no-untyped-def]
    metric = Coherence(judged())
    metric.update(JOINT, samples(grey=torch.arange(99) % 3, colour=torch.arange(99) % 3), ROWS[:99])
    assert find(metric.compute(), "label_entropy", "grey").value == pytest.approx(math.log(3))


def test_three_modalities_with_a_text_that_is_read(judged) -> None:  # type: ignore[no-untyped-def]
    bench = judged()
    bench.memory.remember(Judge, ("judge", "word"), Reader(bench.dataset.spec.modality("word")))
    metric = Coherence(bench)
    test = bench.dataset.test
    words = test.gather(ROWS)["word"].clone()
    words[:25] = words[:25].roll(1, dims=1)  # '.two' reads the same: padding is not printed
    words[25:50, 0] = 0  # 'wo'
    labels = test.labels[ROWS]
    metric.update(Task((), ("grey", "colour", "word")), samples(grey=labels, colour=labels) | {"word": words}, ROWS)
    rows = metric.compute()
    assert find(rows, "coherence", "grey+colour+word").value == 75.0
    assert find(rows, "coherence", "grey+colour+word").judge == "oracle + oracle + exact"


def test_how_much_it_wants(judged) -> None:  # type: ignore[no-untyped-def]
    assert Coherence(judged()).wants(JOINT) == 300
    assert Coherence(judged(count=40)).wants(JOINT) == 40
    assert Coherence(judged(count=4000)).wants(JOINT) == 300


def test_instances_do_not_share_counts(judged) -> None:  # type: ignore[no-untyped-def]
    bench = judged()
    model, shuffled = Coherence(bench), Coherence(bench)
    model.update(JOINT, samples(grey=ROWS % 3, colour=ROWS % 3), ROWS)
    assert model.compute()
    assert shuffled.compute() == []


def test_a_dataset_without_classes_is_refused_at_once(make_bench, dataset) -> None:  # type: ignore[no-untyped-def]
    bare = replace(dataset, spec=replace(dataset.spec, classes=0))
    with pytest.raises(PluginError, match="take coherence and fmd out"):
        Coherence.prepare(make_bench(bare))


class Contrary(Judge):
    """Reads the class after the one that is there."""

    name = "contrary"  # type: ignore[assignment]

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        return (x.flatten(1)[:, 0].round().long() + 1) % 3


def test_a_second_judge_has_rows_of_its_own(judged) -> None:  # type: ignore[no-untyped-def]
    bench = judged(second_judge="wide")
    for name in ("grey", "colour"):
        bench.memory.remember(Judge, ("second judge", name), Contrary())
    metric = Coherence(bench)
    labels = bench.dataset.test.labels[ROWS]
    metric.update(Task(("colour",), ("grey",)), samples(grey=labels), ROWS)
    metric.update(JOINT, samples(grey=labels, colour=labels), ROWS)
    found = {(row.metric, row.task): (row.value, row.judge) for row in metric.compute() if "coherence" in row.metric}
    assert found == {
        ("coherence", "colour->grey"): (100.0, "oracle"),
        ("coherence_second", "colour->grey"): (0.0, "contrary"),
        ("coherence", "joint"): (100.0, "oracle + oracle"),
        ("coherence_second", "joint"): (100.0, "contrary + contrary"),
    }


def test_the_second_judge_is_trained_apart_and_cached(make_bench, dataset) -> None:  # type: ignore[no-untyped-def]
    """It learns the class of the bars, in a network of another kind, and does not touch the first judge's file."""
    bench = make_bench(dataset, second_judge="wide")
    Coherence.prepare(bench)
    first, second = judge(bench, "grey"), second_judge(bench, "grey")
    assert second is not None
    assert second.name.startswith("wide ")
    assert second.accuracy > 0.9
    assert type(first.network) is not type(second.network)  # type: ignore[attr-defined]
    again = replace(bench, memory=Memory())
    x = dataset.test.gather(ROWS)["grey"]
    assert torch.equal(second_judge(again, "grey").predict(x), second.predict(x))  # type: ignore[union-attr]


def test_an_unknown_second_judge_is_one_sentence(make_bench, dataset) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(PluginError, match="'no_such:Net' cannot be imported"):
        Coherence.prepare(make_bench(dataset, second_judge="no_such:Net"))


def row_identities(bench, weights: int) -> dict[tuple[str, str], tuple[str, str]]:  # type: ignore[no-untyped-def]
    """(metric, task) -> (judge, identity), with LeNets of the given first weights that all say they read 99 %."""
    for place in ("judge", "second judge"):
        for name in ("grey", "colour"):
            with torch.random.fork_rng():
                torch.manual_seed(weights + len(place + name))
                network = LeNet(bench.dataset.spec.modality(name).shape, 3)
            bench.memory.remember(Judge, (place, name), Classifier(network, 0.99))
    bench.memory.remember(Judge, ("judge", "word"), Reader(bench.dataset.spec.modality("word")))
    metric, real = Coherence(bench), bench.dataset.test.gather(ROWS)
    for task in (Task(("colour",), ("grey",)), Task((), ("grey", "colour", "word")), Task(("grey",), ("word",))):
        metric.update(task, {name: real[name] for name in task.targets}, ROWS)
    return {(row.metric, f"{row.task} {row.modality}"): (row.judge, row.identity) for row in metric.compute()}


def test_judges_of_one_name_are_told_apart(judged) -> None:  # type: ignore[no-untyped-def]
    bench = judged(second_judge="wide")
    bench.memory.remember(Judge, ("second judge", "word"), judge(bench, "word"))
    first, again = row_identities(bench, 0), row_identities(bench, 0)
    second = row_identities(bench, 100)
    assert first == again
    sha = hashlib.sha256()
    row_identities(bench, 0)
    for _, tensor in sorted(judge(bench, "grey").network.state_dict().items()):
        sha.update(tensor.numpy().tobytes())
    grey = sha.hexdigest()[:8]
    assert first["coherence", "colour->grey grey"] == ("lenet 99.0 %", grey)
    assert first["label_entropy", "joint grey"] == ("lenet 99.0 %", grey)
    assert first["coherence", "grey->word word"] == ("exact", "")
    assert first["label_entropy", "joint word"] == ("exact", "")
    name, identity = first["coherence", "joint grey+colour+word"]
    assert name == "lenet 99.0 % + lenet 99.0 % + exact"
    assert re.fullmatch(rf"{grey}\+[0-9a-f]{{8}}\+", identity)
    learned = [key for key in first if "lenet" in first[key][0]]
    assert {metric for metric, _ in learned} == {"coherence", "coherence_second", "label_entropy"}
    for key in learned:
        assert first[key][0] == second[key][0]
        assert first[key][1] != second[key][1]
    assert first["coherence_second", "colour->grey grey"][1] != grey
