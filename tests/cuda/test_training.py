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
from mmbench_evaluation.precision import full_precision

from .cases import CASES, STEPS, build, data, differing, in_float32, weights

every_case = pytest.mark.parametrize(("model", "dataset"), [pytest.param(*case, id="-".join(case)) for case in CASES])


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
    parts, schedule = data("glyphs"), Schedule(steps=12, batch_size=64, lr=3e-3)
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


@contextmanager
def drawn_on_the_host(seed: int) -> Iterator[None]:
    """torch.rand, randn and randint inside draw from one CPU generator, whatever generator they are given: so the same
    numbers on every device."""
    own = torch.Generator().manual_seed(seed)

    def on_host(real: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def draws(*args: Any, device: Any = "cpu", **more: Any) -> Tensor:
            return real(*args, **{**more, "generator": own}).to(device)

        return draws

    with pytest.MonkeyPatch.context() as patch:
        for name in ("rand", "randn", "randint"):
            patch.setattr(torch, name, on_host(getattr(torch, name)))
        yield


def losses(model: Model, dataset: str) -> dict[str, tuple[float, dict[str, Tensor]]]:
    """Stage -> its loss on 32 tuples or fewer and the gradients, with draws that are the same on every device."""
    found, split = {}, data(dataset).train.to(model.device)
    for stage in model.stages():
        tuples = stage.prepare(split) if stage.prepare else split
        rows = torch.arange(min(32, len(tuples)), device=model.device)
        stage.module.train()
        for layer in stage.module.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.eval()
        model.zero_grad()
        with drawn_on_the_host(7), full_precision(model.device):
            loss = stage.loss(tuples.gather(rows, stage.modalities), torch.Generator(model.device))["loss"]
            loss.backward()
        gradients = {n: p.grad.cpu() for n, p in stage.module.named_parameters() if p.grad is not None}
        found[stage.name] = float(loss.detach()), gradients
        model.eval()
    return found


@every_case
def test_loss_and_gradients_are_those_of_a_cpu(model: str, dataset: str, device: torch.device) -> None:
    """From the same weights and draws, in full float32. TrivialAugment and dropout draw from the device's own state,
    and are left out."""
    pair = [in_float32(build(model, dataset, torch.device(where))) for where in ("cpu", device.type)]
    for made in pair:
        if hasattr(made, "config") and hasattr(made.config, "augment"):
            object.__setattr__(made.config, "augment", "none")
    host, other = (losses(made, dataset) for made in pair)
    for stage, (loss, gradients) in host.items():
        assert other[stage][0] == pytest.approx(loss, rel=1e-4), stage
        for name, gradient in gradients.items():
            error = (other[stage][1][name] - gradient).norm() / gradient.norm().clamp(min=1e-6)
            assert error < 5e-3, f"{stage}: {name}"


def test_modalities_of_the_cases_cover_every_network() -> None:
    networks = {m.network for _, name in CASES for m in data(name).spec.modalities}
    assert networks == {"mnist_mlp", "svhn_conv", "word_mlp", "cub_resnet", "caption_conv"}
