"""mmbench check tells models from metrics, installed or not."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmbench.checks import CHECKS, check_metric
from mmbench.cli import app
from mmbench.errors import PluginError

OWN = '''
from mmbench.metric import Metric, Row


class Dark(Metric):
    """The share of dark pixels of the first image."""

    name, higher_is_better, bounds = "dark", None, (0.0, 1.0)

    def __init__(self, bench):
        super().__init__(bench)
        self.image, self.dark, self.all = bench.dataset.spec.names[0], {}, {}

    def wants(self, task):
        return 50 if self.image in task.targets else 0

    def update(self, task, samples, rows):
        x = samples[self.image]
        self.dark[task] = self.dark.get(task, 0) + int((x < 0.5).sum())
        self.all[task] = self.all.get(task, 0) + x.numel()

    def compute(self):
        return [Row(metric="dark", task=t.name, modality=self.image, value=self.dark[t] / self.all[t], count=50,
                    judge="exact", higher_is_better=None) for t in self.all]


class Wrong(Dark):
    bounds = (0.0, 0.001)
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "metric_of_the_check.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)


def test_a_metric_that_is_not_installed_is_checked(here: None) -> None:
    done = CliRunner().invoke(app, ["check", "metric_of_the_check:Dark"])
    assert done.exit_code == 0, done.output
    assert "tells nothing apart, not collapsed or shuffled" in done.output


def test_a_fault_is_named_and_the_exit_code_is_1(here: None) -> None:
    done = CliRunner().invoke(app, ["check", "metric_of_the_check:Wrong"])
    assert done.exit_code == 1
    (line,) = [line for line in done.output.splitlines() if line.startswith("FAILED")]
    assert line.startswith("FAILED  rows ")
    assert "out of the bounds 0 to 0.001 that it declares" in line


@pytest.mark.parametrize(("name", "near"), [("coherenc", "coherence"), ("mdl", "mld")])
def test_an_unknown_name_is_near_a_model_or_a_metric(name: str, near: str) -> None:
    done = CliRunner().invoke(app, ["check", name])
    assert isinstance(done.exception, PluginError)
    assert f"there is no model, metric or network {name!r}; did you mean {near!r}?" in str(done.exception)


def test_what_waits_for_a_failure_is_one_line(here: None) -> None:
    done = CliRunner().invoke(app, ["check", "metric_of_the_check:Row"])
    assert done.exit_code == 1
    first, second, last = done.output.splitlines()
    assert first.startswith("FAILED  class ")
    assert second == f"{len(CHECKS) - 1} checks not run because 'class' failed"
    assert last == "1 failed"


def test_a_check_waits_for_the_one_that_failed_and_not_for_another_that_waits() -> None:
    results = check_metric("no_such_module:Metric")
    assert {result.waits_for for result in results[1:]} == {"class"}
