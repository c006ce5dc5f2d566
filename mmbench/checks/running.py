"""Running the checks of a model or a metric: results, prerequisites, known failures; in Python and in pytest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch

from ..data.dataset import DatasetSource
from ..described import described
from ..metric import Metric
from ..modality import Modality
from ..model import Model
from ..networks import Architecture
from ..networks.fitting import REFERENCES
from ..plugins import label
from ..untouched import staying
from .dataset_rules import DATASET_CHECKS
from .dataset_subject import DatasetSubject
from .metric_rules import METRIC_CHECKS
from .metric_subject import MetricSubject
from .network_rules import NETWORK_CHECKS, NetworkSubject
from .randomness import random_states, set_random_states
from .real_rules import REAL_CHECKS, RealSubject
from .rule import Check, cause
from .rules import CHECKS
from .subject import Subject
from .toys import toys

__all__ = [
    "CheckResult",
    "check_dataset",
    "check_metric",
    "check_model",
    "check_network",
    "parametrize_with_checks",
    "run_checks",
    "run_dataset_checks",
    "run_metric_checks",
    "run_real_checks",
]


@described
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What one check found."""

    name: str
    title: str
    """The rule as a sentence."""
    outcome: Literal["passed", "failed", "skipped"]
    message: str = ""
    """Of a failure: where, and what to change. Of a skipped check: which check must pass first. Of a passed one: what
    was found."""
    known: str = ""
    """The reason stated in `Model.known_failures`, empty for none."""
    waits_for: str = ""
    """Of a skipped check: the check that failed, on which it depends."""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"

    @property
    def ok(self) -> bool:
        """As expected: passed, or failed as `known_failures` says. A known failure that passes is not as expected."""
        return self.outcome == "skipped" or self.passed != bool(self.known)

    def line(self) -> str:
        """The result as one line of text: what was found, the check, and the rule or what to change."""
        word = "known" if self.known and self.ok else "ok" if self.ok else "FAILED"
        if self.outcome == "skipped":
            word = "skipped"
        text = f"{self.known} ({self.message})" if word == "known" else self.message or self.title
        return f"{word:8}{self.name:24}{text}"


class _Suite:
    """All checks of one model or metric; results are kept, and a check's prerequisites are run before it."""

    def __init__(self, subjects: Sequence[Any], checks: Mapping[str, Check]) -> None:
        self.subjects, self.checks = subjects, checks
        self._results: dict[str, CheckResult] = {}

    def result(self, name: str) -> CheckResult:
        if name not in self._results:
            self._results[name] = self._run(self.checks[name])
        return self._results[name]

    def _run(self, check: Check) -> CheckResult:
        lacking = [need for need in check.needs if not self.result(need).passed]
        if lacking:
            root = self.result(lacking[0]).waits_for or lacking[0]
            message = f"not run: {root!r} must pass first"
            return CheckResult(name=check.name, title=check.title, outcome="skipped", message=message, waits_for=root)
        start, known = time.perf_counter(), self._known(check.name)
        fault, remark = self._verdict(check)
        outcome, message = "failed" if fault else "passed", fault or remark
        if known and not fault:
            message = f"passes although known_failures says that it fails ({known}); remove the entry"
        facts: dict[str, Any] = {"known": known, "seconds": time.perf_counter() - start}
        return CheckResult(name=check.name, title=check.title, outcome=outcome, message=message, **facts)

    def _verdict(self, check: Check) -> tuple[str, str]:
        """The first subject's failure, and what is told where there is none."""
        found = ("", "")
        for subject in self.subjects:
            found = _verdict(check, subject)
            if found[0]:
                break
        return found

    def _known(self, name: str) -> str:
        cls = self.subjects[0].__dict__.get("cls")
        known = getattr(cls, "known_failures", {})
        return str(known.get(name, "")) if isinstance(known, Mapping) else ""


def _verdict(check: Check, subject: Any) -> tuple[str, str]:
    """The message of a failure, '' for none, and what is told where there is none."""
    try:
        with _isolated():
            return "", check.function(subject) or ""
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a stranger's model may raise anything, SystemExit too
        return (f"{subject.spec.title}: {cause(error)}" if _staged(check, subject) else cause(error)), ""
    finally:
        if "trial" in subject.__dict__:
            subject.trained.eval()


def _staged(check: Check, subject: Any) -> bool:
    """Whether a check is about one toy."""
    return bool(check.needs) and (isinstance(subject, Subject) or "bench" in vars(subject))


@contextmanager
def _isolated() -> Iterator[None]:
    """The caller's random state outlives what happens inside, and so does Python, whatever a model asks for. It runs in
    one thread: on so small tensors, several threads only wait for each other."""
    states, threads = random_states(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with staying():
            yield
    finally:
        torch.set_num_threads(threads)
        set_random_states(states)


def run_checks(model: str | type[Model]) -> Iterator[CheckResult]:
    """The results of all checks, each as soon as it is known. A model that cannot be loaded fails the check 'class'.

    Arguments:
        model: a class, the name of a plugin, or 'module:Class'.
    """
    suite = _suite_of(model)
    return (suite.result(name) for name in CHECKS)


def run_metric_checks(metric: str | type[Metric]) -> Iterator[CheckResult]:
    """`run_checks` of a metric. One that cannot be loaded fails the check 'class'."""
    suite = _Suite([MetricSubject(metric)], METRIC_CHECKS)
    return (suite.result(name) for name in METRIC_CHECKS)


def check_metric(metric: str | type[Metric]) -> list[CheckResult]:
    """`run_metric_checks` as a list; raises nothing."""
    return list(run_metric_checks(metric))


def check_network(network: str | Architecture, modalities: Sequence[Modality] = REFERENCES) -> list[CheckResult]:
    """The results of all checks of a network, at the modalities that it is made for; raises nothing.

    Arguments:
        network: the name of a plugin, 'module:NAME', or an Architecture.
    """
    with _isolated():
        suite = _Suite([NetworkSubject(network, modalities)], NETWORK_CHECKS)
        return [suite.result(name) for name in NETWORK_CHECKS]


def run_dataset_checks(dataset: str | type[DatasetSource], root: str | Path = "data") -> Iterator[CheckResult]:
    """`run_checks` of a dataset: a name, 'module:Class', a file that describes it, or its class; `root` is the data
    root."""
    suite = _Suite([DatasetSubject(dataset, Path(root))], DATASET_CHECKS)
    return (suite.result(name) for name in DATASET_CHECKS)


def check_dataset(dataset: str | type[DatasetSource], root: str | Path = "data") -> list[CheckResult]:
    """`run_dataset_checks` as a list; raises nothing."""
    return list(run_dataset_checks(dataset, root))


def run_real_checks(
    model: str | type[Model], dataset: str | type[DatasetSource], root: str | Path = "data"
) -> Iterator[CheckResult]:
    """Whether a model can be built on a dataset, trained for two steps, and sampled."""
    suite = _Suite([RealSubject(model, DatasetSubject(dataset, Path(root)))], REAL_CHECKS)
    return (suite.result(name) for name in REAL_CHECKS)


def _suite_of(model: str | type[Model]) -> _Suite:
    with _isolated():
        return _Suite([Subject(model, data) for data in toys()], CHECKS)


def check_model(model: str | type[Model]) -> list[CheckResult]:
    """`run_checks` as a list; raises nothing. All is well if `all(result.ok for result in results)`."""
    return list(run_checks(model))


def parametrize_with_checks(models: Sequence[str | type[Model]]) -> Any:
    """A pytest decorator: one test per model and check, with ids such as 'mld-conditions_used'.

    The test takes `model` and `check` and calls `check(model)`. A known failure is an expected one (xfail), and fails
    the test when it passes; a check whose prerequisite fails is skipped.
    """
    import pytest

    cases = [
        pytest.param(model, _pytest_check(name), id=f"{_identifier(model)}-{name}")
        for model in models
        for name in CHECKS
    ]
    return pytest.mark.parametrize(("model", "check"), cases)


def _identifier(model: str | type[Model]) -> str:
    return label(model) if isinstance(model, str) else model.__name__


def _pytest_check(name: str) -> Callable[[str | type[Model]], None]:
    def check(model: str | type[Model]) -> None:
        import pytest

        result = _suite(model).result(name)
        if result.outcome == "skipped":
            pytest.skip(result.message)
        if result.known and result.ok:
            pytest.xfail(f"{result.known}: {result.message}")
        if not result.ok:
            pytest.fail(result.message, pytrace=False)

    return check


@lru_cache(maxsize=1)
def _suite(model: str | type[Model]) -> _Suite:
    """The suite of the model that pytest is at."""
    return _suite_of(model)
