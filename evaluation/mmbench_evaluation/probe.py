"""A linear probe of the joint representation of models that have one (`mmbench.abilities.Representing`).

Multinomial logistic regression from the standardised representation to the class, fitted on training tuples with a
small L2 penalty until it converges, and measured on test tuples: how much of the class is there to be read linearly.

Reference: Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmbench.abilities import Representing
from mmbench.data.dataset import Split
from mmbench.errors import PluginError, UnavailableError
from mmbench.metric import Bench, Metric, Row
from mmbench.modality import DatasetSpec, Task
from mmbench.model import Model

from .intervals import Clustered, shared_items

__all__ = ["LinearProbe", "fitted"]

TRAINED = 5000
"""Training tuples at most."""
PENALTY = 1e-3
"""Of the weights' squares, beside the mean cross-entropy."""
BATCH = 500


def fitted(x: Tensor, labels: Tensor, classes: int, penalty: float = PENALTY) -> tuple[Tensor, Tensor]:
    """Weights (D, classes) and biases (classes,) that minimise the mean cross-entropy of x (N, D), labels (N,), plus
    penalty / 2 times the sum of the squared weights, in float64. The problem is convex: nothing is drawn."""
    x = x.double()
    weights = torch.zeros(x.shape[1], classes, dtype=torch.float64, requires_grad=True)
    biases = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([weights, biases], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-7)

    def loss() -> Tensor:
        search.zero_grad()
        value = cross_entropy(x @ weights + biases, labels) + penalty / 2 * weights.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        search.step(loss)  # type: ignore[arg-type]
    return weights.detach(), biases.detach()


class LinearProbe(Metric):
    """Accuracy of a linear classifier on the joint representation of models that have one, on test tuples, in %.

    Tuples that share an item are a cluster (`intervals`)."""

    name: ClassVar[str] = "linear_probe"
    higher_is_better: ClassVar[bool | None] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 100.0)
    unit: ClassVar[str] = "%"
    title: ClassVar[str] = "Linear probe"
    group: ClassVar[str] = "representation"
    paired: ClassVar[bool] = True
    of_model: ClassVar[bool] = True

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._right = Clustered()

    @classmethod
    def unfit(cls, dataset: DatasetSpec) -> str:
        if not dataset.classes:
            return "the data have no class labels"
        said = next((m.name for m in dataset.modalities if m.classes), "")
        return f"the text {said!r} says the class, so every joint representation may hold it" if said else ""

    def wants(self, task: Task) -> int:
        return 0

    def update(self, task: Task, samples: Mapping[str, Tensor], rows: Tensor) -> None:
        return

    @torch.no_grad()
    def examine(self, model: Model) -> None:
        if not isinstance(model, Representing):
            raise UnavailableError(f"{type(model).__name__} offers no representation (mmbench.abilities.Representing)")
        data, count = self.bench.dataset, self.bench.protocol.count
        x, labels = _represented(model, data.train, data.train.spread(TRAINED))
        mean, std = x.mean(0), x.std(0).clamp(min=1e-6)
        weights, biases = fitted((x - mean) / std, labels, data.spec.classes)
        rows = self.bench.order[:count]
        x, labels = _represented(model, data.test, rows)
        read = (((x - mean) / std).double() @ weights + biases).argmax(1)
        self._right.add(read == labels, shared_items(data.spec, data.test, rows, data.spec.names))

    def compute(self) -> list[Row]:
        if not self._right.count:
            return []
        low, high = self._right.share_interval()
        row = Row(
            metric=self.name,
            task=Task((), ()).name,
            modality="+".join(self.bench.dataset.spec.names),
            value=100.0 * self._right.mean,
            count=self._right.count,
            judge="logistic regression",
            higher_is_better=True,
            unit=self.unit,
            interval=(100.0 * low, 100.0 * high),
        )
        return [row]


def _represented(model: Model, split: Split, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The representation (N, d) and the classes (N,) of tuples, on the CPU."""
    assert isinstance(model, Representing)
    assert split.labels is not None  # of a dataset that has classes
    parts = []
    for part in rows.split(BATCH):
        batch = {name: x.to(model.device) for name, x in split.gather(part).items()}
        found = model.represent(batch).float().cpu()
        if found.ndim != 2 or len(found) != len(part) or not torch.isfinite(found).all():
            raise PluginError(f"represent must return finite vectors ({len(part)}, d), got {tuple(found.shape)}")
        parts.append(found)
    return torch.cat(parts), split.labels[rows.to(split.labels.device)].cpu()
