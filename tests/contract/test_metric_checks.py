"""The suite of metrics finds faults: a sound metric passes, a wrong one fails the check that names its fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from mmbench.checks import METRIC_CHECKS, check_metric
from mmbench.checks.constructed import CLASSES, WORDS, Constructed, captioned, labelled
from mmbench.metric import Metric, Quantity, Row
from mmbench.modality import DatasetSpec, Task


class Brightness(Metric):
    """How far the mean of the samples is from that of the real images: a distance that needs no judge."""

    name: ClassVar[str] = "brightness"
    higher_is_better: ClassVar[bool | None] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    group: ClassVar[str] = "quality"
    tells: ClassVar[tuple[str, ...]] = ("collapsed",)

    def __init__(self, bench: Any) -> None:
        super().__init__(bench)
        self.images = [m.name for m in bench.dataset.spec.modalities if not m.is_text]
        self.seen: dict[tuple[Task, str], list[Tensor]] = {}

    def wants(self, task: Task) -> int:
        return 200 if set(task.targets) & set(self.images) else 0

    def update(self, task: Task, samples: Mapping[str, Tensor], rows: Tensor) -> None:
        for name in set(task.targets) & set(self.images):
            self.seen.setdefault((task, name), []).append(samples[name].clone())

    def value(self, name: str, x: Tensor) -> float:
        return float((x.double().mean(0) - self.bench.real(name, 200).double().mean(0)).abs().mean())

    def compute(self) -> list[Row]:
        return [
            Row(metric=self.name, task=task.name, modality=name, value=self.value(name, torch.cat(x)), judge="exact",
                count=sum(map(len, x)), higher_is_better=self.higher_is_better)
            for (task, name), x in self.seen.items()
        ]  # fmt: skip


class NoBounds(Brightness):
    bounds: ClassVar[Any] = (1.0, 0.0)


class NoGroup(Brightness):
    group: ClassVar[str] = "qualty"


class Dear(Brightness):
    cost, default = "dear", True


class OddQuantity(Brightness):
    quantities: ClassVar[Any] = {"more": (0, 1)}


class Unfit(Brightness):
    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        return "no modality sings"


class NotPrepared(Brightness):
    @classmethod
    def prepare(cls, bench: Any) -> None:
        raise KeyError("where")


class WantsNothing(Brightness):
    def wants(self, task: Task) -> int:
        return 0


class WantsHalf(Brightness):
    def wants(self, task: Task) -> Any:
        return 2.5


class OutOfBounds(Brightness):
    def value(self, name: str, x: Tensor) -> float:
        return 1.5


class NotFinite(Brightness):
    def value(self, name: str, x: Tensor) -> float:
        return float("nan")


class Elsewhere(Brightness):
    def compute(self) -> list[Row]:
        return [Row(metric="brightness", task="bar->sound", modality="bar", value=0.5, count=1, judge="exact",
                    higher_is_better=False)]  # fmt: skip


class OtherDirection(Brightness):
    def compute(self) -> list[Row]:
        return [Row(metric="brightness", task="joint", modality="bar", value=0.5, count=1, judge="exact",
                    higher_is_better=True)]  # fmt: skip


class Twice(Brightness):
    def compute(self) -> list[Row]:
        return super().compute() * 2


class ByBatches(Brightness):
    """The mean over batches of the batches' own numbers."""

    def value(self, name: str, x: Tensor) -> float:
        return float(self.seen[next(k for k in self.seen if k[1] == name)][0].mean())


class Forgets(Brightness):
    """What was measured before changes what is measured now."""

    calls: ClassVar[list[int]] = []

    def compute(self) -> list[Row]:
        self.calls.append(1)
        return super().compute()

    def value(self, name: str, x: Tensor) -> float:
        return super().value(name, x) / len(self.calls)


class Spoils(Brightness):
    def update(self, task: Task, samples: Mapping[str, Tensor], rows: Tensor) -> None:
        super().update(task, samples, rows)
        for x in samples.values():
            x.zero_()


class Gambles(Brightness):
    def value(self, name: str, x: Tensor) -> float:
        torch.rand(1)
        return super().value(name, x)


class Boasts(Brightness):
    """Shuffling the samples does not change their mean."""

    tells: ClassVar[tuple[str, ...]] = ("collapsed", "shuffled")


FAULTS = {
    NoBounds: ("declared", "the bounds of 'brightness' must be two numbers, the lower one first"),
    NoGroup: ("declared", "did you mean 'quality'"),
    Dear: ("declared", "a dear metric cannot be on by default"),
    OddQuantity: ("declared", "must be a mmbench.metric.Quantity, got a tuple"),
    Unfit: ("fit", "it measures nothing of the toy of bars: no modality sings"),
    NotPrepared: ("prepared", "KeyError: 'where'"),
    WantsNothing: ("wants", "nothing would be measured"),
    WantsHalf: ("wants", "TypeError"),
    OutOfBounds: ("rows", "is 1.5, out of the bounds 0 to 1 that it declares"),
    NotFinite: ("rows", "is nan for perfect samples"),
    Elsewhere: ("rows", "a task 'bar->sound' that the data do not have"),
    OtherDirection: ("rows", "says higher_is_better=True, and declares False"),
    Twice: ("rows", "is given twice"),
    ByBatches: ("batches", "in batches of 100, and"),
    Forgets: ("repeats", "of the same samples"),
    Spoils: ("untouched", "work on a copy"),
    Gambles: ("untouched", "mmbench.seeding.generator"),
    Boasts: ("tells", "it declares to tell shuffled samples, and no number is clearly worse"),
}


def failed(metric: type[Metric]) -> dict[str, str]:
    return {r.name: r.message for r in check_metric(metric) if r.outcome == "failed"}


def test_a_sound_metric_passes_and_says_what_it_tells() -> None:
    results = check_metric(Brightness)
    assert [r.name for r in results] == list(METRIC_CHECKS)
    assert all(r.passed for r in results), failed(Brightness)
    assert results[-1].message.startswith("tells collapsed (brightness ")
    assert results[-1].message.endswith("apart, not shuffled")


@pytest.mark.parametrize("metric", FAULTS, ids=lambda m: m.__name__)
def test_a_fault_fails_the_check_that_names_it(metric: type[Metric]) -> None:
    name, said = FAULTS[metric]
    found = failed(metric)
    assert name in found, found
    assert said in found[name]
    assert "\n" not in found[name]


def test_every_check_has_a_metric_that_fails_it() -> None:
    assert {name for name, _ in FAULTS.values()} | {"class"} == set(METRIC_CHECKS)
    assert "must derive from mmbench.metric.Metric" in failed(dict)["class"]  # type: ignore[arg-type]
    assert "did you mean 'coherence'" in failed("coherenc")["class"]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["coherence", "fmd"])
def test_the_suites_own_metrics_pass(name: str) -> None:
    found = check_metric(name)  # type: ignore[arg-type]
    assert all(r.passed for r in found), [r.line() for r in found]


def test_constructed_generators_are_what_they_are_called() -> None:
    """Read from the pixels, without a judge: the bright quarter of an image, the word's letters."""
    stage = labelled()
    task, rows = Task(("bar",), ("tint", "word")), torch.arange(len(stage.data.test))
    right = {}
    for kind in ("perfect", "collapsed", "shuffled"):
        made = Constructed(stage, kind).samples(task, rows)
        quarter = made["tint"][:, :, :16].mean(dim=(1, 3)).unflatten(1, (CLASSES, 4)).mean(2).argmax(1)
        words = [WORDS.index(stage.data.spec.modality("word").text(t)) for t in made["word"].tolist()]
        truth = stage.data.test.labels
        right[kind] = [
            (quarter == truth).double().mean().item(),
            (torch.tensor(words) == quarter).double().mean().item(),
        ]
        assert len(made["tint"].flatten(1).unique(dim=0)) == 1 if kind == "collapsed" else True
    assert right["perfect"] == [1.0, 1.0]
    assert right["collapsed"] == [0.25, 1.0]
    assert max(abs(share - 0.25) for share in right["shuffled"]) < 0.1


def test_a_perfect_generator_shows_nothing_that_is_real() -> None:
    for stage, name in ((labelled(), "bar"), (captioned(), "photo")):
        rows = torch.arange(len(stage.data.test))
        made = Constructed(stage, "perfect").samples(Task((), (name,)), rows)[name]
        real = stage.data.test.gather(rows, (name,))[name]
        assert (torch.cdist(made.flatten(1), real.flatten(1)) > 0).all()


def test_extra_rows_are_held_to_their_own_bounds() -> None:
    class Extra(Brightness):
        quantities: ClassVar[Mapping[str, Quantity]] = {"glow": Quantity(bounds=(0.0, 0.1), higher_is_better=None)}

        def compute(self) -> list[Row]:
            return [*super().compute(), Row(metric="glow", task="joint", modality="bar", value=0.2, count=1,
                                            judge="exact", higher_is_better=None)]  # fmt: skip

    assert "glow of joint (bar) is 0.2, out of the bounds 0 to 0.1" in failed(Extra)["rows"]
