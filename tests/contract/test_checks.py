"""The conformance suite finds faults: a sound model passes, a wrong one fails the check that names its fault."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from mmbench.checks import CHECKS, CheckResult, check_model, parametrize_with_checks, run_checks, toys
from mmbench.modality import DatasetSpec
from mmbench.model import Model
from mmbench.networks import Networks

from .faults import building, dependence, generating, incomplete, sampling, stages, training
from .faults.generating import DrawsGlobally, SeedsGlobally
from .faults.sampling import NoiseOfTheBatch
from .faults.training import NaNGradient
from .tiny import Tiny

PARTS = (building, stages, training, incomplete, dependence, generating, sampling)
FAULTS = {model: fault for part in PARTS for model, fault in part.FAULTS.items()}
SOUND = (Tiny, *training.SOUND, *dependence.SOUND, *incomplete.SOUND)


def test_every_check_has_a_model_that_fails_it() -> None:
    assert {name for name, _ in FAULTS.values()} == set(CHECKS)


def failed(results: Sequence[CheckResult]) -> dict[str, str]:
    return {r.name: r.message for r in results if r.outcome == "failed"}


@pytest.mark.parametrize("model", SOUND, ids=lambda m: m.__name__)
def test_a_sound_model_passes_every_check(model: type[Model]) -> None:
    results = check_model(model)
    assert [r.name for r in results] == list(CHECKS)
    assert all(r.passed and r.ok for r in results), failed(results)


@pytest.mark.parametrize("model", FAULTS, ids=lambda m: m.__name__)
def test_a_fault_fails_the_check_that_names_it(model: type[Model]) -> None:
    name, message = FAULTS[model]
    found = failed(check_model(model))
    assert list(found) == [name], found
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(found[name])


def test_a_gradient_that_is_not_finite_is_named() -> None:
    """The parameter is NaN after a step, so that later checks fail too."""
    assert "'unused' gets a gradient that is not finite" in failed(check_model(NaNGradient))["gradients"]


def test_prerequisites_come_first_and_exist() -> None:
    for check in CHECKS.values():
        assert set(check.needs) <= set(CHECKS)
        assert check.title[0].isupper() or check.title.startswith("`")


def test_the_rest_of_a_failure_is_skipped_with_a_reason() -> None:
    by_name = {r.name: r for r in run_checks(DrawsGlobally)}
    assert by_name["same_seed"].outcome == "skipped"
    assert "'random_state' must pass first" in by_name["same_seed"].line()
    assert by_name["learning"].passed


def test_an_unknown_model_is_a_failure_and_no_crash() -> None:
    results = check_model("mdl")
    assert failed(results) == {"class": results[0].message}
    assert "did you mean 'mld'?" in results[0].message


def test_nothing_of_the_callers_changes() -> None:
    def state() -> list[str]:
        return [repr(x) for x in (torch.get_rng_state().tolist(), np.random.get_state(), random.getstate())]

    before, threads = state(), torch.get_num_threads()
    check_model(SeedsGlobally)
    assert state() == before
    assert torch.get_num_threads() == threads


# ---------------------------------------------------------------- known failures


class KnownFault(NoiseOfTheBatch):
    known_failures: ClassVar[Mapping[str, str]] = {"batch_cut": "the paper's code draws by batch"}


class NoLongerFails(Tiny):
    known_failures: ClassVar[Mapping[str, str]] = {"batch_cut": "was so once"}


class KnowsAStrangeCheck(Tiny):
    known_failures: ClassVar[Mapping[str, str]] = {"batch_cuts": "a slip of the pen"}


def test_a_known_failure_is_as_expected() -> None:
    result = next(r for r in run_checks(KnownFault) if r.name == "batch_cut")
    assert (result.passed, result.ok, result.known) == (False, True, "the paper's code draws by batch")
    assert result.line().startswith("known   batch_cut")


def test_a_known_failure_that_passes_is_reported() -> None:
    (result,) = [r for r in run_checks(NoLongerFails) if not r.ok]
    assert result.name == "batch_cut"
    assert "remove the entry" in result.line()


def test_a_known_failure_must_name_a_check() -> None:
    assert "batch_cuts" in failed(check_model(KnowsAStrangeCheck))["class"]


def test_check_settings_shrink_a_model() -> None:
    class Small(Tiny):
        check_settings = ("latent=2",)

        def __init__(self, dataset: DatasetSpec, config: Any, networks: Networks) -> None:
            super().__init__(dataset, config, networks)
            assert config.latent == 2

    assert all(r.passed for r in run_checks(Small))


# ---------------------------------------------------------------- pytest


@parametrize_with_checks([Tiny, KnownFault])
def test_in_pytest(model: type[Model], check: Callable[[type[Model]], None], request: pytest.FixtureRequest) -> None:
    assert model.__name__ in request.node.name
    if model is KnownFault and "batch_cut" in request.node.name:
        with pytest.raises(pytest.xfail.Exception, match="the paper's code"):
            check(model)
    else:
        check(model)


@pytest.mark.parametrize(
    ("model", "name", "outcome"),
    [
        (NoiseOfTheBatch, "batch_cut", pytest.fail.Exception),
        (NoLongerFails, "batch_cut", pytest.fail.Exception),
        (DrawsGlobally, "batch_cut", pytest.skip.Exception),
    ],
)
def test_outcomes_in_pytest(model: type[Model], name: str, outcome: type[BaseException]) -> None:
    cases = parametrize_with_checks([model]).args[1]
    check = next(case.values[1] for case in cases if case.id == f"{model.__name__}-{name}")
    with pytest.raises(outcome):
        check(model)


# ---------------------------------------------------------------- toys


def test_toys_share_a_factor_and_are_stable() -> None:
    for data, again in zip(toys(), toys(), strict=True):
        assert data.fingerprint == again.fingerprint
        batch = data.train.gather(torch.arange(len(data.train)))
        labels = data.train.labels
        assert labels is not None
        for modality in data.spec.modalities:
            x = batch[modality.name].float().flatten(1)
            centres = torch.stack([x[labels == k].mean(0) for k in range(data.spec.classes)])
            assert torch.equal(torch.cdist(x, centres).argmin(1), labels), modality.name


def test_the_toys_have_two_and_three_modalities_with_a_text() -> None:
    two, three = (data.spec.modalities for data in toys())
    assert [m.is_text for m in two] == [False, False]
    assert [m.is_text for m in three] == [False, False, True]
    assert two[0].shape != two[1].shape
