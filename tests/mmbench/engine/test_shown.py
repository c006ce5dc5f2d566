"""Sample files say of which classes their tuples are, so that grids show different ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from mmbench.cells.shown import labelled
from mmbench.metric import Bench


def bench(labels: torch.Tensor | None) -> Bench:
    test: Any = SimpleNamespace(labels=labels)
    return cast(Bench, SimpleNamespace(dataset=SimpleNamespace(test=test), order=torch.tensor([2, 0, 1, 3])))


def test_labels_are_in_the_order_of_evaluation() -> None:
    samples = {"joint/target/a": np.zeros((3, 1, 2, 2), np.uint8)}
    found = labelled(samples, bench(torch.tensor([5, 6, 7, 8])))
    assert found["labels"].tolist() == [7, 5, 6]
    assert found["joint/target/a"] is samples["joint/target/a"]


@pytest.mark.parametrize("samples", [{}, {"joint/target/a": np.zeros((3, 1, 2, 2), np.uint8)}], ids=["none", "some"])
def test_nothing_is_added_where_there_is_nothing_to_say(samples: dict[str, np.ndarray]) -> None:
    assert labelled(samples, bench(None)).keys() == samples.keys()
    assert not labelled({}, bench(torch.tensor([1, 2, 3, 4])))
