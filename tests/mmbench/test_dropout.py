"""Layers that take no generator (dropout) and layers with running statistics, through the harness's training loop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pytest
import torch
from torch import nn

from mmbench.config import Schedule
from mmbench.data.dataset import Split
from mmbench.likelihoods import nll, reconstruction_skills, token_accuracy
from mmbench.modality import DatasetSpec, Modality
from mmbench.model import Model, Stage
from mmbench.networks import Networks, in_parts
from mmbench.seeding import seeded_globally, seeded_init
from mmbench.store import Artefacts
from mmbench.training import Keeper, train

IMAGE = Modality(name="image", shape=(3, 8, 8), network="cub_resnet", latent=3)
CAPTION = Modality(
    name="caption",
    shape=(4,),
    network="caption_conv",
    latent=3,
    likelihood="categorical",
    vocabulary=tuple("abcdefg"),
    unprinted=(1,),
)
SPEC = DatasetSpec(name="tiny_birds", title="Tiny birds", modalities=(IMAGE, CAPTION))
SCHEDULE = Schedule(steps=8, batch_size=8, lr=1e-3, ema=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    schedule: Schedule = SCHEDULE


class Pair(Model):
    """Two autoencoders, one of them with dropout and BatchNorm; it stops, as if by Ctrl-C, after `alive` steps."""

    Config = Config

    def __init__(self) -> None:
        super().__init__()
        self.dataset, self.alive = SPEC, 10**9
        networks = Networks()
        self.encoders = nn.ModuleDict({m.name: networks.encoder(m, 3, 1) for m in SPEC.modalities})
        self.decoders = nn.ModuleDict({m.name: networks.decoder(m, 3) for m in SPEC.modalities})

    @classmethod
    def build(cls, dataset: DatasetSpec, config: Any, networks: Networks) -> Self:
        return cls()

    def loss(self, batch: Any, generator: torch.Generator) -> dict[str, torch.Tensor]:
        if not self.alive:
            raise KeyboardInterrupt
        self.alive -= 1
        terms = [
            nll(m, self.decoders[m.name](*self.encoders[m.name](batch[m.name])), batch[m.name])
            for m in (IMAGE, CAPTION)
        ]
        return {"loss": sum(terms, torch.zeros(())).mean()}

    def stages(self) -> list[Stage]:
        return [Stage(name="both", module=self, schedule=SCHEDULE, loss=self.loss)]

    def generate(self, given: Any, targets: Any, *, count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {}


def data() -> Split:
    rng = torch.Generator().manual_seed(0)
    items = {
        "image": torch.randint(256, (24, 3, 8, 8), generator=rng, dtype=torch.uint8),
        "caption": torch.randint(7, (24, 4), generator=rng, dtype=torch.int16),
    }
    return Split(items, torch.arange(24)[:, None].expand(24, 2).contiguous())


def pair(alive: int = 10**9) -> Pair:
    with seeded_init(0):
        model = Pair()
    model.alive = alive
    return model


def keeper(folder: Any) -> Keeper:
    return Keeper(artefacts=Artefacts(folder), identity={}, config={}, owner="toy")


def same(a: Model, b: Model) -> bool:
    """Parameters, and buffers: running means, variances and counters."""
    left, right = a.state_dict(), b.state_dict()
    return all(torch.equal(left[name], right[name]) for name in left)


def test_dropout_is_seeded_and_the_global_state_kept() -> None:
    before = torch.get_rng_state()
    models = [pair() for _ in range(3)]
    for model, seed in zip(models, (5, 5, 6), strict=True):
        train(model, data(), data(), seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(3)  # where the global state stands must not matter
        before = torch.get_rng_state()
    assert same(models[0], models[1])
    assert not same(models[0], models[2])


def test_each_step_drops_other_values() -> None:
    """The same batch under the same generator, but another step: another loss. In eval mode: the same."""
    losses = []
    model = pair()
    for seed in (1, 1, 2):
        with seeded_globally(seed):
            losses.append(float(model.loss(data().gather(torch.arange(8)), torch.Generator())["loss"].detach()))
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("alive", [1, 5])
def test_interrupted_and_resumed_is_the_same_as_uninterrupted(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, alive: int
) -> None:
    """With dropout, BatchNorm's statistics and counters, and weights whose channels lie last in memory."""
    monkeypatch.setattr("mmbench.training.loop.CHECKPOINT_SECONDS", -1.0)  # after every step
    whole, cut, resumed = pair(), pair(alive), pair()
    train(whole, data(), data(), seed=3, keeper=keeper(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(cut, data(), data(), seed=3, keeper=keeper(tmp_path / "cut"))
    train(resumed, data(), data(), seed=3, keeper=keeper(tmp_path / "cut"))
    assert resumed.alive == 10**9 - (SCHEDULE.total_steps(24) - alive), "the finished steps were not repeated"
    assert same(whole, resumed)
    assert whole.state_dict()["encoders.caption.body.1.skip.1.num_batches_tracked"] == SCHEDULE.steps


def test_running_statistics_are_kept_and_used(tmp_path: Any) -> None:
    """A finished model, loaded: the same statistics; and eval mode does not look at the batch."""
    first, second = pair(), pair()
    train(first, data(), data(), seed=0, keeper=keeper(tmp_path))
    train(second, data(), data(), seed=0, keeper=keeper(tmp_path))
    assert same(first, second)
    assert not second.training
    tokens = data().items["caption"].long()
    (whole,) = second.encoders["caption"](tokens)
    (alone,) = second.encoders["caption"](tokens[3:4])
    torch.testing.assert_close(alone[0], whole[3])
    assert any(float((b - 1).abs().max()) > 0.01 for n, b in second.named_buffers() if n.endswith("running_var"))


def test_in_parts_is_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmbench.networks.PART", 3 * IMAGE.size)
    seen: list[int] = []
    model = pair().eval()
    model.encoders["image"].register_forward_hook(lambda _, inputs, output: seen.append(len(inputs[0])))
    x = data().gather(torch.arange(8))
    with torch.no_grad():
        (codes,) = in_parts(model.encoders["image"], IMAGE, x["image"])
        images = in_parts(model.decoders["image"], IMAGE, codes)
    assert seen == [3, 3, 2]
    (whole,) = in_parts(model.encoders["image"], IMAGE, x["image"])
    assert seen[3:] == [8], "one piece where a gradient is asked for"
    torch.testing.assert_close(codes, whole.detach())
    torch.testing.assert_close(images, model.decoders["image"](whole).detach())


def test_a_texts_nll_is_its_cross_entropy() -> None:
    rng = np.random.default_rng(0)
    logits, x = rng.normal(size=(5, 4, 7)) * 3, rng.integers(7, size=(5, 4))
    log_prob = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -np.take_along_axis(log_prob, x[..., None], -1)[..., 0].sum(1)
    got = nll(CAPTION, torch.tensor(logits), torch.tensor(x))
    assert np.allclose(got.numpy(), expected)


def test_token_accuracy_leaves_the_padding_out() -> None:
    x = torch.tensor([[3, 4, 2, 1], [5, 2, 1, 1]])
    made = torch.tensor([[3, 0, 2, 1], [5, 2, 1, 6]])
    assert token_accuracy(CAPTION, x, made) == pytest.approx(4 / 5)
    assert token_accuracy(replace(CAPTION, unprinted=()), x, made) == pytest.approx(6 / 8)
    assert token_accuracy(CAPTION, torch.ones_like(x), made) == 0.0
    assert set(reconstruction_skills(CAPTION, x, made)) == {"skill", "token accuracy"}
