"""Features by name: a judge's, Inception's, a stranger's; and what a metric compares with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench import plugins
from mmbench.errors import PluginError
from mmbench.metric import Bench
from mmbench_evaluation.classifiers import judge

from .conftest import MakeBench


class Means:
    """Mean and largest value of a sample."""

    batch, name, identity = 7, "means", "1"

    def features(self, x: Tensor) -> Tensor:
        flat = x.float().flatten(1)
        assert len(flat) <= self.batch
        return torch.stack((flat.mean(1), flat.amax(1)), dim=1)


@pytest.fixture
def means(monkeypatch: pytest.MonkeyPatch) -> None:
    own = plugins.load

    def load(group: str, name: str, base: Any = None) -> Any:
        return (lambda bench, modality: Means()) if name == "means" else own(group, name, base)

    monkeypatch.setattr(plugins, "load", load)


def test_a_strangers_features_come_in_its_batches(make_bench: MakeBench, means: None) -> None:
    bench, x = make_bench(), torch.rand(20, 1, 16, 16)
    assert torch.equal(
        bench.features("grey", x, by="means"), torch.stack((x.flatten(1).mean(1), x.flatten(1).amax(1)), 1)
    )


def test_real_features_are_those_of_the_evaluated_tuples(make_bench: MakeBench, means: None) -> None:
    bench = make_bench()
    x = bench.dataset.test.gather(bench.order[:30], ("colour",))["colour"]
    assert torch.equal(bench.real("colour", 30), x)
    found = bench.real_features("colour", by="means", count=30)
    assert torch.equal(found, Means.features(Means(), x[:7]).new_tensor([[i.mean(), i.max()] for i in x]))
    assert bench.real_features("colour", by="means", count=30) is found, "looked at once"
    assert len(bench.real_features("colour", by="means")) == len(bench.order)


def test_a_judges_features_are_the_judges(judged: MakeBench) -> None:
    bench: Bench = judged()
    x = torch.rand(5, 1, 16, 16)
    assert torch.equal(bench.features("grey", x), x.flatten(1)), "the oracle's: all values"
    assert bench.extractor("grey") is judge(bench, "grey")


def test_judges_are_those_of_all_data(make_bench: MakeBench) -> None:
    """A bench without a floor's data lends the very judge that coherence has, and trains none on what is left."""
    whole = make_bench(epochs=1)
    part = replace(whole, dataset=replace(whole.dataset, test=whole.dataset.test.take(torch.arange(40))), origin=whole)
    assert judge(part, "grey") is judge(whole, "grey")


@pytest.mark.parametrize(
    ("modality", "by", "said"),
    [
        ("grey", "jugde", "there is no extractor 'jugde'; did you mean 'judge'"),
        ("gray", "judge", "bars has no modality 'gray'; did you mean 'grey'"),
        ("grey", "inception", "Inception sees images of three channels, and 'grey' is none"),
        ("word", "inception", "Inception sees images of three channels, and 'word' is none"),
        ("word", "judge", "the judge 'exact' has no features"),
    ],
)
def test_what_has_no_features_is_refused_in_a_sentence(
    make_bench: MakeBench, modality: str, by: str, said: str
) -> None:
    bench = make_bench()
    with pytest.raises(Exception, match=said) as caught:
        bench.features(
            modality, torch.zeros(2, 4, dtype=torch.int64) if modality == "word" else torch.zeros(2, 1, 16, 16), by
        )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "said"), [(torch.zeros(3), "a finite row"), (torch.full((4, 2), torch.nan), "a finite row")]
)
def test_odd_features_are_refused(
    make_bench: MakeBench, means: None, monkeypatch: pytest.MonkeyPatch, answer: Tensor, said: str
) -> None:
    monkeypatch.setattr(Means, "features", lambda self, x: answer)
    with pytest.raises(PluginError, match=said):
        make_bench().features("grey", torch.zeros(4, 1, 16, 16), by="means")
