"""Training on a GPU: it learns, it repeats itself, it goes on where it was cut, it computes what a CPU computes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmbench.config import Schedule
from mmbench.model import Model, draw
from mmbench.progress import Progress
from mmbench.seeding import generator
from mmbench.store import Artefacts
from mmbench.training import Checkpoints, Keeper, train
from mmbench_evaluation.classifiers import LeNet, train_judge

from .cases import CASES, STEPS, build, data, differing, every_case, weights


def trained(model: Model, dataset: str, **more: Any) -> dict[str, Any]:
    device, parts = model.device, data(dataset)
    return train(model, parts.train.to(device), parts.validation, seed=0, **more)


@every_case
def test_a_model_trains_and_generates(model: str, dataset: str, tuned: torch.device) -> None:
    made = build(model, dataset, tuned)
    before = weights(made)
    for name, record in trained(made, dataset).items():
        assert record.steps == STEPS[dataset], name
        assert np.isfinite(record.history["loss"]).all(), name
    still = [name for name, p in made.named_parameters() if torch.equal(p.detach().cpu(), before[name])]
    assert still == [], "parameters that no step has moved"
    assert {t.device.type for t in made.state_dict().values()} == {tuned.type}
    test = data(dataset).test.gather(torch.arange(20))
    for task in data(dataset).spec.tasks():
        given = {name: test[name] for name in task.given}
        samples = draw(made, given, task.targets, count=20, generator=generator(0, "test"))
        assert {name: len(values) for name, values in samples.items()} == dict.fromkeys(task.targets, 20)


@every_case
def test_the_same_seed_gives_the_same_weights(model: str, dataset: str, tuned: torch.device) -> None:
    runs = []
    for _ in range(2):
        made = build(model, dataset, tuned)
        trained(made, dataset)
        runs.append(weights(made))
    assert differing(*runs) == []


class Interrupting(Progress):
    """Sends Ctrl-C when `after` points of the history have passed."""

    def __init__(self, after: int) -> None:
        self.left = after

    @contextmanager
    def phase(self, *_: Any, **__: Any) -> Iterator[Callable[..., None]]:
        yield self._advance

    def _advance(self, *_: Any, **__: Any) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


def keeper(folder: Path, owner: str) -> Keeper:
    return Keeper(artefacts=Artefacts(folder), identity={"data": owner}, config={}, owner=owner)


@every_case
def test_resumed_is_the_same_as_uninterrupted(model: str, dataset: str, tuned: torch.device, tmp_path: Path) -> None:
    """Cut in the last stage: of MLD, the score network's."""
    whole, cut, resumed = (build(model, dataset, tuned) for _ in range(3))
    trained(whole, dataset)
    after = STEPS[dataset] * len(whole.stages()) - 2
    with pytest.raises(KeyboardInterrupt):
        trained(cut, dataset, keeper=keeper(tmp_path, model), progress=Interrupting(after))
    assert list(tmp_path.glob("stage/*/training.safetensors")), "a checkpoint was written"
    trained(resumed, dataset, keeper=keeper(tmp_path, model))
    assert differing(weights(whole), weights(resumed)) == []


def judged(device: torch.device, seed: int = 0, **more: Any) -> Mapping[str, Tensor]:
    parts, schedule = data("glyphs_street"), Schedule(steps=12, batch_size=64, lr=3e-3)
    split, sign = parts.train.to(device), parts.spec.modality("sign")
    return weights(train_judge(LeNet, split, sign, 10, schedule, seed, **more))


def test_a_judge_repeats_itself(tuned: torch.device) -> None:
    """With its dropout, whose masks come from the device's own random state."""
    assert differing(judged(tuned), judged(tuned)) == []
    assert differing(judged(tuned), judged(tuned, 1)) != []


def test_a_judge_goes_on_where_it_was_cut(tuned: torch.device, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        judged(tuned, progress=Interrupting(5), checkpoints=Checkpoints(tmp_path, print))
    resumed = judged(tuned, checkpoints=Checkpoints(tmp_path, print))
    assert differing(judged(tuned), resumed) == []


def test_modalities_of_the_cases_cover_every_network() -> None:
    networks = {m.network for _, name in CASES for m in data(name).spec.modalities}
    assert networks == {"mnist_mlp", "svhn_conv", "word_mlp", "cub_resnet", "caption_conv"}
