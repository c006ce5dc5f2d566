"""One metric's failure leaves the others' rows and names itself; what a metric declares reaches the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmbench import plugins, store
from mmbench.checks import toys
from mmbench.errors import StorageError, UnavailableError
from mmbench.metric import Quantity, Row

from .conftest import only
from .test_nothing_measured import SETTINGS, Loud, Mute, Toy, installed, row, runner

__all__ = ["installed"]

PLACES = ("prepare", "__init__", "wants", "update", "compute")


def failing(monkeypatch: pytest.MonkeyPatch, where: str, error: BaseException) -> None:
    def fail(*_: Any) -> None:
        raise error

    own: Any = classmethod(fail) if where == "prepare" else fail
    monkeypatch.setattr(Mute, where, own)
    kept = {"prepare": classmethod(lambda *_: None), "__init__": Mute.__mro__[1].__init__, "wants": lambda *_: 4}
    for name, method in {**kept, "update": lambda *_: None}.items():
        monkeypatch.setattr(Loud, name, method, raising=False)
    monkeypatch.setattr(Mute, "gives", [row()])


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("verb", ["run", "evaluate"])
def test_the_others_measure_on(home: Path, monkeypatch: pytest.MonkeyPatch, where: str, verb: str) -> None:
    failing(monkeypatch, where, KeyError("no such thing"))
    if verb == "evaluate":
        runner(home, "loud")[0].run()
    names = ("mute", "loud") if where in ("prepare", "update") else ("loud", "mute")
    one, notes = runner(home, *names, again=verb == "evaluate")
    outcome = one.run() if verb == "run" else one.evaluate()
    assert not outcome.failed
    (left,) = outcome.left_out
    assert left.startswith("mute: mute failed with KeyError: 'no such thing' (test_metric_faults.py:")
    assert {(r["plugin"], r["source"]) for r in only(home)["rows"]} >= {("loud", "model"), ("loud", "reconstruction")}
    assert set(only(home)["metrics"]) == {"loud"}
    assert any(line.startswith("mute is left out: ") for line in notes.said)
    assert verb == "evaluate" or set(only(home)["left_out"]) == {"mute"}


def test_a_metric_that_fails_on_the_samples_keeps_no_row_of_real_data(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a metric's rows are no measurement."""
    calls: list[int] = []

    def compute(self: Any) -> list[Row]:
        calls.append(1)
        if len(calls) > 1:
            raise ValueError("too late")
        return [row()]

    monkeypatch.setattr(Mute, "compute", compute)
    outcome = runner(home, "loud", "mute")[0].run()
    assert len(calls) > 1
    assert {r["plugin"] for r in only(home)["rows"]} == {"loud"}
    assert "too late" in outcome.left_out[0]


def test_where_all_fail_the_cell_fails(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "compute", ValueError("no idea"))
    ((_, reason),) = runner(home, "mute")[0].run().failed
    assert reason.startswith("mute failed with ValueError: no idea")


def test_a_full_disk_is_no_metrics_fault(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, "update", StorageError("the disk is full"))
    with pytest.raises(StorageError, match="the disk is full"):
        runner(home, "loud", "mute")[0].run()


def test_a_number_that_another_metric_gave_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mute, "gives", [row(metric="loud")])
    outcome = runner(home, "loud", "mute")[0].run()
    assert "mute: loud joint spot is given twice (loud gives it, too)" in outcome.left_out[0]
    assert len([r for r in only(home)["rows"] if r["metric"] == "loud" and r["source"] == "model"]) == 1


def test_what_will_not_do_is_refused_before_anything_is_measured(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mute, "bounds", (1.0, 0.0))
    monkeypatch.setattr(Loud, "bounds", (0.0, 1.0), raising=False)
    outcome = runner(home, "loud", "mute")[0].run()
    assert "mute: the bounds of 'mute' must be two numbers, the lower one first" in outcome.left_out[0]


def test_titles_and_groups_stand_in_the_cell_and_not_in_its_rows(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mute, "title", "Silence")
    monkeypatch.setattr(Mute, "quantities", {"hum": Quantity(bounds=(0, 1), higher_is_better=None, group="diversity")})
    monkeypatch.setattr(Mute, "gives", [row(), row(metric="hum")])
    runner(home, "mute")[0].run()
    assert only(home)["metrics"]["mute"]["quantities"] == {
        "mute": {"title": "Silence", "group": ""},
        "hum": {"title": "", "group": "diversity"},
    }
    assert set(only(home)["rows"][0]) == set(store.schema.RowRecord.__annotations__)


def test_a_default_metric_measures_new_cells_and_leaves_finished_ones(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mute, "gives", [row()])
    own = plugins.available
    mute = {"mute": plugins.Plugin("mute", "mute:X", "odd"), "fid": plugins.Plugin("fid", "x:FID", "odd")}
    monkeypatch.setattr(plugins, "available", lambda group: mute if group == plugins.METRICS else own(group))
    monkeypatch.setattr("mmbench_evaluation.fid.FID.default", False)
    runner(home, "loud")[0].run()
    monkeypatch.setattr(Mute, "default", True)
    monkeypatch.setattr(Loud, "default", False, raising=False)
    assert len(runner(home)[0].run().skipped) == 1
    assert set(only(home)["metrics"]) == {"loud"}, "a finished cell stays as it is"
    runner(home, settings=(*SETTINGS, "beta=3"))[0].run()
    runner(home, "loud", settings=(*SETTINGS, "beta=4"))[0].run()
    measured = {cell["config"]["beta"]: set(cell["metrics"]) for cell in store.gather(home / "results").cells}
    assert (measured[3.0], measured[4.0]) == ({"mute"}, {"loud"}), "whoever names metrics has these alone"


def test_the_word_default_stands_for_the_datasets_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmbench.cells.choosing import named

    spec = replace(toys()[0].spec, metrics=("loud", "coherence"))
    for asked, expected in {
        (): ["loud", "coherence"],
        ("default", "mute"): ["loud", "coherence", "mute"],
        ("mute", "loud", "default"): ["mute", "loud", "coherence"],
        ("mute",): ["mute"],
    }.items():
        assert named(runner(home, *asked)[0].request, spec, new=False) == expected


@pytest.mark.parametrize(("error", "told"), [(KeyError("x"), True), (UnavailableError("no weights"), False)])
def test_a_failure_is_an_error_though_nobody_named_the_metric(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: bool
) -> None:
    """Lacking weights are none: the dataset's own metrics may need what is not here."""
    failing(monkeypatch, "update", error)
    whole = toys()[1]
    data = replace(whole, spec=replace(whole.spec, name="toy", metrics=("mute", "loud")))
    monkeypatch.setattr(Toy, "load", lambda *_: data)
    outcome = runner(home)[0].run()
    assert set(only(home)["metrics"]) == {"loud"}
    assert bool(outcome.left_out) == told
