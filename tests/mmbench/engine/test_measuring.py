"""The protocol on a model whose samples are known: what is drawn, in which order, and what metrics are shown."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from mmbench.cells.measuring import KEPT, measure
from mmbench.cells.references import evaluation_order, floor, references
from mmbench.cells.sampling import Sampler
from mmbench.config import Protocol, Schedule
from mmbench.data.dataset import Dataset, Split
from mmbench.errors import PluginError
from mmbench.metric import Bench, Metric, Row
from mmbench.modality import DatasetSpec, Modality
from mmbench.model import Model, draw
from mmbench.progress import Progress
from mmbench.seeding import Noise
from mmbench.store import Artefacts

SPEC = DatasetSpec(
    name="toy",
    title="Toy",
    modalities=tuple(Modality(name=n, shape=(1, 2, 2), network="mnist_mlp", latent=2) for n in "abc"),
)


def dataset(n=300):
    items = {
        name: (torch.arange(n) % 256).to(torch.uint8)[:, None, None, None].expand(n, 1, 2, 2).contiguous()
        for name in "abc"
    }
    split = Split(items, torch.arange(n)[:, None].expand(n, 3).contiguous())
    train = Split({n: v + 7 for n, v in items.items()}, split.index)
    return Dataset(SPEC, train, split)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    schedule: Schedule = Schedule(steps=1, batch_size=1, lr=1.0)


class Echo(Model):
    """Answers a given modality's first pixel everywhere, noise for joint samples."""

    Config = Nothing

    def __init__(self):
        super().__init__()
        self.dataset, self.calls = SPEC, []
        self.body = torch.nn.Linear(1, 1)

    @classmethod
    def build(cls, dataset, config, networks):
        return cls()

    def stages(self):
        return []

    def generate(self, given, targets, *, count, generator):
        self.calls.append((tuple(given), tuple(targets), count))
        self.body(torch.zeros(1, 1))
        noise = Noise(generator, count).normal(1, 2, 2).sigmoid()
        source = next(iter(given.values())) if given else noise
        return {name: source.clone() for name in targets}


class Spy(Metric):
    """Keeps what it is shown; wants 250 of joint samples, 120 of the rest."""

    name, higher_is_better, bounds, paired = "spy", True, (0.0, 1.0), True
    instances: ClassVar[list] = []

    def __init__(self, bench):
        super().__init__(bench)
        self.seen = {}
        Spy.instances.append(self)

    def wants(self, task):
        return 120 if task.given else 250

    def update(self, task, samples, rows):
        self.seen.setdefault(task.name, []).append((samples, rows))

    def compute(self):
        return [
            Row(metric="spy", task=t, modality="a", value=1.0, count=1, judge="", higher_is_better=True)
            for t in self.seen
        ]


class Distance(Spy):
    """The same for a metric that compares with real data, and does not look at pairs."""

    paired = False


def bench(batch_size=50, count=250):
    data = dataset()
    protocol = Protocol(count=count, quality_count=100, batch_size=batch_size)
    return Bench(
        dataset=data,
        protocol=protocol,
        device=torch.device("cpu"),
        order=evaluation_order(data.test, 0),
        cache=None,
        artefacts=Artefacts(Path("nowhere")),
        progress=Progress(),
    )


def run(metric=Spy, **changes):
    Spy.instances = []
    model = Echo()
    return model, measure(Sampler(lambda: model, seed=0), bench(**changes), {"spy": metric}), Spy.instances


def test_each_condition_is_drawn_once_for_all_its_targets():
    model, _, _ = run(batch_size=250)
    assert [(g, t) for g, t, _ in model.calls] == [
        ((), ("a", "b", "c")),
        (("a",), ("b", "c")),
        (("b",), ("a", "c")),
        (("c",), ("a", "b")),
        (("a", "b"), ("c",)),
        (("a", "c"), ("b",)),
        (("b", "c"), ("a",)),
        (("a",), ("a",)),
        (("b",), ("b",)),
        (("c",), ("c",)),
    ]


def test_metrics_see_as_many_as_they_want_and_the_right_rows():
    _, _, (*_, chosen, _) = run()
    order = evaluation_order(dataset().test, 0)
    assert torch.equal(torch.cat([rows for _, rows in chosen.seen["a->b"]]), order[:120])
    samples = torch.cat([s["b"] for s, _ in chosen.seen["a->b"]])
    truth = dataset().test.gather(order[:120])["a"]
    assert torch.equal(samples, truth), "sample k was made for the k-th tuple of the evaluation order"
    assert sum(len(rows) for _, rows in chosen.seen["joint"]) == 250


def test_reference_points():
    _, result, (_, real, shuffled, _, reconstruction) = run()
    order = evaluation_order(dataset().test, 0)
    assert torch.equal(torch.cat([r for _, r in real.seen["joint"]]), order[:250]), "the pairs that are evaluated"
    mixed = {n: torch.cat([s[n] for s, _ in shuffled.seen["joint"]]).flatten(1)[:, 0] for n in "abc"}
    for name in "abc":
        expected = dataset().test.gather(order[:250])[name].flatten(1)[:, 0]
        assert torch.equal(mixed[name].sort().values, expected.sort().values), "the same items"
    assert (mixed["a"] == mixed["b"]).float().mean() < 0.1, "in another order for each modality"
    assert set(reconstruction.seen) == {"a->a", "b->b", "c->c"}
    assert {row["source"] for row in result.rows} == {"model", "real", "shuffled", "reconstruction"}


def floor_pixels(real):
    return torch.cat([samples["a"] for samples, _ in real.seen["joint"]])


class Hungry(Distance):
    """Wants more than half of the 300 test tuples."""

    def wants(self, task):
        return 200


class Small(Distance):
    def wants(self, task):
        return 100


def test_the_floor_is_other_test_tuples_where_enough_are_left():
    _, result, (_, real, *_) = run(Small, count=None)
    order, data = evaluation_order(dataset().test, 0), dataset()
    assert torch.equal(floor_pixels(real), data.test.gather(order[100:200])["a"]), "whatever coherence uses"
    assert {row["data"] for row in result.rows if row["source"] == "real"} == {"other test tuples"}
    rows = torch.cat([rows for _, rows in real.seen["joint"]])
    assert torch.equal(rows, order[:100]), "in the place of the tuples that it is compared with"


def test_where_fewer_test_tuples_are_left_the_floor_is_training_data_at_the_same_count():
    """300 test tuples, 200 used, 100 left: training tuples, and the row says so."""
    _, result, (_, real, *_) = run(Hungry)
    data = dataset()
    assert torch.equal(floor_pixels(real), data.train.gather(evaluation_order(data.train, 0)[:200])["a"])
    assert {row["data"] for row in result.rows if row["source"] == "real"} == {"training tuples"}


def test_real_tuples_that_share_an_image_are_not_the_floor():
    """Every image stands in two tuples: none of the other tuples' images may be among the evaluated ones."""
    data = dataset()
    doubled = Split(data.test.items, (torch.arange(300) // 2)[:, None].expand(300, 3).contiguous())
    lent = replace(bench(), dataset=Dataset(SPEC, data.train, doubled))
    other = floor(lent, 60)
    assert other.data == "other test tuples"
    evaluated, used = doubled.index[lent.order[:60], 0], doubled.index[other.rows, 0]
    assert len(used) == 60
    assert not set(evaluated.tolist()) & set(used.tolist())


def test_words_of_a_class_may_be_shared_with_the_floor():
    """A third modality of ten texts that say the class: every tuple shares one with the evaluated tuples."""
    word = Modality(name="c", shape=(1,), network="word_mlp", latent=2, likelihood="categorical",
                    vocabulary=tuple("0123456789"), classes=tuple("0123456789"))  # fmt: skip
    spec = replace(SPEC, modalities=(*SPEC.modalities[:2], word))
    data = dataset()
    items = {**data.test.items, "c": torch.arange(10)[:, None]}
    split = Split(items, torch.stack([torch.arange(300), torch.arange(300), torch.arange(300) % 10], dim=1))
    lent = replace(bench(), dataset=Dataset(spec, split, split))
    assert floor(lent, 100).data == "other test tuples"


def test_two_distances_of_different_counts_each_have_their_own_floor():
    _, _, instances = run(Small)
    lent = bench()
    points = list(references(lent, {"small": Small, "hungry": Hungry, "pairs": Spy}))
    assert [(p.source, p.data, set(p.metrics)) for p in points] == [
        ("real", "the evaluated test tuples", {"pairs"}),
        ("shuffled", "the evaluated test tuples, shuffled", {"pairs"}),
        ("real", "other test tuples", {"small"}),
        ("real", "training tuples", {"hungry"}),
    ]
    assert instances


def test_samples_do_not_depend_on_the_batches():
    joint = []
    for size in (250, 7):
        _, _, (*_, chosen, _) = run(batch_size=size)
        joint.append(torch.cat([s["a"] for s, _ in chosen.seen["joint"]]))
    assert torch.allclose(*joint, atol=1e-6)


def test_kept_samples_are_the_first_and_come_with_their_conditions():
    _, result, _ = run()
    order = evaluation_order(dataset().test, 0)
    pixels = dataset().test.items["a"][order[:KEPT]].numpy()
    assert (result.samples["a->b/given/a"] == pixels).all()
    assert (result.samples["a->b/target/b"] == pixels).all()
    assert result.samples["joint/target/c"].shape == (KEPT, 1, 2, 2)


def test_where_no_metric_wants_samples_the_figures_have_theirs(monkeypatch):
    monkeypatch.setattr(Spy, "wants", lambda self, task: 0 if task.targets == ("a",) else 50)
    model, result, _ = run()
    counts = {(given, targets): count for given, targets, count in model.calls}
    assert counts[("a",), ("a",)] == KEPT
    assert len(result.samples["a->a/target/a"]) == KEPT
    assert len(result.samples["b->b/target/b"]) == KEPT


def test_network_calls_are_counted():
    _, result, _ = run()
    assert result.calls["joint"] == {"body": 1}


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({}, "returned"),
        ({"b": torch.zeros(3, 1, 2, 2), "z": torch.zeros(3, 1, 2, 2)}, "returned"),
        ({"b": torch.zeros(3, 1, 2)}, "must be"),
        ({"b": torch.zeros(3, 1, 2, 2).double()}, "must be"),
        ({"b": torch.full((3, 1, 2, 2), torch.nan)}, "NaN"),
        ({"b": torch.full((3, 1, 2, 2), 1.01)}, "must lie in"),
    ],
)
def test_a_wrong_answer_is_refused(answer, complaint):
    model = Echo()
    model.generate = lambda *_, **__: answer
    with pytest.raises(PluginError, match=complaint):
        draw(model, {}, ("b",), count=3, generator=torch.Generator())


class Cut(Echo):
    """Sends its rows through the body one by one, and twice those of what is given; a scalar goes through a gate."""

    def __init__(self):
        super().__init__()
        self.gate = torch.nn.Identity()

    def generate(self, given, targets, *, count, generator):
        for _ in range(2 if given else 1):
            for row in torch.zeros(count, 1).split(1):
                self.body(row)
        self.gate(torch.tensor(1.0))
        return super().generate(given, targets, count=count, generator=generator)


def test_calls_for_one_sample_do_not_depend_on_how_a_batch_is_cut():
    sampler = Sampler(model=Cut, seed=0)
    for given in ((), ("a",)):
        for size in (1, 30):
            list(sampler.batches(bench(batch_size=size), given, ("b",), 60))
            of_sample = sampler.per_sample["a->b" if given else "joint"]
            rows = 2 if given else 1
            assert of_sample == {"body": rows + 1 / size, "gate": 1 / size}, "Echo calls the body once more, with a row"
