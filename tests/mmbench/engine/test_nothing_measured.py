"""A metric that gives no number is left out with a sentence, before anything is trained for it where that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from mmbench import plugins, store
from mmbench.checks import toys
from mmbench.config import Protocol
from mmbench.data.dataset import Dataset, DatasetSource
from mmbench.engine.engine import Engine
from mmbench.errors import ConfigError, DataError
from mmbench.metric import Bench, Metric, Row
from mmbench.modality import DatasetSpec, Task
from mmbench.progress import Progress
from mmbench.store import Artefacts

from .conftest import Notes, asked, only

SETTINGS = ("schedule.steps=2", "eval.count=8", "eval.quality_count=8", "eval.batch_size=8", "eval.judge.steps=2")


class Toy(DatasetSource):
    """Two images and a text that does not say its class."""

    title, summary = "Toy", "a toy"

    def load(self, root: Path, cache: Path) -> Dataset:
        data = toys()[1]
        return replace(data, spec=replace(data.spec, name="toy"))


class Mute(Metric):
    """Gives what a test says."""

    name: ClassVar[str] = "mute"
    higher_is_better: ClassVar[bool | None] = None
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    reason: ClassVar[str] = ""
    gives: ClassVar[Any] = []
    asks: ClassVar[Any] = 4

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        return cls.reason

    @classmethod
    def prepare(cls, bench: Bench) -> None:
        assert not cls.reason, "nothing is prepared of what measures nothing"

    def wants(self, task: Task) -> int:
        return self.asks

    def update(self, task: Task, samples: Mapping[str, Tensor], rows: Tensor) -> None:
        return

    def compute(self) -> list[Row]:
        return self.gives


class Loud(Mute):
    """Always gives a number."""

    def compute(self) -> list[Row]:
        return [row(metric="loud")]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    own, find = plugins.load, plugins.find
    extra = {(plugins.DATASETS, "toy"): Toy, (plugins.METRICS, "mute"): Mute, (plugins.METRICS, "loud"): Loud}

    def load(group: str, name: str, base: Any = None) -> Any:
        return extra.get((group, name)) or own(group, name, base)

    def found(group: str, name: str) -> plugins.Plugin:
        return plugins.Plugin(name, f"{name}:X", "odd") if (group, name) in extra else find(group, name)

    monkeypatch.setattr(plugins, "load", load)
    monkeypatch.setattr(plugins, "find", found)
    for name, value in {"reason": "", "gives": [], "asks": 4}.items():
        monkeypatch.setattr(Mute, name, value)


def runner(home: Path, *metrics: str, **more: Any) -> tuple[Engine, Notes]:
    notes = Notes()
    request = {"models": ("mvae",), "settings": SETTINGS, "metrics": metrics, "dataset": "toy"}
    return Engine(asked(home, **(request | more)), notes), notes


def row(**changes: Any) -> Row:
    values = {"metric": "mute", "task": "joint", "modality": "spot", "value": 0.5, "count": 4, "judge": "exact"}
    return Row(**(values | {"higher_is_better": None} | changes))


@pytest.mark.parametrize("verb", ["run", "evaluate"])
def test_what_can_measure_nothing_is_left_out_and_the_others_measure(
    home: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr(Mute, "reason", "no modality sings")
    monkeypatch.setattr(Loud, "reason", "", raising=False)
    if verb == "evaluate":
        runner(home, "loud")[0].run()
    one, notes = runner(home, "coherence", "loud", "mute", models=("mvae",))
    outcome = one.run() if verb == "run" else one.evaluate()
    assert not outcome.failed
    assert outcome.left_out == [
        "coherence: it measures nothing on the toy of 3 modalities: the text 'word' does not say its class",
        "mute: it measures nothing on the toy of 3 modalities: no modality sings",
    ]
    assert [line for line in notes.said if "left out" in line] == [
        f"{name} is left out: {reason}" for name, reason in (line.split(": ", 1) for line in outcome.left_out)
    ]
    assert set(only(home)["metrics"]) == {row["plugin"] for row in only(home)["rows"]} == {"loud"}
    again = runner(home, "mute")[0]
    outcome = again.run()
    assert (len(outcome.skipped), len(outcome.left_out)) == (1, 1)


@pytest.mark.parametrize("asks", [0, 4])
def test_what_gives_no_number_does_not_count_as_measured(
    home: Path, monkeypatch: pytest.MonkeyPatch, asks: int
) -> None:
    monkeypatch.setattr(Mute, "asks", asks)
    monkeypatch.setattr(Loud, "asks", 4, raising=False)
    outcome = runner(home, "loud", "mute")[0].run()
    assert outcome.left_out == ["mute: it gave no number on the toy of 3 modalities; tell its author"]
    assert set(only(home)["metrics"]) == {"loud"}
    assert set(only(home)["left_out"]) == {"mute"}
    monkeypatch.setattr(Mute, "gives", [row()])
    monkeypatch.setattr(Mute, "asks", 4)
    assert not runner(home, "mute")[0].evaluate().left_out
    assert (set(only(home)["metrics"]), only(home)["left_out"]) == ({"loud", "mute"}, {})


def test_a_cell_of_an_older_edition_whose_metric_has_no_row_is_measured(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mute, "gives", [row()])
    runner(home, "loud", "mute")[0].run()
    cell = only(home)
    cell["rows"] = [row for row in cell["rows"] if row["plugin"] != "mute"]
    store.write(home / "results", cell)  # type: ignore[arg-type]
    assert len(runner(home, "mute")[0].evaluate().extended) == 1


KINDS = {"numpy": np.float32(0.5), "tensor": torch.tensor(0.5), "whole": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_may_hold_any_kind_of_number(home: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    odd = row(value=KINDS[kind], count=np.int64(4), interval=np.array([0.0, 1.0]))
    monkeypatch.setattr(Mute, "gives", [odd])
    assert not runner(home, "mute")[0].run().failed
    found = next(row for row in only(home)["rows"] if row["source"] == "model")
    assert (found["value"], found["count"], found["interval"]) == (float(KINDS[kind]), 4, [0.0, 1.0])


BAD = {
    "no list": None,
    "no row": [{"metric": "mute"}],
    "no name": [row(metric=None)],
    "blank name": [row(metric="  ")],
    "a number as a name": [row(task=3)],
    "half a character": [row(modality="\ud800")],
    "a word": [row(value="much")],
    "not finite": [row(value=float("nan"))],
    "half a sample": [row(count=1.5)],
    "out of its bounds": [row(value=1.25)],
    "another direction": [row(higher_is_better=True)],
    "an unknown task": [row(task="spot->sound")],
    "an unknown modality": [row(modality="spot+sound")],
    "the same number twice": [row(), row(value=0.25)],
    "an odd interval": [row(interval=(0.0,))],
    "an interval of words": [row(interval=("a", "b"))],
    "an odd note": [row(note=b"x")],
}


@pytest.mark.parametrize("case", BAD)
def test_an_odd_row_is_blamed_on_its_metric(home: Path, case: str) -> None:
    """Not on the model whose samples were measured."""
    from mmbench.cells.panel import Panel, Toll

    class Odd(Mute):
        def compute(self) -> Any:
            return BAD[case]

    data, toll = toys()[1], Toll()
    bench = Bench(data, Protocol(), torch.device("cpu"), torch.arange(4), home, Artefacts(home), Progress())
    assert Panel(bench, {"mute": Odd}, toll).rows("model") == {}
    said = str(toll.failed["mute"])
    assert said.startswith("mute")
    assert "\n" not in said


@pytest.mark.parametrize("asks", [None, "4", 1.5])
def test_an_odd_count_is_blamed_on_its_metric(home: Path, monkeypatch: pytest.MonkeyPatch, asks: Any) -> None:
    monkeypatch.setattr(Mute, "asks", asks)
    ((_, reason),) = runner(home, "mute")[0].run().failed
    assert reason.startswith("mute failed with TypeError")


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (("a", "b", "a", "c"), "toy: two classes have one text of word: a, a, b, c"),
        (("a", "b"), "toy: word has texts for 2 of 4 classes"),
        (("", "a", "b", "c"), "toy, training tuples: word says '.*' in tuples of class 0, which is ''"),
    ],
)
def test_texts_that_cannot_say_their_class_are_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, classes: tuple[str, ...], said: str
) -> None:
    """Else every sample of the second class of one text would count as wrong."""
    whole = Toy().load(Path(), Path())
    *others, word = whole.spec.modalities
    spec = replace(whole.spec, modalities=(*others, replace(word, classes=classes, unprinted=(7,), separator="")))
    monkeypatch.setattr(Toy, "load", lambda *_: replace(whole, spec=spec))
    with pytest.raises(DataError, match=said):
        runner(home, "mute")[0].plan()


def test_a_setting_that_will_not_do_names_its_model(home: Path) -> None:
    settings = (*SETTINGS, "schedule.batch_size=1")
    with pytest.raises(ConfigError, match=r"^nexus: schedule\.batch_size .* must be at least 2, got 1$"):
        runner(home, "mute", models=("mvae", "nexus"), settings=settings)[0].plan()
