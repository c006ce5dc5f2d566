"""What is compared and what it is compared with never overlap, whatever a metric does with its bench."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from mmbench.cells.measuring import measure
from mmbench.cells.references import evaluation_order
from mmbench.cells.sampling import Sampler
from mmbench.config import Protocol
from mmbench.data.dataset import Dataset, Split
from mmbench.metric import Bench, Metric, Row
from mmbench.modality import Task
from mmbench.progress import Progress
from mmbench.store import Artefacts

from .test_measuring import SPEC, Echo


def data(test: int, train: int = 300, shared: int = 1) -> Dataset:
    """Images all unlike each other; `shared` tuples hold the same image of 'a'."""
    rng = torch.Generator().manual_seed(0)

    def split(count: int) -> Split:
        items = {n: torch.randint(0, 256, (count, 1, 2, 2), generator=rng, dtype=torch.uint8) for n in "abc"}
        index = torch.arange(count)[:, None].repeat(1, 3)
        index[:, 0] //= shared
        return Split(items, index)

    return Dataset(SPEC, split(train), split(test))


READ: dict[str, Callable[[Bench], Tensor]] = {
    "bench.real": lambda bench: bench.real("a"),
    "the order": lambda bench: bench.dataset.test.gather(bench.order, ("a",))["a"],
    "all test tuples": lambda bench: bench.dataset.test.gather(torch.arange(len(bench.dataset.test)))["a"],
    "all test items": lambda bench: bench.dataset.test.items["a"].float() / 255,
    "all training tuples": lambda bench: bench.dataset.train.gather(torch.arange(len(bench.dataset.train)))["a"],
    "all training items": lambda bench: bench.dataset.train.items["a"].float() / 255,
}


class Precision(Metric):
    """The share of samples that stand among the real images, however these are read: natural, and naive."""

    name: ClassVar[str] = "precision"
    higher_is_better: ClassVar[bool | None] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    read: ClassVar[str] = ""
    count: ClassVar[int] = 100
    early: ClassVar[bool] = False
    """Whether it reads in `prepare`, and remembers."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.samples: list[Tensor] = []

    @classmethod
    def known(cls, bench: Bench) -> Tensor:
        return bench.memory.recall(list, "known", lambda: [READ[cls.read](bench).flatten(1)])[0]

    @classmethod
    def prepare(cls, bench: Bench) -> None:
        if cls.early:
            cls.known(bench)

    def wants(self, task: Task) -> int:
        return 0 if task.given else self.count

    def update(self, task: Task, samples: Mapping[str, Tensor], rows: Tensor) -> None:
        self.samples.append(samples["a"].flatten(1))

    def compute(self) -> list[Row]:
        if not self.samples:
            return []
        near = (torch.cat(self.samples)[:, None] == self.known(self.bench)).all(dim=2).any(dim=1)
        return [Row(metric=self.name, task="joint", modality="a", value=near.double().mean().item(),
                    count=len(near), judge="exact", higher_is_better=True)]  # fmt: skip


def bench(of: Dataset) -> Bench:
    order = evaluation_order(of.test, 0)
    protocol = Protocol(quality_count=100, batch_size=40)
    return Bench(of, protocol, torch.device("cpu"), order, Path(), Artefacts(Path("nowhere")), Progress())


def rows(of: Dataset, read: str, early: bool = False, count: int = 100) -> list[dict]:
    from mmbench.cells.references import lend

    metric = type("Own", (Precision,), {"read": read, "early": early, "count": count})
    lent, model = bench(of), Echo()
    metric.prepare(lend(lent, metric))
    return measure(Sampler(lambda: model, seed=0), lent, {"precision": metric}).rows


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize(("test", "shared", "source"), [(300, 1, "other test tuples"), (150, 1, "training tuples"),
                                                        (900, 3, "other test tuples")])  # fmt: skip
def test_a_floor_is_never_among_what_it_is_compared_with(
    test: int, shared: int, source: str, read: str, early: bool
) -> None:
    (real,) = [r for r in rows(data(test, shared=shared), read, early) if r["source"] == "real"]
    assert (real["data"], real["count"]) == (source, 100)
    assert real["value"] == 0.0


def test_the_same_metric_does_find_what_is_there() -> None:
    """The measurement is able to say 100 %."""
    lent = bench(data(300))
    metric = type("Own", (Precision,), {"read": "bench.real"})(lent)
    metric.update(Task((), ("a",)), {"a": lent.real("a", 100)}, lent.order[:100])
    assert metric.compute()[0].value == 1.0


def test_numbers_of_tuples_stay_what_they_are() -> None:
    """`rows` of samples are looked up in the data that a metric is lent: their tuples, labels and fingerprint hold."""
    from mmbench.cells.references import lend

    whole = data(300)
    labels = torch.arange(300) % 7
    train = replace(whole.train, labels=torch.zeros(len(whole.train), dtype=torch.int64))
    whole = replace(whole, train=train, test=replace(whole.test, labels=labels), spec=replace(SPEC, classes=7))
    plain = bench(whole)
    own = lend(plain, type("Own", (Precision,), {"read": "bench.real"}))
    assert own.whole is plain
    assert own.dataset.fingerprint == whole.fingerprint
    assert torch.equal(own.order, plain.order[:100])
    assert len(own.dataset.test) == 300
    for name in "abc":
        before, after = (d.test.gather(plain.order[:100], (name,))[name] for d in (whole, own.dataset))
        assert torch.equal(before, after)
    assert torch.equal(own.dataset.test.labels[own.order], labels[own.order])
    pixels = own.dataset.test.gather(torch.arange(300))
    held = {tuple(x.flatten().tolist()) for x in whole.test.gather(plain.order[100:200])["b"]}
    assert not held & {tuple(x.flatten().tolist()) for x in pixels["b"]}


def test_the_data_themselves_stay_as_they_are() -> None:
    whole = data(300)
    copy = {name: items.clone() for name, items in whole.test.items.items()}
    index = whole.test.index.clone()
    rows(whole, "all test items")
    assert all(torch.equal(items, copy[name]) for name, items in whole.test.items.items())
    assert torch.equal(whole.test.index, index)


def test_a_metric_of_pairs_is_lent_everything() -> None:
    from mmbench.cells.references import lend

    plain = bench(data(300))
    paired = type("Own", (Precision,), {"read": "bench.real", "paired": True})
    assert lend(plain, paired) is plain
